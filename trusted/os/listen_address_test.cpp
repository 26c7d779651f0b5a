// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/os/listen_address.h"

#include <gtest/gtest.h>

namespace eos::os {
namespace {

TEST(ListenAddress, IsReadAndWrittenAlike) {
    for (const char* text : {"127.0.0.1:8443", "[::1]:8443", "0.0.0.0:0", "[::ffff:127.0.0.1]:1"}) {
        Result<ListenAddress> address = parse_listen_address(text);
        ASSERT_TRUE(address.has_value()) << text;
        EXPECT_EQ(address->text(), text);
    }
}

TEST(ListenAddress, AnythingElseIsRefused) {
    for (const char* text : {"", "localhost:1", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536",
                             "127.0.0.1:8x", "::1:8443", "[127.0.0.1]:1", "[::1]", "[::1:1"}) {
        Result<ListenAddress> address = parse_listen_address(text);
        ASSERT_FALSE(address.has_value()) << text;
        EXPECT_EQ(address.error().code(), bad_address) << text;
    }
}

TEST(ListenAddress, KnowsThisMachine) {
    EXPECT_TRUE(parse_listen_address("127.1.2.3:1")->is_loopback());
    EXPECT_TRUE(parse_listen_address("[::1]:1")->is_loopback());
    for (const char* text : {"0.0.0.0:1", "192.0.2.1:1", "[::]:1", "[::ffff:127.0.0.1]:1"}) {
        EXPECT_FALSE(parse_listen_address(text)->is_loopback()) << text;
    }
}

}  // namespace
}  // namespace eos::os
