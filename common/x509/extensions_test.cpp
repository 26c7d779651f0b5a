// SPDX-License-Identifier: AGPL-3.0-only
#include "common/x509/extensions.h"

#include <gtest/gtest.h>

#include "common/base/encoding.h"

namespace eos::x509 {
namespace {

IpAddress ip(std::string_view text) {
    return *IpAddress::parse(text);
}

TEST(Extensions, SubjectAltNameRoundTrips) {
    SubjectAltName names;
    names.dns_names = {"a.test", "*.b.test"};
    names.ip_addresses = {ip("192.0.2.1"), ip("::1")};
    SubjectAltName again =
        parse_subject_alt_name(make_subject_alt_name(names).value().value).value();
    EXPECT_EQ(again.dns_names, names.dns_names);
    EXPECT_EQ(again.ip_addresses, names.ip_addresses);
    EXPECT_EQ(again.other_count, 0u);
}

TEST(Extensions, MakersRefuse) {
    SubjectAltName names;
    EXPECT_EQ(make_subject_alt_name(names).error().code(), bad_extension);
    names.dns_names = {"not a name"};
    EXPECT_EQ(make_subject_alt_name(names).error().code(), bad_extension);
    names.dns_names.assign(kMaxGeneralNames + 1, "a.test");
    EXPECT_EQ(make_subject_alt_name(names).error().code(), too_many);
    NameConstraints constraints;
    EXPECT_EQ(make_name_constraints(constraints).error().code(), bad_extension);
    constraints.permitted_dns = {"*.test"};
    EXPECT_EQ(make_name_constraints(constraints).error().code(), bad_extension);
    constraints.permitted_dns = {".test"};
    EXPECT_EQ(make_name_constraints(constraints).error().code(), bad_extension);
    constraints.permitted_dns.clear();
    constraints.excluded_ip = {{ip("10.0.0.0"), 33}};
    EXPECT_EQ(make_name_constraints(constraints).error().code(), bad_extension);
    constraints.permitted_dns.assign(kMaxGeneralNames + 1, "a.test");
    EXPECT_EQ(make_name_constraints(constraints).error().code(), too_many);
}

TEST(Extensions, ParsersBoundTheirLists) {
    auto list = [](std::size_t count, std::string_view element) {
        DerWriter out;
        out.sequence([&] {
            for (std::size_t i = 0; i < count; ++i) out.raw(from_hex(element).value());
        });
        return std::move(out).take();
    };
    const std::string dns = "820161";
    EXPECT_TRUE(parse_subject_alt_name(list(kMaxGeneralNames, dns)).has_value());
    EXPECT_EQ(parse_subject_alt_name(list(kMaxGeneralNames + 1, dns)).error().code(), too_many);
    const std::string purpose = "06022a03";
    EXPECT_TRUE(parse_extended_key_usage(list(kMaxExtensions, purpose)).has_value());
    EXPECT_EQ(parse_extended_key_usage(list(kMaxExtensions + 1, purpose)).error().code(), too_many);
    DerWriter constraints;
    constraints.sequence([&] {
        constraints.constructed(context_constructed(0), [&] {
            for (std::size_t i = 0; i <= kMaxGeneralNames; ++i)
                constraints.raw(from_hex("3003" + dns).value());
        });
    });
    EXPECT_EQ(parse_name_constraints(constraints.view()).error().code(), too_many);
}

TEST(Extensions, DnsNames) {
    for (const char* good : {"a", "a.b", "A-1.b_c.test", "*.a", "xn--bcher-kva.example"})
        EXPECT_TRUE(is_dns_name(good)) << good;
    std::string longest = std::string(63, 'a') + "." + std::string(63, 'b') + "." +
                          std::string(63, 'c') + "." + std::string(61, 'd');
    EXPECT_TRUE(is_dns_name(longest));
    EXPECT_FALSE(is_dns_name(longest + "e"));
    EXPECT_FALSE(is_dns_name(std::string(64, 'a')));
    for (const char* bad : {"", ".", "a.", ".a", "a..b", "*", "*a.b", "a.*", "*.*.a", "-a", "a-",
                            "a b", "a/b", "bücher.example", "a:1"})
        EXPECT_FALSE(is_dns_name(bad)) << bad;
}

TEST(Extensions, WithinDns) {
    EXPECT_TRUE(is_within_dns("a.B.test", "b.TEST"));
    EXPECT_TRUE(is_within_dns("b.test", "b.test"));
    EXPECT_TRUE(is_within_dns("anything", ""));
    EXPECT_FALSE(is_within_dns("ab.test", "b.test"));
    EXPECT_FALSE(is_within_dns("test", "b.test"));
}

TEST(IpAddresses, TextAndBytes) {
    EXPECT_EQ(ip("192.0.2.1").text(), "192.0.2.1");
    EXPECT_EQ(hex(ip("192.0.2.1").bytes()), "c0000201");
    EXPECT_EQ(ip("2001:DB8:0:0::1").text(), "2001:db8::1");
    EXPECT_EQ(ip("::ffff:192.0.2.1").bytes().size(), 16u);  // mapped is not the IPv4 address
    EXPECT_FALSE(ip("::ffff:192.0.2.1") == ip("192.0.2.1"));
    for (const char* bad : {"", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "1.2.3.4 ", "[::1]",
                            "::1%lo", "::1/128", "a.test", "1.2.3.4:80"})
        EXPECT_FALSE(IpAddress::parse(bad).has_value()) << bad;
    EXPECT_FALSE(IpAddress::parse(std::string_view("::1\0", 4)).has_value());
    for (std::size_t size : {0, 3, 5, 15, 17})
        EXPECT_FALSE(IpAddress::from_bytes(Bytes(size)).has_value());
}

TEST(IpAddresses, Networks) {
    IpNetwork network{ip("10.32.0.0"), 11};
    EXPECT_TRUE(network.contains(ip("10.63.255.255")));
    EXPECT_FALSE(network.contains(ip("10.64.0.0")));
    EXPECT_FALSE(network.contains(ip("::10.32.0.0")));
    EXPECT_TRUE((IpNetwork{ip("::"), 0}.contains(ip("2001:db8::1"))));
    EXPECT_FALSE((IpNetwork{ip("::1"), 128}.contains(ip("::2"))));
}

}  // namespace
}  // namespace eos::x509
