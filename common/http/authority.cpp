// SPDX-License-Identifier: AGPL-3.0-only
#include "common/http/authority.h"

#include <algorithm>
#include <array>
#include <cstdint>

#include "common/base/encoding.h"

namespace eos::http {
namespace {

constexpr std::size_t kMaxLabelBytes = 63;
constexpr std::size_t kGroupCount = 8;
using Ipv6Groups = std::array<std::uint16_t, kGroupCount>;

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

char to_lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}

int hex_value(char c) {
    if (is_digit(c)) return c - '0';
    c = to_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/// A decimal number without leading zeros, at most `max`.
std::optional<std::uint32_t> decimal(std::string_view text, std::uint32_t max) {
    if (text.empty() || text.size() > 5 || (text.size() > 1 && text[0] == '0')) return std::nullopt;
    std::uint32_t value = 0;
    for (char c : text) {
        if (!is_digit(c)) return std::nullopt;
        value = value * 10 + static_cast<std::uint32_t>(c - '0');
    }
    if (value > max) return std::nullopt;
    return value;
}

std::optional<std::array<std::uint8_t, 4>> parse_ipv4(std::string_view text) {
    std::array<std::uint8_t, 4> out{};
    for (std::size_t i = 0; i < out.size(); ++i) {
        const std::size_t end = i + 1 < out.size() ? text.find('.') : text.size();
        if (end == std::string_view::npos) return std::nullopt;
        const auto octet = decimal(text.substr(0, end), 255);
        if (!octet) return std::nullopt;
        out[i] = static_cast<std::uint8_t>(*octet);
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return out;
}

enum class Side { kBeforeGap, kEnd };

/// One side of "::" (or all of an address without it): groups of one to four digits; the last at
/// the end of the address may be an IPv4 address. Returns how many groups were written to `out`.
std::optional<std::size_t> parse_groups(std::string_view text, Side side, Ipv6Groups& out) {
    std::size_t count = 0;
    if (text.empty()) return count;
    for (;;) {
        const std::size_t colon = text.find(':');
        const std::string_view part = text.substr(0, colon);
        if (colon == std::string_view::npos && side == Side::kEnd && part.contains('.')) {
            const auto v4 = parse_ipv4(part);
            if (!v4 || count > kGroupCount - 2) return std::nullopt;
            out[count] = static_cast<std::uint16_t>((*v4)[0] << 8 | (*v4)[1]);
            out[count + 1] = static_cast<std::uint16_t>((*v4)[2] << 8 | (*v4)[3]);
            return count + 2;
        }
        if (part.empty() || part.size() > 4 || count == kGroupCount) return std::nullopt;
        unsigned value = 0;
        for (char c : part) {
            if (hex_value(c) < 0) return std::nullopt;
            value = value << 4 | static_cast<unsigned>(hex_value(c));
        }
        out[count++] = static_cast<std::uint16_t>(value);
        if (colon == std::string_view::npos) return count;
        text.remove_prefix(colon + 1);
    }
}

/// RFC 4291 §2.2, without a zone.
std::optional<Ipv6Groups> parse_ipv6(std::string_view text) {
    Ipv6Groups head{};
    const std::size_t gap = text.find("::");
    if (gap == std::string_view::npos) {
        const auto count = parse_groups(text, Side::kEnd, head);
        if (!count || *count != kGroupCount) return std::nullopt;
        return head;
    }
    Ipv6Groups tail{};
    const auto before = parse_groups(text.substr(0, gap), Side::kBeforeGap, head);
    const auto after = parse_groups(text.substr(gap + 2), Side::kEnd, tail);
    // "::" stands for at least one group.
    if (!before || !after || *before + *after >= kGroupCount) return std::nullopt;
    std::copy_n(tail.begin(), *after, head.end() - static_cast<std::ptrdiff_t>(*after));
    return head;
}

/// RFC 5952 §4: lower case, no leading zeros, the longest run of two or more zero groups (the first
/// of equals) as "::".
std::string format_ipv6(const Ipv6Groups& groups) {
    std::size_t best = kGroupCount;
    std::size_t best_size = 1;
    for (std::size_t i = 0; i < kGroupCount; ++i) {
        std::size_t size = 0;
        while (i + size < kGroupCount && groups[i + size] == 0) ++size;
        if (size > best_size) {
            best = i;
            best_size = size;
        }
    }
    static constexpr std::string_view kDigits = "0123456789abcdef";
    std::string out;
    for (std::size_t i = 0; i < kGroupCount; ++i) {
        if (i == best) {
            out += "::";
            i += best_size - 1;
            continue;
        }
        if (!out.empty() && out.back() != ':') out += ':';
        bool leading = true;
        for (int shift = 12; shift >= 0; shift -= 4) {
            const unsigned digit = groups[i] >> shift & 0xf;
            if (leading && digit == 0 && shift != 0) continue;
            leading = false;
            out += kDigits[digit];
        }
    }
    return out;
}

bool is_ldh_label(std::string_view label) {
    if (label.empty() || label.size() > kMaxLabelBytes) return false;
    if (label.front() == '-' || label.back() == '-') return false;
    return std::ranges::all_of(label, [](char c) {
        return is_digit(c) || c == '-' || (to_lower(c) >= 'a' && to_lower(c) <= 'z');
    });
}

bool is_dns_name(std::string_view name) {
    if (name.empty() || name.size() > kMaxHostBytes) return false;
    while (true) {
        const std::size_t dot = name.find('.');
        if (!is_ldh_label(name.substr(0, dot))) return false;
        if (dot == std::string_view::npos) return true;
        name.remove_prefix(dot + 1);
    }
}

/// Whether software that follows inet_aton would read the name as an address: then it must be one
/// in the only form accepted here.
bool ends_in_number(std::string_view name) {
    const std::string_view last = name.substr(name.rfind('.') + 1);
    if (std::ranges::all_of(last, is_digit)) return true;
    return last.size() >= 2 && last[0] == '0' && to_lower(last[1]) == 'x' &&
           std::ranges::all_of(last.substr(2), [](char c) { return hex_value(c) >= 0; });
}

std::unexpected<Error> malformed(std::string_view text) {
    return fail(bad_authority, printable(as_bytes(text), 64));
}

}  // namespace

Result<Authority> parse_authority(std::string_view text, Scheme scheme) {
    const std::string_view whole = text;
    Authority out;
    if (text.starts_with('[')) {
        const std::size_t close = text.find(']');
        if (close == std::string_view::npos) return malformed(whole);
        const auto groups = parse_ipv6(text.substr(1, close - 1));
        if (!groups) return malformed(whole);
        out.kind = Authority::Kind::kIpv6;
        out.host = format_ipv6(*groups);
        text.remove_prefix(close + 1);
    } else {
        const std::size_t end = std::min(text.find(':'), text.size());
        std::string_view host = text.substr(0, end);
        text.remove_prefix(end);
        if (host.size() > 1 && host.back() == '.') host.remove_suffix(1);
        if (!is_dns_name(host)) return malformed(whole);
        if (ends_in_number(host)) {
            if (!parse_ipv4(host)) return malformed(whole);
            out.kind = Authority::Kind::kIpv4;
        }
        out.host.resize(host.size());
        std::ranges::transform(host, out.host.begin(), to_lower);
    }
    if (text.empty()) return out;
    if (text.front() != ':') return malformed(whole);
    const auto port = decimal(text.substr(1), 65535);
    if (!port || *port == 0) return malformed(whole);
    const std::uint32_t default_port = scheme == Scheme::kHttps ? 443 : 80;
    if (*port != default_port) out.port = static_cast<std::uint16_t>(*port);
    return out;
}

std::string to_string(const Authority& authority) {
    std::string out =
        authority.kind == Authority::Kind::kIpv6 ? "[" + authority.host + "]" : authority.host;
    if (authority.port) out += ":" + std::to_string(*authority.port);
    return out;
}

Result<Authority> effective_authority(const std::optional<Authority>& from_target,
                                      const Headers& headers, Scheme scheme) {
    const auto host = headers.single("host");
    if (!host) return fail(repeated_authority);
    if (!from_target && !*host) return fail(missing_authority);
    if (!*host) return *from_target;
    Authority from_host = EOS_TRY(parse_authority(**host, scheme));
    if (from_target && *from_target != from_host) return fail(conflicting_authority);
    return from_host;
}

}  // namespace eos::http
