// SPDX-License-Identifier: AGPL-3.0-only
#include "common/http/uri.h"

#include <algorithm>
#include <array>

#include "common/base/encoding.h"
#include "common/http/authority.h"

namespace eos::http {
namespace {

// RFC 3986 §3.3: pchar without the percent sign, and '/'. And what browsers send as it is although
// it should be encoded: the URL Standard's path percent-encode set has none of "[]|^". Curly
// brackets are in it, but are as harmless, and other servers take them.
constexpr std::array<bool, 256> make_path_table() {
    std::array<bool, 256> table{};
    for (char c : std::string_view("-._~!$&'()*+,;=:@/[]|^{}0123456789"
                                   "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")) {
        table[static_cast<unsigned char>(c)] = true;
    }
    return table;
}
constexpr auto kPathChar = make_path_table();

int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/// The byte that "%XX" at `position` stands for.
std::optional<char> escaped(std::string_view text, std::size_t position) {
    if (text.size() - position < 3) return std::nullopt;
    const int high = hex_value(text[position + 1]);
    const int low = hex_value(text[position + 2]);
    if (high < 0 || low < 0) return std::nullopt;
    return static_cast<char>(high << 4 | low);
}

bool is_path(std::string_view path) {
    for (std::size_t i = 0; i < path.size(); ++i) {
        if (path[i] == '%') {
            if (!escaped(path, i)) return false;
            i += 2;
        } else if (!kPathChar[static_cast<unsigned char>(path[i])]) {
            return false;
        }
    }
    return true;
}

bool is_query(std::string_view query) {
    return std::ranges::all_of(query, [](char c) { return c > 0x20 && c < 0x7f && c != '#'; });
}

bool is_control(char c) {
    const auto u = static_cast<unsigned char>(c);
    return u < 0x20 || u == 0x7f;
}

std::unexpected<Error> malformed(std::string_view text) {
    return fail(bad_target, printable(as_bytes(text), 64));
}

/// Takes "http://authority" off the front of an absolute-form target.
Result<void> take_origin(std::string_view& rest, Target& out) {
    const std::size_t colon = rest.find("://");
    if (colon == std::string_view::npos) return malformed(rest);
    const std::string_view scheme = rest.substr(0, colon);
    if (equal_ignoring_case(scheme, "https")) {
        out.scheme = Scheme::kHttps;
    } else if (equal_ignoring_case(scheme, "http")) {
        out.scheme = Scheme::kHttp;
    } else {
        return malformed(rest);
    }
    rest.remove_prefix(colon + 3);
    const std::size_t end = std::min(rest.find_first_of("/?"), rest.size());
    out.authority = EOS_TRY(parse_authority(rest.substr(0, end), *out.scheme));
    rest.remove_prefix(end);
    return {};
}

}  // namespace

Result<Target> parse_target(Method method, std::string_view text) {
    Target out;
    if (text == "*" && method == Method::kOptions) {
        out.path = "*";
        return out;
    }
    std::string_view rest = text;
    if (!rest.starts_with('/')) EOS_TRY(take_origin(rest, out));
    const std::size_t mark = std::min(rest.find('?'), rest.size());
    const std::string_view path = rest.substr(0, mark);
    if (!is_path(path)) return malformed(text);
    if (mark < rest.size()) {
        const std::string_view query = rest.substr(mark + 1);
        if (!is_query(query)) return malformed(text);
        out.query = std::string(query);
    }
    out.path = path.empty() ? "/" : std::string(path);
    return out;
}

Result<std::string> percent_decode(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '%') {
            out.push_back(text[i]);
            continue;
        }
        const auto byte = escaped(text, i);
        if (!byte || *byte == '\0') return fail(bad_path, "a percent-encoding is malformed");
        out.push_back(*byte);
        i += 2;
    }
    return out;
}

Result<std::vector<std::string>> split_path(std::string_view path) {
    if (!path.starts_with('/')) return fail(bad_path, "the path does not start with '/'");
    std::vector<std::string> segments;
    path.remove_prefix(1);
    if (path.empty()) return segments;
    segments.reserve(8);
    for (;;) {
        const std::size_t slash = path.find('/');
        std::string segment = EOS_TRY(percent_decode(path.substr(0, slash)));
        if (segment.empty() || segment == "." || segment == "..") {
            return fail(bad_path, "empty and dot segments are not allowed");
        }
        if (segment.find_first_of("/\\") != std::string::npos ||
            std::ranges::any_of(segment, is_control)) {
            return fail(bad_path, "a segment hides a separator or a control character");
        }
        if (segments.size() == kMaxPathSegments) return fail(bad_path, "too many segments");
        segments.push_back(std::move(segment));
        if (slash == std::string_view::npos) return segments;
        path.remove_prefix(slash + 1);
    }
}

Result<std::optional<std::string>> query_parameter(const RequestHead& head, std::string_view name) {
    std::string_view rest = head.query ? std::string_view(*head.query) : std::string_view();
    while (!rest.empty()) {
        const std::size_t end = std::min(rest.find('&'), rest.size());
        const std::string_view pair = rest.substr(0, end);
        rest.remove_prefix(std::min(end + 1, rest.size()));
        const std::size_t equals = pair.find('=');
        if (equals == pair.npos || pair.substr(0, equals) != name) continue;
        return EOS_TRY(percent_decode(pair.substr(equals + 1)));
    }
    return std::optional<std::string>();
}

}  // namespace eos::http
