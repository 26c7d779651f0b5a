// SPDX-License-Identifier: AGPL-3.0-only
#include "common/http/message.h"

#include <algorithm>
#include <array>

#include "common/base/assert.h"
#include "common/base/encoding.h"

namespace eos::http {
namespace {

constexpr std::array<std::string_view, kMethodCount> kMethodNames = {
    "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "CONNECT"};

constexpr std::size_t kInitialTextBytes = 1024;
constexpr std::size_t kInitialFieldCount = 16;

constexpr char lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}

// RFC 9110 §5.6.2: tchar.
constexpr std::array<bool, 256> make_token_table() {
    std::array<bool, 256> table{};
    for (char c : std::string_view("!#$%&'*+-.^_`|~0123456789"
                                   "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")) {
        table[static_cast<unsigned char>(c)] = true;
    }
    return table;
}
constexpr auto kTokenChar = make_token_table();

// RFC 9110 §5.5: field-vchar, with obs-text, and the blanks between.
constexpr std::array<bool, 256> make_value_table() {
    std::array<bool, 256> table{};
    for (std::size_t c = 0x20; c < table.size(); ++c) table[c] = c != 0x7f;
    table['\t'] = true;
    return table;
}
constexpr auto kValueChar = make_value_table();

bool is_value_char(char c) {
    return kValueChar[static_cast<unsigned char>(c)];
}

constexpr bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

std::string_view trim(std::string_view text) {
    while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
    while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
    return text;
}

struct Reason {
    int status;
    std::string_view phrase;
};

// RFC 9110 §15 and IANA's registry of status codes; 418 is of RFC 2324.
constexpr auto kReasons = std::to_array<Reason>({
    {100, "Continue"},
    {101, "Switching Protocols"},
    {102, "Processing"},
    {103, "Early Hints"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {203, "Non-Authoritative Information"},
    {204, "No Content"},
    {205, "Reset Content"},
    {206, "Partial Content"},
    {207, "Multi-Status"},
    {208, "Already Reported"},
    {226, "IM Used"},
    {300, "Multiple Choices"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {305, "Use Proxy"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {402, "Payment Required"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {407, "Proxy Authentication Required"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {418, "I'm a teapot"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {423, "Locked"},
    {424, "Failed Dependency"},
    {425, "Too Early"},
    {426, "Upgrade Required"},
    {428, "Precondition Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {451, "Unavailable For Legal Reasons"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {506, "Variant Also Negotiates"},
    {507, "Insufficient Storage"},
    {508, "Loop Detected"},
    {510, "Not Extended"},
    {511, "Network Authentication Required"},
});

}  // namespace

std::string_view to_string(Method method) {
    return kMethodNames[static_cast<std::size_t>(method)];
}

std::optional<Method> find_method(std::string_view name) {
    const auto* found = std::ranges::find(kMethodNames, name);
    if (found == kMethodNames.end()) return std::nullopt;
    const auto method = static_cast<Method>(found - kMethodNames.begin());
    return method == Method::kConnect ? std::nullopt : std::optional(method);
}

bool is_token(std::string_view text) {
    return !text.empty() && std::ranges::all_of(text, [](char c) {
        return kTokenChar[static_cast<unsigned char>(c)];
    });
}

bool equal_ignoring_case(std::string_view a, std::string_view b) {
    return std::ranges::equal(a, b, {}, lower, lower);
}

bool is_connection_specific(std::string_view name) {
    static constexpr std::array<std::string_view, 8> kNames = {
        "connection", "content-length", "keep-alive",        "proxy-connection",
        "te",         "trailer",        "transfer-encoding", "upgrade"};
    return std::ranges::find(kNames, name) != kNames.end();
}

bool is_forbidden_trailer(std::string_view name) {
    static constexpr auto kNames = std::to_array<std::string_view>({"host",
                                                                    "cache-control",
                                                                    "expect",
                                                                    "max-forwards",
                                                                    "pragma",
                                                                    "range",
                                                                    "authorization",
                                                                    "www-authenticate",
                                                                    "cookie",
                                                                    "set-cookie",
                                                                    "age",
                                                                    "date",
                                                                    "expires",
                                                                    "location",
                                                                    "retry-after",
                                                                    "vary",
                                                                    "warning",
                                                                    "content-encoding",
                                                                    "content-type",
                                                                    "content-range",
                                                                    "content-location",
                                                                    "forwarded",
                                                                    "via"});
    static constexpr auto kPrefixes =
        std::to_array<std::string_view>({"if-", "proxy-", "x-forwarded-", "sec-websocket-"});
    return is_connection_specific(name) || std::ranges::find(kNames, name) != kNames.end() ||
           std::ranges::any_of(kPrefixes, [&](auto prefix) { return name.starts_with(prefix); });
}

Result<void> Headers::add(std::string_view name, std::string_view value) {
    return add_within({kMaxHeaderCount, kMaxHeaderBytes}, name, value);
}

Result<void> Headers::add_own(std::string_view name, std::string_view value) {
    constexpr Limits kLimits = {kMaxHeaderCount + kMaxOwnHeaderCount,
                                kMaxHeaderBytes + kMaxOwnHeaderBytes};
    return add_within(kLimits, name, value);
}

Result<void> Headers::add_within(const Limits& limits, std::string_view name,
                                 std::string_view value) {
    if (!is_token(name)) return fail(bad_header_name, printable(as_bytes(name), 32));
    value = trim(value);
    if (!std::ranges::all_of(value, is_value_char)) {
        return fail(bad_header_value, std::string(name.substr(0, 32)));
    }
    if (fields_.size() >= limits.count) {
        return fail(headers_too_large, "more than " + std::to_string(limits.count) + " fields");
    }
    if (name.size() > kMaxHeaderNameBytes || value.size() > kMaxHeaderValueBytes ||
        text_.size() + name.size() + value.size() > limits.bytes) {
        return fail(headers_too_large, std::string(name.substr(0, 32)));
    }
    if (fields_.empty()) {
        text_.reserve(kInitialTextBytes);
        fields_.reserve(kInitialFieldCount);
    }
    const auto offset = static_cast<std::uint32_t>(text_.size());
    text_.append(name).append(value);
    const auto begin = text_.begin() + static_cast<std::ptrdiff_t>(offset);
    std::transform(begin, begin + static_cast<std::ptrdiff_t>(name.size()), begin, lower);
    fields_.push_back({offset, static_cast<std::uint16_t>(name.size()),
                       static_cast<std::uint16_t>(value.size())});
    return {};
}

HeaderView Headers::operator[](std::size_t index) const {
    EOS_ASSERT(index < fields_.size());
    return view(fields_[index]);
}

Result<std::optional<std::string_view>> Headers::single(std::string_view name) const {
    std::optional<std::string_view> found;
    for (std::size_t i = 0; i < count(); ++i) {
        const HeaderView field = (*this)[i];
        if (field.name != name) continue;
        if (found) return fail(repeated_header, std::string(name));
        found = field.value;
    }
    return found;
}

std::optional<std::string_view> Headers::first(std::string_view name) const {
    for (std::size_t i = 0; i < count(); ++i) {
        const HeaderView field = (*this)[i];
        if (field.name == name) return field.value;
    }
    return std::nullopt;
}

std::vector<std::string_view> Headers::all(std::string_view name) const {
    std::vector<std::string_view> values;
    for (std::size_t i = 0; i < count(); ++i) {
        const HeaderView field = (*this)[i];
        if (field.name == name) values.push_back(field.value);
    }
    return values;
}

bool Headers::list_contains(std::string_view name, std::string_view token) const {
    for (std::size_t i = 0; i < count(); ++i) {
        const HeaderView field = (*this)[i];
        if (field.name != name) continue;
        std::string_view rest = field.value;
        while (!rest.empty()) {
            const std::size_t comma = std::min(rest.find(','), rest.size());
            if (equal_ignoring_case(trim(rest.substr(0, comma)), token)) return true;
            rest.remove_prefix(std::min(comma + 1, rest.size()));
        }
    }
    return false;
}

void Headers::clear() {
    text_.clear();
    fields_.clear();
}

std::string_view reason_phrase(int status) {
    const auto* found = std::ranges::find(kReasons, status, &Reason::status);
    return found == kReasons.end() ? "Unknown" : found->phrase;
}

}  // namespace eos::http
