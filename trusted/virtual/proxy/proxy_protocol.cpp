// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/virtual/proxy/proxy_protocol.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>

#include "common/x509/ip_address.h"

namespace eos::cvm::proxy {
namespace {

using std::string_view_literals::operator""sv;

constexpr std::string_view kV1 = "PROXY ";
constexpr std::string_view kV2 = "\r\n\r\n\0\r\nQUIT\n"sv;
constexpr std::size_t kV2FixedBytes = 16;

using Parsed = Result<std::optional<ProxyHeader>>;

bool begins_alike(std::string_view a, std::string_view b) {
    const std::size_t common = std::min(a.size(), b.size());
    return a.substr(0, common) == b.substr(0, common);
}

ByteArray<16> mapped(ByteView address) {
    ByteArray<16> out{};
    if (address.size() == 4) {
        out[10] = out[11] = std::byte{0xff};
        std::ranges::copy(address, out.begin() + 12);
    } else {
        std::ranges::copy(address, out.begin());
    }
    return out;
}

/// The next word of a line; `line` keeps what is behind the one blank after it.
std::string_view take_word(std::string_view& line) {
    const std::size_t end = std::min(line.find(' '), line.size());
    const std::string_view word = line.substr(0, end);
    line.remove_prefix(std::min(end + 1, line.size()));
    return word;
}

bool is_port(std::string_view text) {
    std::uint16_t port = 0;
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, port);
    const bool is_padded = text.size() > 1 && text.front() == '0';
    return error == std::errc{} && stop == end && !is_padded;
}

/// "TCP4 192.0.2.1 192.0.2.2 4000 443", or "UNKNOWN" with anything behind it.
Result<std::optional<ByteArray<16>>> parse_v1_line(std::string_view line) {
    const std::string_view family = take_word(line);
    if (family == "UNKNOWN") return std::nullopt;
    const std::size_t size = family == "TCP4" ? 4 : 16;
    if (family != "TCP4" && family != "TCP6") return fail(bad_proxy_header, "family");
    const auto source = x509::IpAddress::parse(take_word(line));
    const auto destination = x509::IpAddress::parse(take_word(line));
    const bool are_addresses = source && destination && source->bytes().size() == size &&
                               destination->bytes().size() == size;
    if (!are_addresses) return fail(bad_proxy_header, "addresses");
    if (!is_port(take_word(line)) || line.find(' ') != line.npos || !is_port(line)) {
        return fail(bad_proxy_header, "ports");
    }
    return mapped(source->bytes());
}

Parsed parse_v1(std::string_view text) {
    const std::size_t end = text.substr(0, kMaxProxyV1Bytes).find("\r\n");
    if (end == text.npos) {
        if (text.size() >= kMaxProxyV1Bytes) return fail(bad_proxy_header, "its line is too long");
        return std::nullopt;
    }
    const auto client = EOS_TRY(parse_v1_line(text.substr(kV1.size(), end - kV1.size())));
    return ProxyHeader{client, end + 2};
}

Parsed parse_v2(ByteView input) {
    if (input.size() < kV2FixedBytes) return std::nullopt;
    const auto at = [&](std::size_t i) { return std::to_integer<unsigned>(input[i]); };
    const unsigned version = at(12) >> 4;
    const unsigned command = at(12) & 0xf;
    const unsigned family = at(13);
    const std::size_t size = kV2FixedBytes + at(14) * 256 + at(15);
    if (version != 2 || command > 1) return fail(bad_proxy_header, "version or command");
    if (size > kMaxProxyV2Bytes) return fail(bad_proxy_header, "too long");
    // Over TCP and IPv4, IPv6; or not said. The command LOCAL may come with any.
    constexpr unsigned kUnspecified = 0x00;
    constexpr unsigned kTcp4 = 0x11;
    constexpr unsigned kTcp6 = 0x21;
    const bool speaks_for_itself = command == 0 || family == kUnspecified;
    if (!speaks_for_itself && family != kTcp4 && family != kTcp6) {
        return fail(bad_proxy_header, "family");
    }
    const std::size_t address_size = family == kTcp4 ? 4 : 16;
    if (!speaks_for_itself && size < kV2FixedBytes + 2 * address_size + 4) {
        return fail(bad_proxy_header, "no room for its addresses");
    }
    if (input.size() < size) return std::nullopt;
    if (speaks_for_itself) return ProxyHeader{std::nullopt, size};
    return ProxyHeader{mapped(input.subspan(kV2FixedBytes, address_size)), size};
}

}  // namespace

Parsed parse_proxy_header(ByteView input) {
    const std::string_view text = as_chars(input);
    if (begins_alike(text, kV1)) {
        if (text.size() < kV1.size()) return std::nullopt;
        return parse_v1(text);
    }
    if (begins_alike(text, kV2)) return parse_v2(input);
    return fail(bad_proxy_header);
}

}  // namespace eos::cvm::proxy
