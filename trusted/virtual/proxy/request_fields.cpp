// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/virtual/proxy/request_fields.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <vector>

#include "common/base/encoding.h"
#include "common/crypto/random.h"
#include "common/crypto/sha1.h"
#include "common/http/authority.h"
#include "common/x509/ip_address.h"

namespace eos::cvm::proxy {
namespace {

constexpr std::string_view kPseudonym = "enclave-os";
constexpr std::string_view kWebSocketKey = "sec-websocket-key";
constexpr std::string_view kWebSocketAccept = "sec-websocket-accept";

/// What a client must not say: this proxy does, or answers it itself.
constexpr auto kOwnFields = std::to_array<std::string_view>(
    {"host", "expect", "forwarded", "http2-settings", "proxy", "x-real-ip"});

/// Where services expect what a proxy has seen of the client: its certificate (RFC 9440 §2.4, and
/// before that by custom), and its address. This one says neither there, so nobody does.
constexpr auto kProxyFields = std::to_array<std::string_view>(
    {"client-cert", "client-cert-chain", "x-client-ip", "true-client-ip"});
constexpr auto kProxyPrefixes =
    std::to_array<std::string_view>({"x-forwarded-", "x-client-cert", "x-ssl-", "ssl-client-"});

bool is_portable_name(std::string_view name) {
    return std::ranges::all_of(
        name, [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; });
}

bool is_reserved(std::string_view name) {
    return name.starts_with("x-privasys-");
}

std::string lower(std::string_view text) {
    std::string out(text);
    std::ranges::transform(out, out.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
    });
    return out;
}

std::string_view trim(std::string_view text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
    return text;
}

/// The names that Connection lists beyond those that every connection keeps to itself.
Result<std::vector<std::string>> nominated_by_connection(const http::Headers& headers) {
    std::vector<std::string> out;
    std::size_t count = 0;
    for (std::size_t i = 0; i < headers.count(); ++i) {
        if (headers[i].name != "connection") continue;
        std::string_view rest = headers[i].value;
        while (!rest.empty()) {
            const std::size_t comma = std::min(rest.find(','), rest.size());
            std::string name = lower(trim(rest.substr(0, comma)));
            rest.remove_prefix(std::min(comma + 1, rest.size()));
            if (name.empty()) continue;
            if (++count > kMaxConnectionOptions) return fail(too_many_connection_options);
            const bool is_usual = name == "close" || http::is_connection_specific(name);
            if (!is_usual) out.push_back(std::move(name));
        }
    }
    return out;
}

bool contains(const std::vector<std::string>& names, std::string_view name) {
    return std::ranges::find(names, name) != names.end();
}

/// RFC 7239 §4: what is no token is quoted. in: text without '"' and '\', as addresses and
/// authorities are.
std::string forwarded_value(std::string_view text) {
    if (http::is_token(text)) return std::string(text);
    std::string out = "\"";
    out.append(text).push_back('"');
    return out;
}

bool is_mapped_v4(const ByteArray<16>& address) {
    return all_zero(ByteView(address).first(10)) && address[10] == std::byte{0xff} &&
           address[11] == std::byte{0xff};
}

bool is_for_nobody_behind(std::string_view name) {
    const auto is_name = [name](std::string_view other) { return name == other; };
    const auto is_prefix = [name](std::string_view prefix) { return name.starts_with(prefix); };
    return http::is_connection_specific(name) || !is_portable_name(name) || is_reserved(name) ||
           std::ranges::any_of(kOwnFields, is_name) || std::ranges::any_of(kProxyFields, is_name) ||
           std::ranges::any_of(kProxyPrefixes, is_prefix);
}

/// RFC 9110 §8.6: the methods to whose meaning content belongs.
bool anticipates_content(http::Method method) {
    return method == http::Method::kPost || method == http::Method::kPut ||
           method == http::Method::kPatch;
}

/// RFC 8441 §5: HTTP/2 has neither the key nor the answer to it, which only show that both ends
/// mean WebSocket.
Result<void> ask_for_websocket(http::RequestHead& head) {
    head.method = http::Method::kGet;
    head.headers.remove_if(
        [](const http::HeaderView& field) { return field.name == kWebSocketKey; });
    return head.headers.add_own(kWebSocketKey, base64(crypto::random_array<16>()));
}

/// RFC 6455 §4.2.2, 5.4.
std::string accept_of(std::string_view key) {
    constexpr std::string_view kSuffix = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    return base64(crypto::sha1(concat({as_bytes(key), as_bytes(kSuffix)})));
}

}  // namespace

