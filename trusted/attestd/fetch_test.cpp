// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/attestd/fetch.h"

#include <gtest/gtest.h>

#include "common/x509/ip_address.h"

namespace eos::attestd {
namespace {

bool reaches(Reach reach, const char* address) {
    return is_within(reach, x509::IpAddress::parse(address).value().bytes());
}

TEST(Fetch, LeadsToNoSpecialAddress) {
    for (const char* address : {"192.0.2.7", "10.0.0.1", "2001:db8::1", "2001:1::1", "2003::1",
                                "fd00::1", "100.63.0.1", "100.128.0.1"}) {
        EXPECT_TRUE(reaches(Reach::elsewhere, address)) << address;
    }
    for (const char* address : {"127.0.0.1",
                                "127.9.9.9",
                                "0.0.0.0",
                                "0.1.2.3",
                                "169.254.169.254",
                                "224.0.0.1",
                                "255.255.255.255",
                                "::",
                                "::1",
                                "fe80::1",
                                "febf::1",
                                "ff02::1",
                                "::ffff:127.0.0.1",
                                "::ffff:169.254.169.254",
                                "::127.0.0.1",
                                "64:ff9b::7f00:1",
                                "2002:7f00:1::1",
                                "2001::1",
                                "2001:0:a9fe:a9fe::1",
                                "fd00:ec2::254",
                                "100.64.0.1",
                                "100.100.100.200",
                                "100.127.255.255"}) {
        EXPECT_FALSE(reaches(Reach::elsewhere, address)) << address;
    }
    EXPECT_TRUE(reaches(Reach::loopback_as_well, "127.0.0.1"));
    EXPECT_TRUE(reaches(Reach::loopback_as_well, "::1"));
    EXPECT_FALSE(reaches(Reach::loopback_as_well, "169.254.169.254"));
    EXPECT_FALSE(is_within(Reach::elsewhere, {}));
}

TEST(Fetch, TakesHttpsAddressesOnly) {
    Url url = parse_url("https://id.example:8443/a/b?c=d", Reach::elsewhere).value();
    EXPECT_EQ(url.host, "id.example");
    EXPECT_EQ(url.port, 8443);
    EXPECT_EQ(url.path, "/a/b?c=d");
    EXPECT_EQ(parse_url("https://id.example", Reach::elsewhere).value().path, "/");
    EXPECT_EQ(parse_url("https://id.example?x", Reach::elsewhere).value().path, "/?x");
    EXPECT_EQ(parse_url("https://[2001:db8::1]/", Reach::elsewhere).value().host, "2001:db8::1");
    for (const char* text :
         {"", "id.example", "http://id.example/", "file:///etc/passwd", "https://", "https:///x",
          "https://user@id.example/", "https://id.example/#x", "https://id.example/a b",
          "https://id.example:99999/", "https://id.example\\@evil/", "HTTPS://id.example/"}) {
        EXPECT_FALSE(parse_url(text, Reach::elsewhere).has_value()) << text;
    }
    EXPECT_TRUE(parse_url("http://127.0.0.1:1/", Reach::loopback_as_well).has_value());
    EXPECT_EQ(fetch("https://127.0.0.1:1/x", {}).error().code(), address_refused);
    EXPECT_EQ(fetch("https://localhost:1/x", {}).error().code(), address_refused);
}

}  // namespace
}  // namespace eos::attestd
