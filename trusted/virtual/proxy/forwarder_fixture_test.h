// SPDX-License-Identifier: AGPL-3.0-only
// For tests: a client's connection, the forwarder, and an upstream that does what a test says: over
// real sockets, in a loop that the test turns.
#pragma once

#include <gtest/gtest.h>

#include <chrono>

#include "trusted/runtime/http_test_peer.h"
#include "trusted/virtual/proxy/fake_upstream_test.h"
#include "trusted/virtual/proxy/forwarder.h"

namespace eos::cvm::proxy {

using runtime::read_response;
using runtime::ReadResponse;
using runtime::TestPeer;

inline constexpr auto kPatience = std::chrono::seconds(10);

inline runtime::ConnectionInfo workload_connection() {
    runtime::ConnectionInfo info;
    info.server_name = "a.example";
    info.kind = runtime::NameKind::kApp;
    info.app = "a";
    info.sent_server_name = true;
    info.client_address[10] = info.client_address[11] = std::byte{0xff};
    info.client_address[12] = info.client_address[15] = std::byte{9};
    return info;
}

/// One route, a client of it, and the loop between them.
struct ForwarderTest : testing::Test {
    ForwarderTest() {
        route.name = "a";
        route.hostname = "a.example";
        route.upstream.tcp = upstream.address;
        serve();
        client.dispatcher.tunnels = true;
        client.dispatcher.serve = [this](http::RequestHead head,
                                         const runtime::ConnectionInfo& info,
                                         runtime::Exchange exchange) {
            return forwarder.dispatch(std::move(head), info, std::move(exchange));
        };
    }
    ~ForwarderTest() override { client.connection.reset(); }
    void serve() {
        Config config;
        config.routes = {route};
        routes = make_routes(config, *routes, 1);
        forwarder.set_routes(routes);
    }
    void turn() {
        loop.turn(1);
        upstreams.turn();
        client.run();
        upstreams.turn();
        upstream.turn();
    }
    template <typename Condition>
    void until(Condition condition) {
        const auto deadline = std::chrono::steady_clock::now() + kPatience;
        while (!condition()) {
            ASSERT_LT(std::chrono::steady_clock::now(), deadline);
            turn();
        }
    }
    FakeUpstream::Connection& at(std::size_t index) { return upstream.connections.at(index); }
    /// Waits until the upstream's connection `index` got a request's end.
    void until_asked(std::size_t index = 0, std::string_view end = "\r\n\r\n") {
        until([&] {
            return upstream.connections.size() > index && at(index).received.ends_with(end);
        });
    }
    ReadResponse answer(http::Method method = http::Method::kGet) {
        until([&] { return client.sink.written.find("\r\n\r\n") != std::string::npos; });
        for (int i = 0; i < 5; ++i) turn();
        return read_response(client.take_written(), method);
    }
    /// The number of the route's requests with that outcome, once `client` is done with them.
    std::uint64_t outcomes(Outcome outcome) const {
        return routes->at("a.example")
            ->statistics->at(0)
            .outcomes[static_cast<std::size_t>(outcome)]
            .get();
    }
    /// The number of its answers of a class: 2 for 2xx.
    std::uint64_t answers(std::size_t status_class) const {
        return routes->at("a.example")->statistics->at(0).answers[status_class - 2].get();
    }
    static std::string get(std::string_view path = "/x", std::string_view fields = "") {
        return "GET " + std::string(path) + " HTTP/1.1\r\nHost: a.example\r\n" +
               std::string(fields) + "\r\n";
    }
    static std::string post(std::string_view fields, std::string_view body) {
        return "POST /p HTTP/1.1\r\nHost: a.example\r\n" + std::string(fields) + "\r\n\r\n" +
               std::string(body);
    }

    FakeUpstream upstream;
    RouteConfig route;
    std::shared_ptr<const RouteTable> routes = std::make_shared<const RouteTable>();
    TestPeer client{workload_connection(), {}};
    os::EventLoop loop;
    Upstreams upstreams{loop, client.clock};
    os::LineSink sink{-1};
    AccessLog access_log{sink, os::LogFormat::text};
    Forwarder forwarder{{upstreams, client.clock, access_log}, {}};
};

}  // namespace eos::cvm::proxy
