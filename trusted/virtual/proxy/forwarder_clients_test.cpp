// SPDX-License-Identifier: AGPL-3.0-only
// What clients hold of an upstream: no longer than they are there, and no more than their share.
#include "trusted/runtime/http2_test_peer.h"
#include "trusted/virtual/proxy/forwarder_fixture_test.h"

namespace eos::cvm::proxy {
namespace {

constexpr std::string_view kOk = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
constexpr std::string_view kEvents =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n";

struct LeavingClient : ForwarderTest {
    /// The client's transport ends; nothing else happens. Whether that ended its request, too.
    bool leaves() {
        client.connection->peer_left();
        client.run();
        until([this] { return at(0).ended; });
        return client.sink.aborted && upstreams.count() == 0 && outcomes(Outcome::kClientGone) == 1;
    }
};

TEST_F(LeavingClient, IsNoticedWhileItsAnswerIsAwaited) {
    client.send(get());
    until_asked();
    EXPECT_TRUE(leaves());
    EXPECT_EQ(lines(),
              "client=9.0.0.9 route=a method=GET status=0 outcome=client_gone request_bytes=0 "
              "response_bytes=0 duration_ms=0\n");
}

TEST_F(LeavingClient, IsNoticedBetweenTwoEvents) {
    client.send(get());
    until_asked();
    at(0).send(kEvents);
    until([this] { return client.sink.written.find("data: 1") != std::string::npos; });
    EXPECT_TRUE(leaves());
}

TEST_F(LeavingClient, IsNoticedWhileItTakesNothing) {
    client.sink.window = 1000;
    client.send(get());
    until_asked();
    at(0).send("HTTP/1.1 200 OK\r\nContent-Length: 500000\r\n\r\n" + std::string(200'000, 'x'));
    until([this] { return client.sink.window == 0; });
    EXPECT_TRUE(leaves());
}

TEST_F(LeavingClient, IsNoticedWhileTheUpstreamTakesNothingOfItsBody) {
    client.send(post("Content-Length: 100000000", ""));
    until([&] { return upstream.connections.size() == 1; });
    at(0).reads = false;
    const std::string piece(256 * 1024, 'x');
    while (client.connection->wants_input()) {
        if (client.input.empty()) client.send(piece);
        turn();
    }
    client.connection->peer_left();
    client.run();
    EXPECT_EQ(outcomes(Outcome::kClientGone), 1U);
    until([this] { return upstreams.count() == 0; });
}

TEST_F(LeavingClient, IsNoticedBeforeItsRequestWentOut) {
    client.send(get());
    client.connection->peer_left();
    client.run();
    until([this] { return upstreams.count() == 0; });
    for (int i = 0; i < 5; ++i) turn();
    EXPECT_TRUE(upstream.connections.empty() || upstream.connections[0].received.empty());
    EXPECT_EQ(outcomes(Outcome::kClientGone), 1U);
}

TEST_F(LeavingClient, WithoutATransportsEndGetsItsAnswer) {
    client.send(get());
    until_asked();
    client.connection->input_ended();  // it sends no more
    client.run();
    for (int i = 0; i < 5; ++i) turn();
    EXPECT_FALSE(at(0).ended);
    at(0).send(kOk);
    EXPECT_EQ(answer().body, "ok");
    EXPECT_TRUE(client.sink.finished);
}

TEST_F(LeavingClient, OfATunnelEndsItsHalf) {
    client.send(
        get("/chat", "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n"));
    until_asked();
    at(0).send(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    until([this] { return client.sink.written.starts_with("HTTP/1.1 101 "); });
    client.send("last");
    client.connection->input_ended();
    client.connection->peer_left();
    client.run();
    until([this] { return at(0).ended; });
    EXPECT_TRUE(at(0).received.ends_with("last"));
    EXPECT_FALSE(client.is_over()) << "the service ends the other";
    at(0).close();
    until([this] { return client.is_over(); });
    EXPECT_EQ(outcomes(Outcome::kAnswered), 1U);
}

/// A client that speaks HTTP/2.
struct LeavingHttp2Client : ForwarderTest {
    LeavingHttp2Client() {
        peer.dispatcher.serve = [this](http::RequestHead head, const runtime::ConnectionInfo&,
                                       runtime::Exchange exchange) {
            return forwarder.dispatch(std::move(head), workload_connection(), std::move(exchange));
        };
    }
    ~LeavingHttp2Client() override { peer.connection.reset(); }
    runtime::ClientPeer peer{{}, true};
};

TEST_F(LeavingHttp2Client, BreaksItsOwnRequestOffAndNoOther) {
    const auto first = peer.request(runtime::request_fields("GET", "/1"));
    until_asked();
    const auto second = peer.request(runtime::request_fields("GET", "/2"));
    until_asked(1);
    peer.reset(first);
    until([this] { return at(0).ended; });
    EXPECT_EQ(outcomes(Outcome::kClientGone), 1U);
    at(1).send(kOk);
    until([&] {
        peer.run();
        return peer.answers[second].closed;
    });
    EXPECT_EQ(peer.answers[second].body, "ok");
}

TEST_F(LeavingHttp2Client, TakesAllItsRequestsAlong) {
    for (const char* path : {"/1", "/2"}) peer.request(runtime::request_fields("GET", path));
    until_asked(1);
    peer.connection->input_ended();
    peer.connection->peer_left();
    peer.run();
    until([this] { return at(0).ended && at(1).ended; });
    EXPECT_EQ(outcomes(Outcome::kClientGone), 2U);
    EXPECT_TRUE(peer.is_over());
}

/// Clients of several networks, and four connections to the upstream.
struct ClientShare : ForwarderTest {
    ClientShare() { have(4); }
    ~ClientShare() override {
        for (auto& peer : peers) peer->connection.reset();
    }
    void have(std::uint64_t connections, std::uint64_t percent = 75) {
        route.upstream.connections = connections;
        route.upstream.client_share_percent = percent;
        serve();
    }
    /// A client with a request under way.
    TestPeer& ask(ByteArray<16> address, std::string_view request = "") {
        runtime::ConnectionInfo info = workload_connection();
        info.client_address = address;
        peers.push_back(std::make_unique<TestPeer>(info, runtime::Http1Limits{}));
        peers.back()->dispatcher.serve = client.dispatcher.serve;
        peers.back()->send(request.empty() ? get() : std::string(request));
        return *peers.back();
    }
    TestPeer& ask_from(int network) { return ask(v6(network, static_cast<int>(peers.size()))); }
    /// Of another host each.
    static ByteArray<16> v6(int network, int host) {
        ByteArray<16> out{};
        out[0] = std::byte{0x20};
        out[7] = static_cast<std::byte>(network);
        out[15] = static_cast<std::byte>(host);
        return out;
    }
    static ByteArray<16> v4(int last) {
        ByteArray<16> out{};
        out[10] = out[11] = std::byte{0xff};
        out[15] = static_cast<std::byte>(last);
        return out;
    }
    static int status(TestPeer& peer) {
        return peer.sink.written.empty() ? 0 : read_response(peer.sink.written).status;
    }
    /// All that were asked are answered.
    void answer_all() {
        until([this] {
            for (auto& one : upstream.connections) {
                if (!one.fd.valid() || !one.received.ends_with("\r\n\r\n")) continue;
                one.received.clear();
                one.send(kOk);
            }
            bool done = true;
            for (auto& peer : peers) {
                peer->run();
                done = done && peer->sink.written.ends_with("ok");
            }
            return done;
        });
        peers.clear();
    }
    std::vector<std::unique_ptr<TestPeer>> peers;
};

TEST_F(ClientShare, OneNetworkLeavesSomethingForOthers) {
    for (int i = 0; i < 3; ++i) EXPECT_EQ(status(ask_from(1)), 0);
    TestPeer& refused = ask_from(1);
    const ReadResponse response = read_response(refused.sink.written);
    EXPECT_EQ(response.status, 429);
    EXPECT_EQ(response.headers.first("retry-after"), "1");
    EXPECT_EQ(response.body,
              R"({"error":"your network has its share of the connections to this service"})");
    EXPECT_EQ(outcomes(Outcome::kOverShare), 1U);
    EXPECT_NE(
        route_metrics(*routes).find("proxy_requests_total{route=\"a\",outcome=\"over_share\"} 1\n"),
        std::string::npos);
    EXPECT_EQ(lines(),
              "client=2000:0:0:1::3 route=a method=GET status=429 outcome=over_share "
              "request_bytes=0 response_bytes=0 duration_ms=0\n");
    EXPECT_EQ(status(ask_from(2)), 0) << "which is not refused";
    peers.erase(peers.begin() + 3);
    answer_all();
    EXPECT_EQ(outcomes(Outcome::kAnswered), 4U);
}

TEST_F(ClientShare, WhereNothingIsLeftNobodysShareIsToBlame) {
    for (int i = 0; i < 3; ++i) ask_from(1);
    ask_from(2);
    EXPECT_EQ(status(ask_from(1)), 503);
    EXPECT_EQ(status(ask_from(3)), 503);
    EXPECT_EQ(outcomes(Outcome::kOverShare), 0U);
    EXPECT_EQ(outcomes(Outcome::kOverloaded), 2U);
}

TEST_F(ClientShare, AnAddressOfIpv4IsANetwork) {
    for (int i = 0; i < 3; ++i) EXPECT_EQ(status(ask(v4(1))), 0);
    EXPECT_EQ(status(ask(v4(1))), 429);
    EXPECT_EQ(status(ask(v4(2))), 0);
}

TEST_F(ClientShare, AnUploadThatStandsStillCounts) {
    for (int i = 0; i < 3; ++i) ask(v6(1, i), post("Content-Length: 9", "slow"));
    EXPECT_EQ(status(ask_from(1)), 429);
}

TEST_F(ClientShare, WhatIsAnsweredCountsNoMore) {
    for (int round = 0; round < 3; ++round) {
        for (int i = 0; i < 3; ++i) EXPECT_EQ(status(ask_from(1)), 0);
        answer_all();
    }
    EXPECT_EQ(outcomes(Outcome::kAnswered), 9U);
}

TEST_F(ClientShare, WhoLeavesCountsNoMore) {
    for (int i = 0; i < 3; ++i) ask_from(1);
    EXPECT_EQ(status(ask_from(1)), 429);
    peers[0]->connection->peer_left();
    for (int i = 0; i < 5; ++i) turn();
    EXPECT_EQ(status(ask_from(1)), 0);
    EXPECT_EQ(status(ask_from(1)), 429);
}

TEST_F(ClientShare, ARequestThatFailsCountsNoMore) {
    for (int i = 0; i < 3; ++i) ask_from(1);
    until_asked(2);
    at(1).reset();
    until([this] {
        peers[1]->run();
        return status(*peers[1]) == 502;
    });
    EXPECT_EQ(status(ask_from(1)), 0);
    EXPECT_EQ(status(ask_from(1)), 429);
}

TEST_F(ClientShare, ARequestThatIsSentAgainCountsOnce) {
    have(2);
    client.send(get());
    until_asked();
    at(0).send(kOk);
    answer();
    client.send(get("/second"));
    at(0).close();  // while it is on its way
    until_asked(1);
    EXPECT_EQ(status(ask(client.info.client_address)), 429) << "one of two it has";
    at(1).send(kOk);
    EXPECT_EQ(answer().status, 200);
    EXPECT_EQ(status(ask(client.info.client_address)), 0);
}

TEST_F(ClientShare, AHundredPercentIsNoBound) {
    have(4, 100);
    for (int i = 0; i < 4; ++i) EXPECT_EQ(status(ask_from(1)), 0);
    EXPECT_EQ(status(ask_from(1)), 503);
}

TEST_F(ClientShare, OneThatIsAloneHasThreeQuartersIfNothingElseIsSaid) {
    have(128, UpstreamConfig().client_share_percent);
    for (int i = 0; i < 96; ++i) ASSERT_EQ(status(ask_from(1)), 0) << i;
    EXPECT_EQ(status(ask_from(1)), 429);
}

TEST_F(ClientShare, WhatOtherRoutesHaveInUseIsNotThere) {
    Upstreams few(loop, client.clock, 4);
    Forwarder bounded({few, client.clock, access_log}, {});
    RouteConfig other = route;
    other.name = "b";
    other.hostname = "b.example";
    Config config;
    config.routes = {route, other};
    config.routes[0].upstream.connections = config.routes[1].upstream.connections = 1024;
    bounded.set_routes(make_routes(config, RouteTable(), 1));
    const auto ask_of = [&](const std::string& name, int network) {
        runtime::ConnectionInfo info = workload_connection();
        info.server_name = name;
        info.client_address = v6(network, 1);
        peers.push_back(std::make_unique<TestPeer>(info, runtime::Http1Limits{}));
        peers.back()->dispatcher.serve = [&](http::RequestHead head,
                                             const runtime::ConnectionInfo& connection,
                                             runtime::Exchange exchange) {
            return bounded.dispatch(std::move(head), connection, std::move(exchange));
        };
        peers.back()->send("GET / HTTP/1.1\r\nHost: " + name + "\r\n\r\n");
        return status(*peers.back());
    };
    EXPECT_EQ(ask_of("b.example", 9), 0);
    // Of four descriptors three are left, of which one network has two.
    EXPECT_EQ(ask_of("a.example", 1), 0);
    EXPECT_EQ(ask_of("a.example", 1), 0);
    EXPECT_EQ(ask_of("a.example", 1), 429);
    EXPECT_EQ(ask_of("a.example", 2), 0);
    for (auto& peer : peers) peer->connection.reset();
}

}  // namespace
}  // namespace eos::cvm::proxy
