// SPDX-License-Identifier: AGPL-3.0-only
#include "common/http/authority.h"

#include <gtest/gtest.h>

namespace eos::http {
namespace {

std::string canonical(std::string_view text, Scheme scheme = Scheme::kHttps) {
    const auto authority = parse_authority(text, scheme);
    return authority ? to_string(*authority) : std::string(authority.error().code().name);
}

TEST(Authority, CanonicalForm) {
    EXPECT_EQ(canonical("Example.COM"), "example.com");
    EXPECT_EQ(canonical("example.com."), "example.com");
    EXPECT_EQ(canonical("example.com.:443"), "example.com");
    EXPECT_EQ(canonical("example.com:8443"), "example.com:8443");
    EXPECT_EQ(canonical("example.com:80"), "example.com:80");
    EXPECT_EQ(canonical("example.com:80", Scheme::kHttp), "example.com");
    EXPECT_EQ(canonical("localhost"), "localhost");
    EXPECT_EQ(canonical("xn--bcher-kva.example"), "xn--bcher-kva.example");
    EXPECT_EQ(canonical("a1-b.2c"), "a1-b.2c");
    EXPECT_EQ(canonical("127.0.0.1:8443"), "127.0.0.1:8443");
    EXPECT_EQ(canonical("0.0.0.0"), "0.0.0.0");
}

TEST(Authority, Ipv6IsWrittenOneWay) {
    EXPECT_EQ(canonical("[::1]:8443"), "[::1]:8443");
    EXPECT_EQ(canonical("[0:0:0:0:0:0:0:1]"), "[::1]");
    EXPECT_EQ(canonical("[::]"), "[::]");
    EXPECT_EQ(canonical("[1::]"), "[1::]");
    EXPECT_EQ(canonical("[2001:DB8::A:0:0:1]"), "[2001:db8::a:0:0:1]");
    EXPECT_EQ(canonical("[2001:db8:0:1:1:1:1:1]"), "[2001:db8:0:1:1:1:1:1]");
    EXPECT_EQ(canonical("[1:0:0:2:0:0:0:3]"), "[1:0:0:2::3]");
    EXPECT_EQ(canonical("[::ffff:1.2.3.4]"), "[::ffff:102:304]");
    EXPECT_EQ(canonical("[1:2:3:4:5:6:7::]"), "[1:2:3:4:5:6:7:0]");
}

TEST(Authority, MalformedIsRefused) {
    for (std::string_view text :
         {"", ".", "a..b", ".a", "-a", "a-", "a_b", "a b", "a/b", "a@b", "user@host", "a%41",
          "a:", "a:0", "a:65536", "a:080", "a:+1", "a:1x", "a:1:2", "\xc3\xa4", "a\n", "a,b", "a..",
          // What inet_aton would read as an address, and addresses out of range.
          "1.2.3", "1.2.3.256", "01.2.3.4", "1.2.3.4.5", "0x7f.1", "127.1", "1", "a.0x1", "a.1",
          // IPv6
          "[", "[]", "[::1", "::1", "[::1]x", "[::1]:", "[1::2::3]", "[:::]", "[12345::]",
          "[1:2:3:4:5:6:7:8:9]", "[1:2:3:4:5:6:7]", "[1:2:3:4:5:6:7::8]", "[::1%25eth0]",
          "[1.2.3.4]", "[1.2.3.4::]", "[::1.2.3]", "[v1.x]", "[g::]"}) {
        EXPECT_EQ(canonical(text), "bad_authority") << text;
    }
    EXPECT_EQ(canonical(std::string(64, 'a')), "bad_authority");
    std::string longest = std::string(63, 'a') + "." + std::string(63, 'b') + "." +
                          std::string(63, 'c') + "." + std::string(61, 'd');
    EXPECT_EQ(canonical(longest), longest);
    EXPECT_EQ(canonical(longest + "d"), "bad_authority");
}

struct Case {
    std::optional<std::string_view> target;
    std::vector<std::string_view> hosts;
    std::string_view outcome;
};

TEST(Authority, EffectiveAuthorityIsDecidedByOneRule) {
    const std::vector<Case> cases = {
        {std::nullopt, {"A.example:443"}, "a.example"},
        {"https://a.example", {}, "a.example"},
        {"https://a.example", {"A.EXAMPLE.:443"}, "a.example"},
        {"https://a.example", {"b.example"}, "conflicting_authority"},
        {"https://a.example:1", {"a.example"}, "conflicting_authority"},
        {std::nullopt, {}, "missing_authority"},
        {std::nullopt, {"a.example", "a.example"}, "repeated_authority"},
        {"https://a.example", {"a.example", "b.example"}, "repeated_authority"},
        {std::nullopt, {""}, "bad_authority"},
        {std::nullopt, {"a.example, b.example"}, "bad_authority"},
        {"https://a.example", {"a_b"}, "bad_authority"},
    };
    for (const Case& c : cases) {
        std::optional<Authority> target;
        if (c.target) target = parse_authority(c.target->substr(8), Scheme::kHttps).value();
        Headers headers;
        for (std::string_view host : c.hosts) ASSERT_TRUE(headers.add("Host", host));
        const auto authority = effective_authority(target, headers, Scheme::kHttps);
        EXPECT_EQ(authority ? to_string(*authority) : std::string(authority.error().code().name),
                  c.outcome);
    }
}

}  // namespace
}  // namespace eos::http