std::string address_text(const ByteArray<16>& address) {
    if (!is_mapped_v4(address)) return x509::IpAddress::from_bytes(address)->text();
    // Every request says it, and the system's function goes through its formatted printing.
    std::array<char, 15> text;
    char* end = text.data();
    for (std::size_t i = 12; i < address.size(); ++i) {
        if (i > 12) *end++ = '.';
        const auto number = std::to_integer<unsigned>(address[i]);
        end = std::to_chars(end, text.data() + text.size(), number).ptr;
    }
    return {text.data(), end};
}

Result<void> rewrite_request(http::RequestHead& head, const ByteArray<16>& client) {
    http::Headers& headers = head.headers;
    const std::vector<std::string> nominated = EOS_TRY(nominated_by_connection(headers));
    headers.remove_if([&](const http::HeaderView& field) {
        return is_for_nobody_behind(field.name) || contains(nominated, field.name);
    });
    const bool is_bodiless = head.body.kind == http::BodyKind::kNone;
    if (is_bodiless && anticipates_content(head.method)) head.body = http::BodySize::known(0);
    if (head.method == http::Method::kConnect) EOS_TRY(ask_for_websocket(head));
    const std::string address = address_text(client);
    const std::string host = http::to_string(head.authority);
    EOS_TRY(headers.add_own("x-forwarded-for", address));
    EOS_TRY(headers.add_own("x-forwarded-proto", "https"));
    EOS_TRY(headers.add_own("x-forwarded-host", host));
    EOS_TRY(headers.add_own("x-real-ip", address));
    std::string forwarded = "for=";
    forwarded += is_mapped_v4(client) ? address : "\"[" + address + "]\"";
    forwarded += ";host=" + forwarded_value(host) + ";proto=https";
    EOS_TRY(headers.add_own("forwarded", forwarded));
    std::string via = head.version == http::Version::kHttp2    ? "2.0 "
                      : head.version == http::Version::kHttp10 ? "1.0 "
                                                               : "1.1 ";
    return headers.add_own("via", via.append(kPseudonym));
}

Result<void> rewrite_response(http::ResponseHead& head) {
    const std::vector<std::string> nominated = EOS_TRY(nominated_by_connection(head.headers));
    head.headers.remove_if([&](const http::HeaderView& field) {
        return http::is_connection_specific(field.name) || is_reserved(field.name) ||
               contains(nominated, field.name);
    });
    return {};
}

Result<std::string> websocket_key(const http::RequestHead& head) {
    const auto key = head.headers.single(kWebSocketKey);
    if (!key || !*key) return fail(no_websocket_key);
    return std::string(**key);
}

Result<void> rewrite_switching(http::ReceivedResponse& response, http::Version client,
                               std::string_view key) {
    http::Headers& headers = response.head.headers;
    const bool is_of_http2 = response.version == http::Version::kHttp2;
    const bool is_for_http2 = client == http::Version::kHttp2;
    if (!is_of_http2 && !is_for_http2) return {};  // theirs to agree on
    const auto accept = headers.single(kWebSocketAccept);
    if (!is_of_http2 && !(accept && *accept == accept_of(key))) return fail(bad_websocket_accept);
    headers.remove_if([](const http::HeaderView& field) { return field.name == kWebSocketAccept; });
    if (is_for_http2) return {};
    return headers.add_own(kWebSocketAccept, accept_of(key));
}

void rewrite_request_trailers(http::Headers& trailers) {
    trailers.remove_if([](const http::HeaderView& field) {
        return is_for_nobody_behind(field.name) || http::is_forbidden_trailer(field.name);
    });
}

void rewrite_response_trailers(http::Headers& trailers) {
    trailers.remove_if([](const http::HeaderView& field) {
        return is_reserved(field.name) || http::is_forbidden_trailer(field.name);
    });
}

}  // namespace eos::cvm::proxy
