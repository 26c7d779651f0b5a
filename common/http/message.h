// SPDX-License-Identifier: AGPL-3.0-only
// The parts of an HTTP message that no version of HTTP changes: method, fields, head, status.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"

namespace eos::http {

inline constexpr Code bad_header_name{"common/http", "bad_header_name",
                                      "a header field's name is not a token"};
inline constexpr Code bad_header_value{"common/http", "bad_header_value",
                                       "a header field's value holds a forbidden character"};
inline constexpr Code headers_too_large{"common/http", "headers_too_large",
                                        "the header section is over its limit"};
inline constexpr Code repeated_header{"common/http", "repeated_header",
                                      "a header field that may appear once is repeated"};
inline constexpr Code forbidden_trailer{"common/http", "forbidden_trailer",
                                        "a trailer field that must not come after the body"};

inline constexpr std::size_t kMaxHeaderCount = 100;
inline constexpr std::size_t kMaxHeaderNameBytes = 256;
inline constexpr std::size_t kMaxHeaderValueBytes = 8 * 1024;
inline constexpr std::size_t kMaxHeaderBytes = 16 * 1024;  ///< names and values of one section
inline constexpr std::size_t kMaxOwnHeaderCount = 16;  ///< on top, of what Headers::add_own() adds
inline constexpr std::size_t kMaxOwnHeaderBytes = 4 * 1024;

/// The methods this implementation serves. Any other is answered 501 by the parser. CONNECT exists
/// only in its extended form (RFC 8441), which HTTP/2 alone has: no proxy for other hosts is here.
enum class Method : std::uint8_t { kGet, kHead, kPost, kPut, kDelete, kPatch, kOptions, kConnect };
inline constexpr std::size_t kMethodCount = 8;

/// "GET" and so on, as it goes over the wire.
std::string_view to_string(Method method);

/// The method of that name (case matters, RFC 9110 §9.1), or nothing; nothing for CONNECT, too.
std::optional<Method> find_method(std::string_view name);

/// Which HTTP a message came in.
enum class Version : std::uint8_t { kHttp10, kHttp11, kHttp2 };

/// One field, borrowed from a Headers. The name is in lower case.
struct HeaderView {
    std::string_view name;
    std::string_view value;
};

/// A header section: fields in the order they came, names in lower case, size bounded. Whatever is
/// in it can be written to a connection as it is: add() lets no CR, LF or NUL pass.
class Headers {
  public:
    /// Appends a field. The value loses leading and trailing blanks; inner ones stay.
    /// errors:  bad_header_name, bad_header_value, headers_too_large (a limit above).
    /// source:  RFC 9110 §5.1 and §5.5 (obs-text is allowed, control characters are not).
    [[nodiscard]] Result<void> add(std::string_view name, std::string_view value);

    /// The same for a field that this program says behind what a peer said: the peer's may be as
    /// many and as large as the limits let them, and there is still room for it.
    [[nodiscard]] Result<void> add_own(std::string_view name, std::string_view value);

    std::size_t count() const { return fields_.size(); }
    HeaderView operator[](std::size_t index) const;  ///< index < count(), asserted

    /// The only value of `name` (given in lower case), or nothing if the field is absent.
    /// errors: repeated_header.
    [[nodiscard]] Result<std::optional<std::string_view>> single(std::string_view name) const;

    /// The first value of `name` (given in lower case), or nothing.
    std::optional<std::string_view> first(std::string_view name) const;

    /// Every value of `name` (given in lower case), in order.
    std::vector<std::string_view> all(std::string_view name) const;

    /// Whether a comma-separated list field holds `token`, compared without case.
    bool list_contains(std::string_view name, std::string_view token) const;

    /// Takes out every field of which `unwanted(HeaderView)` says so; the others keep their order.
    /// The bytes of those taken out still count towards kMaxHeaderBytes.
    template <typename Unwanted>
    void remove_if(Unwanted unwanted) {
        std::erase_if(fields_, [&](const Field& field) { return unwanted(view(field)); });
    }

