// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/os/listener.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "common/x509/ip_address.h"
#include "trusted/os/local_socket.h"

namespace eos::os {
namespace {

constexpr int kWaitMs = 5000;

/// A listener on this machine, and what came in.
struct World {
    explicit World(const char* host) {
        listener = Listener::open(loop, {host, 0}, [this](UniqueFd, const ByteArray<16>& peer) {
                       peers.push_back(peer);
                   }).value();
    }

    /// An IPv4 client whose address is `source`.
    UniqueFd connect_from(const char* source) const {
        UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_in own{};
        own.sin_family = AF_INET;
        EXPECT_EQ(::inet_pton(AF_INET, source, &own.sin_addr), 1);
        EXPECT_EQ(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&own), sizeof own), 0);
        sockaddr_in target{};
        target.sin_family = AF_INET;
        target.sin_port = htons(listener->address().port);
        target.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        EXPECT_EQ(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&target), sizeof target),
                  0);
        return fd;
    }

    EventLoop loop;
    std::unique_ptr<Listener> listener;
    std::vector<ByteArray<16>> peers;
};

/// As IPv6 has it.
ByteArray<16> mapped(const char* address) {
    return to_array<16>(x509::IpAddress::parse(address).value().bytes());
}

TEST(Listener, Ipv4ClientsAreDistinctOnEveryKindOfSocket) {
    for (const char* host : {"127.0.0.1", "::ffff:127.0.0.1"}) {
        World world(host);
        UniqueFd one = world.connect_from("127.0.0.1");
        UniqueFd two = world.connect_from("127.0.0.2");
        world.loop.turn(kWaitMs);
        ASSERT_EQ(world.peers.size(), 2U) << host;
        EXPECT_EQ(world.peers[0], mapped("::ffff:127.0.0.1")) << host;
        EXPECT_EQ(world.peers[1], mapped("::ffff:127.0.0.2")) << host;
    }
}

TEST(Listener, WithoutDescriptorsItWaitsAndThenGoesOn) {
    World world("127.0.0.1");
    rlimit limit{};
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
    UniqueFd client = world.connect_from("127.0.0.1");
    // The next descriptor would be the one after the client's.
    const rlimit none{static_cast<rlim_t>(client.get()) + 1, limit.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
    world.loop.turn(kWaitMs);
    world.listener->turn(1000);
    EXPECT_TRUE(world.peers.empty());
    EXPECT_EQ(world.listener->next_deadline_ms(), 1100U);
    world.loop.turn(0);
    EXPECT_TRUE(world.peers.empty());
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
    world.listener->turn(1099);
    world.loop.turn(0);
    EXPECT_TRUE(world.peers.empty());
    world.listener->turn(1100);
    EXPECT_EQ(world.listener->next_deadline_ms(), std::nullopt);
    world.loop.turn(kWaitMs);
    EXPECT_EQ(world.peers.size(), 1U);
}

TEST(Listener, ByAUnixSocketTheKernelSaysWhoComes) {
    std::string folder = std::filesystem::temp_directory_path() / "listener-XXXXXX";
    ASSERT_NE(::mkdtemp(folder.data()), nullptr);
    EventLoop loop;
    std::vector<uid_t> users;
    const auto listener = Listener::open_local(
        loop, folder + "/s", 0600, [&](UniqueFd fd, const ByteArray<16>& peer) {
            EXPECT_TRUE(all_zero(peer));
            users.push_back(local_peer(fd.get()).value().user);
        });
    ASSERT_TRUE(listener) << listener.error().message();
    const UniqueFd one = connect_local(folder + "/s").value();
    const UniqueFd two = connect_local(folder + "/s").value();
    loop.turn(kWaitMs);
    EXPECT_EQ(users, (std::vector<uid_t>{::geteuid(), ::geteuid()}));
    EXPECT_FALSE(Listener::open_local(loop, folder + "/none/s", 0600, {}));
    std::filesystem::remove_all(folder);
}

TEST(Listener, OneAddressCanBeShared) {
    World world("127.0.0.1");
    const ListenAddress address = world.listener->address();
    const auto ignore = [](UniqueFd, const ByteArray<16>&) {};
    EXPECT_FALSE(Listener::open(world.loop, address, ignore));
    const auto first =
        Listener::open(world.loop, {"127.0.0.1", 0}, ignore, Listener::Sharing::kShared);
    ASSERT_TRUE(first);
    EXPECT_TRUE(
        Listener::open(world.loop, (*first)->address(), ignore, Listener::Sharing::kShared));
    EXPECT_FALSE(Listener::open(world.loop, (*first)->address(), ignore));
}

}  // namespace
}  // namespace eos::os
