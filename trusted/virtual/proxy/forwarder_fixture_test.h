// SPDX-License-Identifier: AGPL-3.0-only
// For tests: a client's connection, the forwarder, and an upstream that does what a test says: over
// real sockets, in a loop that the test turns.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <chrono>

#include "trusted/runtime/http_test_peer.h"
#include "trusted/virtual/proxy/fake_upstream_test.h"
#include "trusted/virtual/proxy/forwarder.h"
#include "trusted/virtual/proxy/refusals.h"

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

/// A pipe.
/// returns: where the log is written to, which stays open: its thread may outlive a test.
inline int open_log(os::UniqueFd& reader) {
    int ends[2];
    EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    reader = os::UniqueFd(ends[0]);
    return ends[1];
}

/// One route, a client of it, and the loop between them.
struct ForwarderTest : testing::Test {
    ForwarderTest() {
        client.observer.also = &refusals;
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
        refusals.set_routes(routes);
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
    /// The access log's lines so far, without the time: there is one at least.
    std::string lines() {
        access_log.turn(client.clock.now_ms + AccessLog::kFlushMs);
        pollfd readable{log_reader.get(), POLLIN, 0};
        const auto patience_ms = std::chrono::milliseconds(kPatience).count();
        if (::poll(&readable, 1, static_cast<int>(patience_ms)) != 1) return "nothing";
        std::array<char, 4096> text;
        const ssize_t count = ::read(log_reader.get(), text.data(), text.size());
        std::string out(text.data(), count > 0 ? static_cast<std::size_t>(count) : 0);
        const std::string time = rfc3339(client.clock.now()) + " info request ";
        for (std::size_t at = 0; (at = out.find(time)) != std::string::npos;) {
            out.erase(at, time.size());
        }
        return out;
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
    os::UniqueFd log_reader;
    os::LineSink sink{open_log(log_reader)};
    AccessLog access_log{sink, os::LogFormat::text};
    LoopMetrics metrics;
    Refusals refusals{{client.clock, access_log, metrics}, 0};
    Forwarder forwarder{{upstreams, client.clock, access_log}, {}};
};

}  // namespace eos::cvm::proxy
