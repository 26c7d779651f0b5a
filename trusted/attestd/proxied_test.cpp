// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/attestd/proxied.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/x509/ip_address.h"
#include "trusted/os/local_socket.h"
#include "trusted/os/unique_fd.h"

namespace eos::attestd {
namespace {

Result<ByteArray<16>> address_in(std::initializer_list<const char*> values) {
    http::Headers headers;
    for (const char* value : values) EXPECT_TRUE(headers.add("X-Forwarded-For", value));
    return client_address(headers);
}

ByteArray<16> bytes_of(const char* address) {
    return to_array<16>(x509::IpAddress::parse(address).value().bytes());
}

TEST(ClientAddress, OfIpv4AllOfIpv6TheNetwork) {
    EXPECT_EQ(address_in({"192.0.2.1"}).value(), bytes_of("::ffff:192.0.2.1"));
    EXPECT_EQ(address_in({"::ffff:192.0.2.1"}).value(), bytes_of("::ffff:192.0.2.1"));
    EXPECT_EQ(address_in({"2001:db8:1:2:3:4:5:6"}).value(), bytes_of("2001:db8:1:2::"));
}

TEST(ClientAddress, AbsentIsAllZeros) {
    EXPECT_TRUE(all_zero(address_in({}).value()));
    http::Headers others;
    EXPECT_TRUE(others.add("X-Real-IP", "192.0.2.1"));
    EXPECT_TRUE(others.add("Forwarded", "for=192.0.2.1"));
    EXPECT_TRUE(all_zero(client_address(others).value()));
}

TEST(ClientAddress, IsOneOrRefused) {
    for (const char* value : {"", "unknown", "192.0.2.1, 192.0.2.2", "192.0.2.1,", "192.0.2.1:80",
                              "[2001:db8::1]", "192.0.2", "192.0.2.256", "2001:db8::1%eth0"}) {
        const auto address = address_in({value});
        ASSERT_FALSE(address) << value;
        EXPECT_EQ(address.error().code(), bad_client_address);
    }
    EXPECT_EQ(address_in({"192.0.2.1", "192.0.2.1"}).error().code(), bad_client_address);
}

TEST(Proxy, IsKnownByItsUserAlone) {
    int ends[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    const os::UniqueFd one(ends[0]);
    const os::UniqueFd two(ends[1]);
    EXPECT_TRUE(check_is_proxy(one.get(), ::geteuid()));
    EXPECT_EQ(check_is_proxy(one.get(), ::geteuid() + 1).error().code(), not_the_proxy);
    const os::UniqueFd tcp(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_FALSE(check_is_proxy(tcp.get(), ::geteuid())) << "where nobody is, nobody is the proxy";
}

}  // namespace
}  // namespace eos::attestd
