// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/virtual/proxy/forwarder.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include "trusted/virtual/proxy/forwarder_fixture_test.h"
#include "trusted/virtual/proxy/request_fields.h"

namespace eos::cvm::proxy {
namespace {

constexpr std::string_view kOk = "HTTP/1.1 200 OK\r\nServer: up\r\nContent-Length: 2\r\n\r\nok";

TEST_F(ForwarderTest, ForwardsARequestAndItsAnswer) {
    client.send(get("/x?y=z", "Accept: */*\r\nX-Forwarded-For: 1.2.3.4\r\n"));
    until_asked();
    EXPECT_EQ(at(0).received,
              "GET /x?y=z HTTP/1.1\r\nhost: a.example\r\naccept: */*\r\nx-forwarded-for: "
              "9.0.0.9\r\nx-forwarded-proto: https\r\nx-forwarded-host: a.example\r\nx-real-ip: "
              "9.0.0.9\r\nforwarded: for=9.0.0.9;host=a.example;proto=https\r\nvia: 1.1 "
              "enclave-os\r\n\r\n");
    at(0).send(kOk);
    const ReadResponse response = answer();
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.body, "ok");
    EXPECT_EQ(response.headers.first("server"), "up");
    EXPECT_EQ(outcomes(Outcome::kAnswered), 1U);
}

TEST_F(ForwarderTest, ReusesConnections) {
    for (int i = 0; i < 3; ++i) {
        client.send(get());
        until_asked();
        at(0).received.clear();
        at(0).send(kOk);
        EXPECT_EQ(answer().status, 200);
    }
    EXPECT_EQ(upstream.connections.size(), 1U);
}

TEST_F(ForwarderTest, AStaleConnectionCostsNothing) {
    client.send(get());
    until_asked();
    at(0).send(kOk);
    answer();
    // Closed while the next request is on its way.
    client.send(get("/second"));
    at(0).close();
    until_asked(1);
    EXPECT_TRUE(at(1).received.starts_with("GET /second "));
    at(1).send(kOk);
    EXPECT_EQ(answer().status, 200);
}

TEST_F(ForwarderTest, ASecondAnswerToOneRequestReachesNobody) {
    client.send(get());
    until_asked();
    at(0).send(kOk);
    answer();
    // Nobody has looked at the connection since.
    at(0).send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison");
    at(0).received.clear();
    client.send(get("/second"));
    until_asked(1);
    EXPECT_TRUE(at(1).received.starts_with("GET /second "));
    EXPECT_EQ(at(0).received, "") << "asked once";
    at(1).send(kOk);
    EXPECT_EQ(answer().body, "ok");
}

TEST_F(ForwarderTest, WhatWasThereBeforeTheRequestIsNoAnswerToIt) {
    client.send(get());
    until_asked();
    at(0).send(kOk);
    answer();
    at(0).received.clear();
    at(0).send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison");
    loop.wait(10'000);  // it is there, and the turn hears of the client first
    client.send(get("/second"));
    upstreams.turn();
    loop.dispatch();
    until_asked(1);
    EXPECT_TRUE(at(1).received.starts_with("GET /second "));
    EXPECT_EQ(at(0).received, "");
    at(1).send(kOk);
    EXPECT_EQ(answer().body, "ok");
    EXPECT_EQ(outcomes(Outcome::kAnswered), 2U);
}

TEST_F(ForwarderTest, WhatNeverWentOutIsSentElsewhereWhateverItIs) {
    client.send(get());
    until_asked();
    at(0).send(kOk);
    answer();
    at(0).received.clear();
    client.send(post("Content-Length: 0", ""));
    at(0).close();
    loop.turn(10'000);
    until_asked(1);
    EXPECT_TRUE(at(1).received.starts_with("POST "));
    at(1).send(kOk);
    EXPECT_EQ(answer().status, 200);
}

TEST_F(ForwarderTest, ConnectionsThatNominateTooMuchAreRefused) {
    std::string names;
    for (std::size_t i = 0; i <= kMaxConnectionOptions; ++i) names += "x" + std::to_string(i) + ",";
    client.send(get("/x", "Connection: " + names + "\r\n"));
    EXPECT_EQ(answer().status, 400);
    EXPECT_EQ(outcomes(Outcome::kRefused), 1U);
    client.send(get());
    until_asked();
    at(0).send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: " + names + "\r\n\r\n");
    EXPECT_EQ(answer().status, 502);
    EXPECT_EQ(outcomes(Outcome::kMalformed), 1U);
}

TEST_F(ForwarderTest, ARequestIsNeverSentTwiceWhereThatCouldMatter) {
    client.send(get());
    until_asked();
    at(0).received.clear();
    at(0).send(kOk);
    answer();
    client.send(post("Content-Length: 2", "ab"));
    until_asked(0, "ab");
    at(0).close();
    EXPECT_EQ(answer().status, 502);
    EXPECT_EQ(upstream.connections.size(), 1U);
    // Nor with a GET, once something of the answer was seen, or on a connection of its own.
    client.send(get());
    until_asked(1);
    at(1).close();
    EXPECT_EQ(answer().status, 502);
    EXPECT_EQ(upstream.connections.size(), 2U);
    EXPECT_EQ(outcomes(Outcome::kClosed), 2U);
}

TEST_F(ForwarderTest, AConnectionThatWasClosedIsNotUsedForAPost) {
    client.send(get());
    until_asked();
    at(0).send(kOk);
    answer();
    at(0).close();
    client.send(post("Content-Length: 2", "ab"));
    until_asked(1, "ab");
    at(1).send(kOk);
    EXPECT_EQ(answer().status, 200);
}

TEST_F(ForwarderTest, BodiesPassInBothFramings) {
    client.send(post("Transfer-Encoding: chunked", "3\r\nabc\r\n0\r\n\r\n"));
    until_asked(0, "0\r\n\r\n");
    EXPECT_NE(at(0).received.find("transfer-encoding: chunked\r\n"), std::string::npos);
    EXPECT_TRUE(at(0).received.ends_with("\r\n\r\n3\r\nabc\r\n0\r\n\r\n"));
    at(0).received.clear();
    at(0).send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n");
    EXPECT_EQ(answer().body, "ab");
    client.send(post("Content-Length: 3", "abc"));
    until_asked(0, "abc");
    EXPECT_NE(at(0).received.find("content-length: 3\r\n"), std::string::npos);
    at(0).send(kOk);
    EXPECT_EQ(answer().status, 200);
}

TEST_F(ForwarderTest, AnswersWithoutBodiesStayWithout) {
    client.send("HEAD /x HTTP/1.1\r\nHost: a.example\r\n\r\n");
    until_asked();
    at(0).received.clear();
    at(0).send("HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n");
    EXPECT_EQ(answer(http::Method::kHead).headers.first("content-length"), "1234");
    client.send(get());
    until_asked();
    at(0).received.clear();
    at(0).send("HTTP/1.1 204 No Content\r\n\r\n");
    EXPECT_EQ(answer().status, 204);
    client.send(get());
    until_asked();
    at(0).send("HTTP/1.1 304 Not Modified\r\nETag: x\r\nContent-Length: 9\r\n\r\n");
    EXPECT_EQ(answer().headers.first("etag"), "x");
    EXPECT_EQ(upstream.connections.size(), 1U);
}

TEST_F(ForwarderTest, EventsPassAsTheyCome) {
    client.send(get());
    until_asked();
    at(0).send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n");
    for (std::string_view event : {"data: 1\n\n", "data: 2\n\n"}) {
        at(0).send(event);
        until([&] { return client.sink.written.find(event) != std::string::npos; });
    }
    at(0).close();
    EXPECT_EQ(answer().body, "data: 1\n\ndata: 2\n\n");
}

TEST_F(ForwarderTest, HalfAnAnswerIsNeverPassedAsWhole) {
    for (std::string_view half :
         {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nnonsense"}) {
        TestPeer one(workload_connection(), {});
        one.dispatcher.serve = client.dispatcher.serve;
        one.send(get());
        const std::size_t index = upstream.connections.size();
        until([&] {
            one.run();
            return upstream.connections.size() > index && !at(index).received.empty();
        });
        at(index).send(half);
        at(index).close();
        until([&] {
            one.run();
            return one.is_over();
        });
        EXPECT_TRUE(one.sink.aborted) << half;
        EXPECT_FALSE(one.sink.written.ends_with("0\r\n\r\n")) << half;
    }
}

TEST_F(ForwarderTest, AnUpstreamThatDiesLiesOrIsNotThere) {
    client.send(get());
    until_asked();
    at(0).reset();
    EXPECT_EQ(answer().status, 502);
    client.send(get());
    until_asked(1);
    at(1).send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n");
    EXPECT_EQ(answer().status, 502);
    client.send(get());
    until_asked(2);
    at(2).send("HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n");
    EXPECT_EQ(answer().status, 502);
    upstream.stop();
    client.send(get());
    const ReadResponse response = answer();
    EXPECT_EQ(response.status, 502);
    EXPECT_EQ(response.body, R"({"error":"the service behind this name cannot be reached"})");
    EXPECT_EQ(outcomes(Outcome::kClosed), 1U);
    EXPECT_EQ(outcomes(Outcome::kMalformed), 2U);
    EXPECT_EQ(outcomes(Outcome::kUnreachable), 1U);
}

TEST_F(ForwarderTest, AnUpstreamThatStallsIsGivenUp) {
    client.send(get());
    until_asked();
    client.clock.now_ms += route.upstream.response_timeout_s * 1000;
    EXPECT_EQ(answer().status, 504);
    EXPECT_EQ(outcomes(Outcome::kResponseTimeout), 1U);

    client.send(get());
    until_asked(1);
    at(1).send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc");
    until([&] { return client.sink.written.ends_with("abc"); });
    client.clock.now_ms += route.upstream.idle_timeout_s * 1000;
    until([&] { return client.sink.aborted; });
}

TEST_F(ForwarderTest, AnEarlyAnswerReachesTheClient) {
    client.send(post("Content-Length: 200000", "begin"));
    until_asked(0, "begin");
    at(0).send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno");
    at(0).close();
    const ReadResponse response = answer();
    EXPECT_EQ(response.status, 413);
    EXPECT_EQ(response.body, "no");
    EXPECT_EQ(outcomes(Outcome::kAnswered), 1U);
}

TEST_F(ForwarderTest, ALargeUploadWaitsForASlowUpstream) {
    client.send(post("Content-Length: 100000000", ""));
    until([&] { return upstream.connections.size() == 1; });
    at(0).reads = false;
    // As much as the sockets and the bounds take, and then no more.
    std::size_t sent = 0;
    const std::string piece(256 * 1024, 'x');
    for (int quiet = 0; quiet < 20;) {
        if (client.input.empty()) {
            client.send(piece);
            sent += piece.size();
            quiet = 0;
        } else {
            ++quiet;
        }
        turn();
    }
    EXPECT_FALSE(client.connection->wants_input());
    EXPECT_LT(sent, 50'000'000U);
    at(0).reads = true;
    until([&] { return client.input.empty(); });
    EXPECT_TRUE(client.connection->wants_input());
}

TEST_F(ForwarderTest, ALargeAnswerWaitsForASlowClient) {
    client.sink.window = 1000;
    client.send(get());
    until_asked();
    at(0).send("HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n");
    const std::string piece(64 * 1024, 'y');
    std::size_t sent = 0;
    for (int quiet = 0; quiet < 20;) {
        turn();
        const ssize_t count =
            ::send(at(0).fd.get(), piece.data(), piece.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        quiet = count < 0 ? quiet + 1 : 0;
        sent += count > 0 ? static_cast<std::size_t>(count) : 0;
        ASSERT_LT(sent, 9'000'000U);
    }
    EXPECT_LE(client.sink.written.size(), 1000U);
    client.open_window(1 << 30);
    until([&] { return client.sink.written.size() > sent; });
}

TEST_F(ForwarderTest, AClientThatLeavesTakesTheRequestAlong) {
    client.send(get());
    until_asked();
    client.connection.reset();
    client.sink.aborted = true;  // nothing more happens on it
    until([&] { return at(0).ended && upstreams.count() == 0; });
    EXPECT_EQ(outcomes(Outcome::kClientGone), 1U);
}

TEST_F(ForwarderTest, BodiesOverTheRoutesLimitAreRefused) {
    route.max_body_bytes = 3;
    serve();
    client.send(post("Content-Length: 4", ""));
    EXPECT_EQ(answer().status, 413);
    EXPECT_TRUE(upstream.connections.empty());
}

TEST_F(ForwarderTest, WhatTheClientsConnectionRefusesIsRefused) {
    route.max_body_bytes = 3;
    serve();
    const auto status_of = [&](std::string_view body) {
        TestPeer one(workload_connection(), {});
        one.dispatcher.serve = client.dispatcher.serve;
        one.send(post("Transfer-Encoding: chunked", body));
        one.advance(30'000);
        return read_response(one.take_written()).status;
    };
    EXPECT_EQ(status_of("4\r\nabcd\r\n"), 413);
    EXPECT_EQ(status_of("1\r\na\r\n"), 408);
    EXPECT_EQ(status_of("0\r\nContent-Length: 1\r\n\r\n"), 400);
    EXPECT_EQ(outcomes(Outcome::kRefused), 3U);
    EXPECT_EQ(outcomes(Outcome::kClientGone), 0U);
    EXPECT_EQ(answers(4), 3U);
}

TEST_F(ForwarderTest, AClientMaySendAsManyFieldsAsTheLimitSays) {
    std::string fields;
    for (std::size_t i = 1; i < http::kMaxHeaderCount; ++i) fields += "X-A: b\r\n";
    client.send(get("/x", fields));
    until_asked();
    at(0).send(kOk);
    EXPECT_EQ(answer().status, 200);
    client.send(get("/x", fields + "X-A: b\r\n"));
    EXPECT_EQ(answer().status, 431);
}

TEST_F(ForwarderTest, APathThatBrowsersSendIsForwardedAsItIs) {
    client.send(get("/a[0]|b^{c}?d[]=e|f^{g}"));
    until_asked();
    EXPECT_TRUE(at(0).received.starts_with("GET /a[0]|b^{c}?d[]=e|f^{g} HTTP/1.1\r\n"));
}

TEST_F(ForwarderTest, AnUnhealthyUpstreamIsNotAsked) {
    routes->at("a.example")->is_healthy = false;
    client.send(get());
    const ReadResponse response = answer();
    EXPECT_EQ(response.status, 503);
    EXPECT_EQ(response.headers.first("retry-after"), "10");
    EXPECT_EQ(outcomes(Outcome::kUnhealthy), 1U);
}

TEST_F(ForwarderTest, MoreRequestsThanConnectionsAreRefused) {
    route.upstream.connections = 1;
    serve();
    TestPeer second(workload_connection(), {});
    second.dispatcher.serve = client.dispatcher.serve;
    client.send(get());
    until_asked();
    second.send(get());
    EXPECT_EQ(read_response(second.take_written()).status, 503);
    at(0).send(kOk);
    EXPECT_EQ(answer().status, 200);
    second.send(get());
    until([&] {
        second.run();
        return at(0).received.find("via", at(0).received.find("via") + 1) != std::string::npos;
    });
}

TEST_F(ForwarderTest, ARouteThatChangesLeavesItsConnectionsBehind) {
    client.send(get());
    until_asked();
    at(0).send(kOk);
    answer();
    route.max_body_bytes = 5;  // not of the upstream
    serve();
    until([&] { return upstreams.count() == 1; });
    route.upstream.response_timeout_s = 7;
    serve();
    until([&] { return upstreams.count() == 0; });
    EXPECT_EQ(outcomes(Outcome::kAnswered), 1U);  // the numbers stay
    forwarder.set_routes(std::make_shared<const RouteTable>());
    client.send(get());
    EXPECT_EQ(answer().status, 404);
}

TEST_F(ForwarderTest, ConnectionsAreKeptForTheirTimeOnly) {
    client.send(get());
    until_asked();
    at(0).send(kOk);
    answer();
    EXPECT_EQ(upstreams.count(), 1U);
    client.clock.now_ms += route.upstream.keepalive_time_s * 1000;
    until([&] { return upstreams.count() == 0; });
}

TEST_F(ForwarderTest, BytesThatAnIdleUpstreamSendsReachNobody) {
    client.send(get());
    until_asked();
    at(0).send(kOk);
    answer();
    at(0).send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged");
    until([&] { return upstreams.count() == 0; });
    client.send(get());
    until_asked(1);
    at(1).send(kOk);
    EXPECT_EQ(answer().body, "ok");
}

constexpr std::string_view kUpgrade =
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n";

TEST_F(ForwarderTest, AWebSocketIsATunnel) {
    client.send(get("/chat", kUpgrade));
    until_asked();
    EXPECT_NE(at(0).received.find("upgrade: websocket\r\n"), std::string::npos);
    EXPECT_NE(at(0).received.find("sec-websocket-key: k\r\n"), std::string::npos);
    at(0).received.clear();
    at(0).send(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Accept: a\r\n\r\nhello");
    until([&] { return client.sink.written.ends_with("hello"); });
    EXPECT_TRUE(client.sink.written.starts_with("HTTP/1.1 101 "));
    EXPECT_NE(client.sink.written.find("sec-websocket-accept: a\r\n"), std::string::npos);
    client.send("GET / HTTP/1.1\r\n");  // bytes, not a request
    until([&] { return at(0).received == "GET / HTTP/1.1\r\n"; });
    at(0).send("bye");
    at(0).close();
    until([&] { return client.is_over(); });
    EXPECT_TRUE(client.sink.finished);
    EXPECT_TRUE(client.sink.written.ends_with("bye"));
}

TEST_F(ForwarderTest, AWebSocketStandsStillForTheRoutesIdleTimeout) {
    route.upstream.idle_timeout_s = 3600;
    serve();
    client.send(get("/chat", kUpgrade));
    until_asked();
    at(0).received.clear();
    at(0).send(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    until([&] { return client.sink.written.starts_with("HTTP/1.1 101 "); });
    for (std::string_view said : {"one", "two"}) {
        client.advance(3'599'000);
        for (int i = 0; i < 5; ++i) turn();
        ASSERT_FALSE(client.is_over());
        client.send(said);
        until([&] { return at(0).received.ends_with(said); });
    }
    client.advance(3'599'000);
    at(0).send("three");
    until([&] { return client.sink.written.ends_with("three"); });
    client.advance(3'599'000);
    for (int i = 0; i < 5; ++i) turn();
    EXPECT_FALSE(client.is_over());
    client.advance(1'000);
    until([&] { return client.is_over(); });
    EXPECT_TRUE(client.sink.aborted);
    EXPECT_EQ(outcomes(Outcome::kStalled), 1U);
}

TEST_F(ForwarderTest, AWebSocketThatIsRefusedIsAnAnswer) {
    client.send(get("/chat", kUpgrade));
    until_asked();
    at(0).received.clear();
    at(0).send("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
    EXPECT_EQ(answer().status, 403);
    // Nor can an upstream switch what nobody asked it to.
    client.send(get());
    until_asked();
    at(0).send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n");
    EXPECT_EQ(answer().status, 502);
}

TEST_F(ForwarderTest, WhereWebSocketsAreOffNoneIsAskedFor) {
    route.websocket = Switch::kOff;
    serve();
    client.send(get("/chat", kUpgrade));
    until_asked();
    EXPECT_EQ(at(0).received.find("upgrade"), std::string::npos);
    at(0).send(kOk);
    EXPECT_EQ(answer().status, 200);
}

TEST_F(ForwarderTest, TrailersPassBothWays) {
    client.send(post("Transfer-Encoding: chunked", "1\r\na\r\n0\r\nX-Sum: 1\r\n\r\n"));
    until_asked(0, "1\r\na\r\n0\r\nx-sum: 1\r\n\r\n");
    at(0).send(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nb\r\n0\r\nX-Up: 2\r\n\r\n");
    until([&] { return client.sink.written.ends_with("0\r\nx-up: 2\r\n\r\n"); });
}

}  // namespace
}  // namespace eos::cvm::proxy