    /// Empties the section and keeps its memory.
    void clear();

  private:
    struct Field {
        std::uint32_t name_offset;
        std::uint16_t name_size;
        std::uint16_t value_size;
    };
    struct Limits {
        std::size_t count;
        std::size_t bytes;
    };
    Result<void> add_within(const Limits& limits, std::string_view name, std::string_view value);
    HeaderView view(const Field& field) const {
        const std::string_view text(text_);
        return {text.substr(field.name_offset, field.name_size),
                text.substr(field.name_offset + field.name_size, field.value_size)};
    }

    std::string text_;  ///< name ‖ value of every field, back to back: one allocation for all
    std::vector<Field> fields_;
};

/// Whether RFC 9110 §7.6.1 (and its practice) forbids forwarding the field: it describes one
/// connection or the framing of one message, which only this library writes. Lower case.
bool is_connection_specific(std::string_view name);

/// Whether a field decides about framing, routing, authentication, caching or how the content is
/// read, so that it means nothing or something dangerous behind it. Lower case.
/// source: RFC 9110 §6.5.1.
bool is_forbidden_trailer(std::string_view name);

/// Whether `text` is a token of RFC 9110 §5.6.2.
bool is_token(std::string_view text);

/// Equality of ASCII text without regard to case.
bool equal_ignoring_case(std::string_view a, std::string_view b);

/// What the authority's default port follows from.
enum class Scheme : std::uint8_t { kHttp, kHttps };

/// Who is addressed: a host in canonical form and, if it is not the scheme's default, a port.
struct Authority {
    enum class Kind : std::uint8_t { kDnsName, kIpv4, kIpv6 };
    Kind kind = Kind::kDnsName;
    std::string host;  ///< lower case, no trailing dot; IPv6 in RFC 5952 form without brackets
    std::optional<std::uint16_t> port;

    friend bool operator==(const Authority&, const Authority&) = default;
};

/// Whether the connection serves another message after this one.
enum class Persistence : std::uint8_t { kKeepAlive, kClose };

/// Whether a message has a body, and whether its size is known before it.
enum class BodyKind : std::uint8_t { kNone, kKnown, kUnknown };

/// What the head says about the body: absent, of that size, or known at its end only.
struct BodySize {
    BodyKind kind = BodyKind::kNone;
    std::uint64_t bytes = 0;  ///< for kKnown

    static BodySize none() { return {}; }
    static BodySize known(std::uint64_t bytes) { return {BodyKind::kKnown, bytes}; }
    static BodySize unknown() { return {BodyKind::kUnknown, 0}; }
    friend bool operator==(const BodySize&, const BodySize&) = default;
};

/// The only protocol a tunnel is made for (RequestHead::protocol): RFC 6455, and RFC 8441 in
/// HTTP/2. Any other is not offered; an upgrade to it is ignored, because a server behind a proxy
/// that took up one of them (h2c) would be handed requests nobody has looked at.
inline constexpr std::string_view kWebSocket = "websocket";

/// A request up to its body, the same for every version of HTTP.
struct RequestHead {
    Method method = Method::kGet;
    Version version = Version::kHttp11;
    std::optional<Scheme> scheme;      ///< only if the target was in absolute form
    Authority authority;               ///< by the rule of authority.h
    std::string path;                  ///< raw, starts with '/'; "*" for OPTIONS *
    std::optional<std::string> query;  ///< raw, without '?'
    Headers headers;
    BodySize body;
    /// kWebSocket, if the client asks that the connection or stream become a tunnel: by `Upgrade`
    /// in a GET without body (HTTP/1.1), by extended CONNECT (HTTP/2). Else empty.
    std::string protocol;
    bool accepts_trailers = false;  ///< `TE: trailers`
};

/// A response up to its body. Framing fields are not in `headers`; serialize.h writes them.
struct ResponseHead {
    int status = 200;
    Headers headers;
};

/// "Not Found" for 404; "Unknown" for a number without a phrase of its own.
std::string_view reason_phrase(int status);

}  // namespace eos::http
