// SPDX-License-Identifier: AGPL-3.0-only
// How many connections there may be to all upstreams together, and who makes room.
#include <gtest/gtest.h>

#include <chrono>

#include "trusted/runtime/http_test_peer.h"
#include "trusted/virtual/proxy/fake_upstream_test.h"
#include "trusted/virtual/proxy/forwarder.h"

namespace eos::cvm::proxy {
namespace {

constexpr std::string_view kOk = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

runtime::ConnectionInfo connection_to(const std::string& app) {
    runtime::ConnectionInfo info;
    info.server_name = app + ".example";
    info.kind = runtime::NameKind::kApp;
    info.app = app;
    info.sent_server_name = true;
    return info;
}

/// Two routes with an upstream each, a client of each, and one connection for both.
struct UpstreamBound : testing::Test {
    /// A client and the upstream that it talks to.
    struct Side {
        explicit Side(const std::string& app) : client(connection_to(app), {}) {
            route.name = app;
            route.hostname = app + ".example";
            route.upstream.tcp = upstream.address;
        }
        FakeUpstream upstream;
        RouteConfig route;
        runtime::TestPeer client;
    };

    UpstreamBound() {
        Config config;
        config.routes = {a.route, b.route};
        forwarder.set_routes(make_routes(config, RouteTable(), 1));
        for (Side* side : {&a, &b}) {
            side->client.dispatcher.serve = [this](http::RequestHead head,
                                                   const runtime::ConnectionInfo& info,
                                                   runtime::Exchange exchange) {
                return forwarder.dispatch(std::move(head), info, std::move(exchange));
            };
        }
    }
    ~UpstreamBound() override {
        a.client.connection.reset();
        b.client.connection.reset();
    }

    template <typename Condition>
    void until(Condition condition) {
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
        while (!condition()) {
            ASSERT_LT(std::chrono::steady_clock::now(), deadline);
            loop.turn(1);
            upstreams.turn();
            for (Side* side : {&a, &b}) {
                side->client.run();
                side->upstream.turn();
            }
            upstreams.turn();
        }
    }
    void ask(Side& side) {
        side.client.send("GET / HTTP/1.1\r\nHost: " + side.route.hostname + "\r\n\r\n");
    }
    void until_asked(Side& side) {
        until([&] { return !side.upstream.connections.empty(); });
        until([&] { return side.upstream.connections[0].received.ends_with("\r\n\r\n"); });
    }
    int status(Side& side) {
        until([&] { return side.client.sink.written.find("\r\n\r\n") != std::string::npos; });
        return runtime::read_response(side.client.take_written()).status;
    }

    Side a{"a"};
    Side b{"b"};
    os::EventLoop loop;
    Upstreams upstreams{loop, a.client.clock, 1};
    os::LineSink sink{-1};
    AccessLog access_log{sink, os::LogFormat::text};
    Forwarder forwarder{{upstreams, a.client.clock, access_log}, {}};
};

TEST_F(UpstreamBound, WhileEveryOneIsInUseARequestIsToldToComeBack) {
    ask(a);
    until_asked(a);
    ask(b);
    EXPECT_EQ(status(b), 503);
    EXPECT_TRUE(b.upstream.connections.empty());
    a.upstream.connections[0].send(kOk);
    EXPECT_EQ(status(a), 200) << "what was under way is not disturbed";
}

TEST_F(UpstreamBound, OneThatIsKeptForAnotherUpstreamMakesRoom) {
    ask(a);
    until_asked(a);
    a.upstream.connections[0].send(kOk);
    EXPECT_EQ(status(a), 200);
    ask(b);
    until_asked(b);
    until([this] { return a.upstream.connections[0].ended; });
    b.upstream.connections[0].send(kOk);
    EXPECT_EQ(status(b), 200);
    EXPECT_EQ(upstreams.count(), 1U);
}

}  // namespace
}  // namespace eos::cvm::proxy
