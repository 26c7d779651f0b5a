// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/virtual/proxy/upstreams.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "trusted/virtual/proxy/fake_upstream_test.h"
#include "trusted/virtual/proxy/http2_upstream_test.h"
#include "trusted/virtual/proxy/upstream_client_test.h"

namespace eos::cvm::proxy {
namespace {

namespace fs = std::filesystem;

struct UpstreamsTest : testing::Test {
    template <typename Condition>
    void until(Condition condition) {
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
        while (!condition()) {
            ASSERT_LT(std::chrono::steady_clock::now(), deadline);
            turn();
        }
    }
    void turn() {
        loop.turn(1);
        upstreams.turn();
        upstream.turn();
    }
    UpstreamExchange* start(Recorder& heard) {
        return upstreams.start(pool, request_head(), Freshness::kAny, heard).value();
    }

    HandClock clock;
    os::EventLoop loop;
    FakeUpstream upstream;
    Upstreams upstreams{loop, clock};
    std::shared_ptr<UpstreamPool> pool;
};

/// An upstream that answers over HTTP/2, whole, and says goodbye before the client took half of it.
struct HeldAnswer : UpstreamsTest {
    HeldAnswer() {
        UpstreamConfig config;
        config.tcp = upstream.address;
        config.protocol = UpstreamProtocol::kHttp2;
        pool = std::make_shared<UpstreamPool>(config, 1);
        heard.room = 32 * 1024;
        exchange = start(heard);
        Http2Upstream spoken;
        until([&] {
            if (upstream.connections.empty()) return false;
            spoken.receive(std::exchange(upstream.connections[0].received, {}));
            upstream.connections[0].send(spoken.output());
            return spoken.requests[1].ended;
        });
        spoken.begin(1, {{":status", "200"}});
        spoken.say(1, std::string(60'000, 'x'));
        spoken.end(1);
        upstream.connections[0].send(spoken.output());
        ::shutdown(upstream.connections[0].fd.get(), SHUT_WR);
        until([this] { return pool->open_count() == 0; });
        EXPECT_EQ(heard.body.size(), 32U * 1024);
    }

    Recorder heard;
    UpstreamExchange* exchange = nullptr;
};

TEST_F(HeldAnswer, KeepsNoDescriptorWhoseUpstreamHasClosed) {
    until([this] { return upstream.connections[0].ended; });
    EXPECT_EQ(heard.outcome, "open");
}

TEST_F(HeldAnswer, IsTheLastThatItsConnectionIsKeptFor) {
    clock.ms += 60'000;  // no timer is left that would look at the connection
    turn();
    EXPECT_EQ(upstreams.next_deadline_ms(), std::nullopt);
    heard.room = 60'000;
    exchange->resume();
    turn();
    EXPECT_EQ(heard.outcome, "end");
    EXPECT_EQ(heard.body.size(), 60'000U);
    EXPECT_EQ(upstreams.count(), 0U);
}

TEST_F(HeldAnswer, IsForgottenWithItsClient) {
    turn();
    exchange->abandon();
    turn();
    EXPECT_EQ(upstreams.count(), 0U);
}

/// A service that listens on a Unix socket, with room for one connection that it did not take yet.
struct FullUnixSocket : UpstreamsTest {
    FullUnixSocket() {
        std::string pattern = fs::temp_directory_path() / "upstream-XXXXXX";
        EXPECT_NE(::mkdtemp(pattern.data()), nullptr);
        folder = pattern;
        UpstreamConfig config;
        config.unix_socket = folder / "u.sock";
        pool = std::make_shared<UpstreamPool>(config, 1);
        sockaddr_un own{};
        own.sun_family = AF_UNIX;
        std::memcpy(own.sun_path, config.unix_socket.c_str(), config.unix_socket.size() + 1);
        EXPECT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&own), sizeof own), 0);
        EXPECT_EQ(::listen(listener.get(), 0), 0);
        start(first);
        start(second);
        turn();
    }
    ~FullUnixSocket() override { fs::remove_all(folder); }
    /// Takes a connection, and answers what comes on it.
    void serve() {
        const os::UniqueFd fd(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
        ASSERT_TRUE(fd.valid());
        char request[4096];
        EXPECT_GT(::recv(fd.get(), request, sizeof request, 0), 0);
        constexpr std::string_view kOk = "HTTP/1.1 204 No Content\r\n\r\n";
        EXPECT_EQ(::send(fd.get(), kOk.data(), kOk.size(), MSG_NOSIGNAL),
                  static_cast<ssize_t>(kOk.size()));
    }

    fs::path folder;
    os::UniqueFd listener{::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
    Recorder first;
    Recorder second;
};

TEST_F(FullUnixSocket, IsTriedAgainUntilThereIsRoom) {
    EXPECT_EQ(second.outcome, "open");
    clock.ms += 10;
    turn();
    EXPECT_EQ(second.outcome, "open") << "there is none yet";
    serve();
    clock.ms = upstreams.next_deadline_ms().value();
    turn();
    serve();
    until([this] { return second.outcome != "open"; });
    EXPECT_EQ(first.outcome, "end");
    EXPECT_EQ(second.outcome, "end");
    EXPECT_EQ(second.status, 204);
}

TEST_F(FullUnixSocket, IsTriedNoLongerThanConnectingMayTake) {
    clock.ms += pool->config().connect_timeout_s * 1000 - 1;
    turn();
    EXPECT_EQ(second.outcome, "open");
    clock.ms += 1;
    turn();
    EXPECT_EQ(second.outcome, "connect timeout");
    EXPECT_EQ(first.outcome, "open");
}

}  // namespace
}  // namespace eos::cvm::proxy
