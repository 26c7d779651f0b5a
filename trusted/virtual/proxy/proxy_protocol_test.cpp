// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/virtual/proxy/proxy_protocol.h"

#include <gtest/gtest.h>

#include <string>

#include "common/base/encoding.h"

namespace eos::cvm::proxy {
namespace {

using std::string_literals::operator""s;

constexpr char kSignature[] = "\r\n\r\n\0\r\nQUIT\n";

std::string v2(std::string_view command_and_family, std::string_view addresses) {
    std::string out(kSignature, 12);
    out += command_and_family;
    out += static_cast<char>(addresses.size() / 256);
    out += static_cast<char>(addresses.size() % 256);
    return out.append(addresses);
}

/// The client in hex, "none" or the error; and every prefix must have waited for more.
std::string outcome(const std::string& input, std::string_view behind = "\x16\x03\x01") {
    const std::string all = input + std::string(behind);
    const auto whole = parse_proxy_header(as_bytes(all));
    if (!whole) return std::string(whole.error().detail());
    if (!*whole) return "more";
    EXPECT_EQ((*whole)->size, input.size());
    for (std::size_t i = 0; i < input.size(); ++i) {
        const auto part = parse_proxy_header(as_bytes(std::string_view(all).substr(0, i)));
        EXPECT_TRUE(part && !*part) << i;
    }
    return (*whole)->client ? hex(*(*whole)->client) : "none";
}

TEST(ProxyProtocol, SaysWhereTheClientIs) {
    const std::string v4 = "00000000000000000000ffffc0000201";
    const std::string v6 = "20010db8000000000000000000000001";
    EXPECT_EQ(outcome("PROXY TCP4 192.0.2.1 198.51.100.2 4000 443\r\n"), v4);
    EXPECT_EQ(outcome("PROXY TCP6 2001:db8::1 2001:db8::2 0 65535\r\n"), v6);
    EXPECT_EQ(outcome(v2("\x21\x11", "\xc0\x00\x02\x01\xc6\x33\x64\x02\x0f\xa0\x01\xbb"s)), v4);
    const std::string address = "\x20\x01\x0d\xb8"s + std::string(11, '\0') + '\1';
    EXPECT_EQ(outcome(v2("\x21\x21", address + address + "\x0f\xa0\x01\xbb")), v6);
}

TEST(ProxyProtocol, ExtensionsAreSkipped) {
    const std::string addresses = "\xc0\x00\x02\x01\xc6\x33\x64\x02\x0f\xa0\x01\xbb"s;
    EXPECT_EQ(outcome(v2("\x21\x11", addresses + "\x04\x00\x02xx"s)),
              "00000000000000000000ffffc0000201");
}

TEST(ProxyProtocol, SenderMaySpeakForItself) {
    EXPECT_EQ(outcome("PROXY UNKNOWN\r\n"), "none");
    EXPECT_EQ(outcome("PROXY UNKNOWN ff::1 ff::2 1 2\r\n"), "none");
    EXPECT_EQ(outcome(v2("\x20\0"s, "")), "none");
    EXPECT_EQ(outcome(v2("\x20\x11"s, std::string(12, 'x'))), "none");
    EXPECT_EQ(outcome(v2("\x21\0"s, "")), "none");
}

TEST(ProxyProtocol, RefusesWhateverElse) {
    EXPECT_EQ(outcome("\x16\x03\x01\x02\x00"s), "");
    EXPECT_EQ(outcome("GET / HTTP/1.1\r\n"), "");
    EXPECT_EQ(outcome("PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n"), "family");
    EXPECT_EQ(outcome("PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n"), "addresses");
    EXPECT_EQ(outcome("PROXY TCP4 192.0.2.1  192.0.2.2 1 2\r\n"), "addresses");
    EXPECT_EQ(outcome("PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n"), "ports");
    EXPECT_EQ(outcome("PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n"), "ports");
    EXPECT_EQ(outcome("PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n"), "ports");
    EXPECT_EQ(outcome("PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n"), "ports");
    EXPECT_EQ(outcome("PROXY TCP4 192.0.2.1 192.0.2.2 1 2 " + std::string(107, 'x')),
              "its line is too long");
    EXPECT_EQ(outcome(v2("\x11\x11"s, "")), "version or command");
    EXPECT_EQ(outcome(v2("\x22\x11"s, "")), "version or command");
    EXPECT_EQ(outcome(v2("\x21\x12"s, std::string(12, 'x'))), "family");
    EXPECT_EQ(outcome(v2("\x21\x31"s, std::string(216, 'x'))), "family");
    EXPECT_EQ(outcome(v2("\x21\x11"s, std::string(11, 'x'))), "no room for its addresses");
    EXPECT_EQ(outcome(v2("\x21\x21"s, std::string(35, 'x'))), "no room for its addresses");
    EXPECT_EQ(outcome(v2("\x21\x11"s, std::string(4096, 'x'))), "too long");
}

}  // namespace
}  // namespace eos::cvm::proxy
