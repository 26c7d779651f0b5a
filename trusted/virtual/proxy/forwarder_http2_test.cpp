// SPDX-License-Identifier: AGPL-3.0-only
// Routes whose upstream speaks HTTP/2, and clients that speak HTTP/1.1; and the other way round.
#include <sys/socket.h>

#include <map>

#include "common/base/encoding.h"
#include "common/crypto/sha1.h"
#include "trusted/runtime/http2_test_peer.h"
#include "trusted/virtual/proxy/forwarder_fixture_test.h"
#include "trusted/virtual/proxy/http2_upstream_test.h"

namespace eos::cvm::proxy {
namespace {

const FieldsToSend kOk = {{":status", "200"}, {"server", "up"}};

struct ForwarderHttp2Test : ForwarderTest {
    explicit ForwarderHttp2Test(Http2Upstream::Settings settings = {})
        : settings_(std::move(settings)) {
        route.upstream.protocol = UpstreamProtocol::kHttp2;
        serve();
    }
    /// Like until(), with HTTP/2 spoken on the upstream's connections.
    template <typename Condition>
    void until_spoken(Condition condition) {
        until([&] {
            speak();
            return condition();
        });
    }
    void speak() {
        for (std::size_t i = 0; i < upstream.connections.size(); ++i) {
            FakeUpstream::Connection& one = at(i);
            if (!one.fd.valid()) continue;
            if (!spoken_[i]) spoken_[i] = std::make_unique<Http2Upstream>(settings_);
            spoken_[i]->receive(std::exchange(one.received, {}));
            const std::string output = spoken_[i]->output();
            if (!output.empty()) one.send(output);
        }
    }
    /// The upstream's end of connection `index`, once it got the head of `number`.
    Http2Upstream& asked(std::int32_t number = 1, std::size_t index = 0) {
        until_spoken([&] { return spoken_[index] && spoken_[index]->requests[number].has_head; });
        return *spoken_[index];
    }
    ReadResponse spoken_answer() {
        until_spoken([&] { return client.sink.written.find("\r\n\r\n") != std::string::npos; });
        for (int i = 0; i < 5; ++i) {
            speak();
            turn();
        }
        return read_response(client.take_written(), http::Method::kGet);
    }

    Http2Upstream::Settings settings_;
    std::map<std::size_t, std::unique_ptr<Http2Upstream>> spoken_;
};

TEST_F(ForwarderHttp2Test, ForwardsARequestAndItsAnswer) {
    client.send(get("/x?y=z", "TE: trailers\r\nX-Forwarded-For: 1.2.3.4\r\nConnection: te\r\n"));
    Http2Upstream& up = asked();
    EXPECT_EQ(up.requests.at(1).fields, (std::map<std::string, std::string>{
                                            {":method", "GET"},
                                            {":scheme", "http"},
                                            {":authority", "a.example"},
                                            {":path", "/x?y=z"},
                                            {"x-forwarded-for", "9.0.0.9"},
                                            {"x-forwarded-proto", "https"},
                                            {"x-forwarded-host", "a.example"},
                                            {"x-real-ip", "9.0.0.9"},
                                            {"forwarded", "for=9.0.0.9;host=a.example;proto=https"},
                                            {"via", "1.1 enclave-os"},
                                            {"te", "trailers"}}));
    up.begin(1, kOk);
    up.say(1, "hello");
    up.end(1, {{"grpc-status", "0"}, {"x-privasys-a", "1"}, {"content-type", "x"}});
    until_spoken([&] { return client.sink.written.ends_with("0\r\ngrpc-status: 0\r\n\r\n"); });
    const ReadResponse response = read_response(client.take_written(), http::Method::kGet);
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.body, "hello");
    EXPECT_EQ(response.headers.first("server"), "up");
    EXPECT_EQ(outcomes(Outcome::kAnswered), 1U);
}

TEST_F(ForwarderHttp2Test, ManyRequestsShareAConnection) {
    std::vector<std::unique_ptr<TestPeer>> peers;
    for (int i = 0; i < 3; ++i) {
        peers.push_back(std::make_unique<TestPeer>(workload_connection(), runtime::Http1Limits{}));
        peers.back()->dispatcher.serve = client.dispatcher.serve;
        peers.back()->send(get());
    }
    Http2Upstream& up = asked(5);
    for (const std::int32_t number : {5, 1, 3}) up.answer_head(number, kOk);
    until_spoken([&] {
        return std::ranges::all_of(peers, [](auto& peer) {
            peer->run();
            return peer->sink.written.starts_with("HTTP/1.1 200 ");
        });
    });
    EXPECT_EQ(upstream.connections.size(), 1U);
    // And is kept for its time only.
    EXPECT_EQ(upstreams.count(), 1U);
    client.clock.now_ms += route.upstream.keepalive_time_s * 1000;
    until([&] { return upstreams.count() == 0; });
}

TEST_F(ForwarderHttp2Test, WhatWasNotLookedAtIsSentAgainWhateverItIs) {
    client.send(post("Transfer-Encoding: chunked", "0\r\n\r\n"));
    asked().go_away(0);
    Http2Upstream& other = asked(1, 1);
    until_spoken([&] { return other.requests.at(1).ended; });
    other.answer_head(1, kOk);
    EXPECT_EQ(spoken_answer().status, 200);
    EXPECT_EQ(upstream.connections.size(), 2U);
}

TEST_F(ForwarderHttp2Test, WhatNeverWentOutIsSentAgainWhateverItIs) {
    client.send(get());
    asked().answer_head(1, kOk);
    EXPECT_EQ(spoken_answer().status, 200);
    client.send(post("Content-Length: 0", ""));
    at(0).close();
    loop.turn(10'000);
    Http2Upstream& other = asked(1, 1);
    EXPECT_EQ(other.requests.at(1).fields.at(":method"), "POST");
    other.answer_head(1, kOk);
    EXPECT_EQ(spoken_answer().status, 200);
}

TEST_F(ForwarderHttp2Test, ABodyThatIsGoneIsNotSentAgain) {
    client.send(post("Content-Length: 2", "ab"));
    asked().reset(1, NGHTTP2_REFUSED_STREAM);
    EXPECT_EQ(spoken_answer().status, 503);
    EXPECT_EQ(outcomes(Outcome::kOverloaded), 1U);
    EXPECT_EQ(upstream.connections.size(), 1U);
}

TEST_F(ForwarderHttp2Test, NothingIsSentAThirdTime) {
    client.send(get());
    asked(1, 0).reset(1, NGHTTP2_REFUSED_STREAM);
    asked(1, 1).reset(1, NGHTTP2_REFUSED_STREAM);
    EXPECT_EQ(spoken_answer().status, 503);
}

TEST_F(ForwarderHttp2Test, WhereRetriesAreOffNothingIsSentAgain) {
    route.retries = Retries::kOff;
    serve();
    client.send(get());
    asked().reset(1, NGHTTP2_REFUSED_STREAM);
    EXPECT_EQ(spoken_answer().status, 503);
    EXPECT_EQ(upstream.connections.size(), 1U);
}

TEST_F(ForwarderHttp2Test, AResetIsAnErrorBeforeTheHeadAndBreaksOffBehindIt) {
    client.send(get());
    asked().reset(1, NGHTTP2_INTERNAL_ERROR);
    EXPECT_EQ(spoken_answer().status, 502);
    EXPECT_EQ(outcomes(Outcome::kReset), 1U);
    client.send(get());
    Http2Upstream& up = asked(3);
    up.begin(3, kOk);
    up.say(3, "part");
    until_spoken([&] { return client.sink.written.find("part") != std::string::npos; });
    up.reset(3, NGHTTP2_INTERNAL_ERROR);
    until_spoken([&] { return client.is_over(); });
    EXPECT_TRUE(client.sink.aborted);
}

TEST_F(ForwarderHttp2Test, AnUpstreamOfHttp1IsNoneOfHttp2) {
    client.send(get());
    until([&] { return upstream.connections.size() == 1; });
    at(0).send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    EXPECT_EQ(answer().status, 502);
    EXPECT_EQ(outcomes(Outcome::kMalformed), 1U);
}

TEST_F(ForwarderHttp2Test, AClientThatIsSlowlyHeardIsNotTimedOutByItsConnection) {
    client.send(post("Transfer-Encoding: chunked", "1\r\na\r\n"));
    Http2Upstream& up = asked();
    for (int i = 0; i < 10; ++i) {  // each longer than a body may stand still elsewhere
        client.advance(60'000);
        client.send("1\r\nb\r\n");
        until_spoken([&] { return up.requests.at(1).body.size() == std::size_t(i) + 2; });
    }
    client.advance(route.upstream.idle_timeout_s * 1000);
    EXPECT_EQ(spoken_answer().status, 504);
    EXPECT_EQ(outcomes(Outcome::kStalled), 1U);
}

TEST_F(ForwarderHttp2Test, AClientThatLeavesBreaksItsOwnRequestOff) {
    client.send(get());
    Http2Upstream& up = asked();
    client.connection->peer_left();
    client.run();
    until_spoken([&] { return up.requests.at(1).closed; });
    EXPECT_EQ(up.requests.at(1).error_code, NGHTTP2_CANCEL);
    EXPECT_EQ(upstreams.count(), 1U) << "the connection is good for others";
    EXPECT_EQ(outcomes(Outcome::kClientGone), 1U);
}

/// An upstream that takes two requests on each of two connections.
struct ForwarderHttp2Share : ForwarderHttp2Test {
    ForwarderHttp2Share() : ForwarderHttp2Test({{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 2}}) {
        route.upstream.connections = 2;
        serve();
        client.send(get());
        asked().answer_head(1, kOk);  // its SETTINGS are known from now on
        EXPECT_EQ(spoken_answer().status, 200);
    }
    ~ForwarderHttp2Share() override {
        for (auto& peer : peers) peer->connection.reset();
    }
    /// The status that a request is answered with at once, or 0.
    int ask(int last_of_address) {
        runtime::ConnectionInfo info = workload_connection();
        info.client_address[15] = static_cast<std::byte>(last_of_address);
        peers.push_back(std::make_unique<TestPeer>(info, runtime::Http1Limits{}));
        peers.back()->dispatcher.serve = client.dispatcher.serve;
        peers.back()->send(get());
        const std::string& written = peers.back()->sink.written;
        return written.empty() ? 0 : read_response(written).status;
    }
    std::vector<std::unique_ptr<TestPeer>> peers;
};

TEST_F(ForwarderHttp2Share, IsOfRequestsAndNotOfConnections) {
    for (int i = 0; i < 3; ++i) {
        EXPECT_EQ(ask(1), 0);
        until_spoken([&] { return upstream.connections.size() == std::size_t(i) / 2 + 1; });
        for (int turns = 0; turns < 5; ++turns) {
            speak();
            turn();
        }
    }
    EXPECT_EQ(ask(1), 429);
    EXPECT_EQ(ask(2), 0);
    EXPECT_EQ(ask(3), 503);
    EXPECT_EQ(outcomes(Outcome::kOverShare), 1U);
}

constexpr std::string_view kUpgrade =
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

TEST_F(ForwarderHttp2Test, AWebSocketIsRefusedWhereTheUpstreamOffersNone) {
    client.send(get("/chat", kUpgrade));
    const ReadResponse response = spoken_answer();
    EXPECT_EQ(response.status, 501);
    EXPECT_EQ(response.body,
              R"({"error":"the service behind this name offers no WebSockets over HTTP/2"})");
}

struct ForwarderTunnels : ForwarderHttp2Test {
    ForwarderTunnels() : ForwarderHttp2Test({{NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1}}) {}
};

TEST_F(ForwarderTunnels, AWebSocketIsAnExtendedConnect) {
    client.send(get("/chat", kUpgrade));
    Http2Upstream& up = asked();
    EXPECT_EQ(up.requests.at(1).fields.at(":method"), "CONNECT");
    EXPECT_EQ(up.requests.at(1).fields.at(":protocol"), "websocket");
    EXPECT_FALSE(up.requests.at(1).fields.contains("sec-websocket-key"));
    up.begin(1, kOk);
    up.say(1, "hello");
    until_spoken([&] { return client.sink.written.ends_with("hello"); });
    EXPECT_TRUE(client.sink.written.starts_with("HTTP/1.1 101 "));
    EXPECT_NE(client.sink.written.find("sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"),
              std::string::npos);
    client.send("bytes");
    until_spoken([&] { return up.requests.at(1).body == "bytes"; });
    up.say(1, "bye");
    up.end(1);
    until_spoken([&] { return client.is_over(); });
    EXPECT_TRUE(client.sink.finished);
    EXPECT_TRUE(client.sink.written.ends_with("bye"));
}

TEST_F(ForwarderTunnels, AWebSocketStandsStillForTheRoutesIdleTimeout) {
    route.upstream.idle_timeout_s = 3600;
    serve();
    client.send(get("/chat", kUpgrade));
    Http2Upstream& up = asked();
    up.begin(1, kOk);
    until_spoken([&] { return client.sink.written.starts_with("HTTP/1.1 101 "); });
    client.advance(3'599'000);
    client.send("bytes");
    until_spoken([&] { return up.requests.at(1).body == "bytes"; });
    client.advance(3'599'000);
    up.say(1, "hello");
    until_spoken([&] { return client.sink.written.ends_with("hello"); });
    client.advance(3'600'000);
    until_spoken([&] { return client.is_over(); });
    EXPECT_TRUE(client.sink.aborted);
    EXPECT_EQ(outcomes(Outcome::kStalled), 1U);
}

TEST_F(ForwarderTunnels, AWebSocketWithoutAKeyIsNone) {
    client.send(get("/chat", "Connection: Upgrade\r\nUpgrade: websocket\r\n"));
    EXPECT_EQ(spoken_answer().status, 400);
    EXPECT_TRUE(upstream.connections.empty());
}

/// RFC 6455 §4.2.2.
std::string websocket_accept(std::string_view key) {
    constexpr std::string_view kSuffix = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    return base64(crypto::sha1(concat({as_bytes(key), as_bytes(kSuffix)})));
}

/// A client that speaks HTTP/2, and an upstream that does not.
struct ForwarderOfHttp2Clients : ForwarderTest {
    ForwarderOfHttp2Clients() {
        peer.dispatcher.serve = [this](http::RequestHead head, const runtime::ConnectionInfo&,
                                       runtime::Exchange exchange) {
            return forwarder.dispatch(std::move(head), workload_connection(), std::move(exchange));
        };
    }
    ~ForwarderOfHttp2Clients() override { peer.connection.reset(); }
    template <typename Condition>
    void until_run(Condition condition) {
        until([&] {
            peer.run();
            return condition();
        });
    }
    void advance(std::uint64_t ms) {
        client.clock.now_ms += ms;
        peer.advance(ms);
        for (int i = 0; i < 5; ++i) turn();
        peer.run();
    }
    runtime::ClientPeer peer{{}, true};
};

TEST_F(ForwarderOfHttp2Clients, AWebSocketStandsStillForTheRoutesIdleTimeout) {
    route.upstream.idle_timeout_s = 3600;
    serve();
    runtime::Fields fields = runtime::request_fields("CONNECT", "/chat");
    fields.insert(fields.begin() + 1, {":protocol", "websocket"});
    const auto number = peer.upload(fields, {.bytes = "", .stays_open = true});
    until_asked();
    const std::string& asked = at(0).received;
    const std::size_t key = asked.find("sec-websocket-key: ") + 19;
    const auto accept = websocket_accept(asked.substr(key, asked.find("\r\n", key) - key));
    at(0).send(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
        "Upgrade: websocket\r\nSec-WebSocket-Accept: " +
        accept + "\r\n\r\n");
    until_run([&] { return peer.answers[number].status == 200; });
    advance(3'599'000);
    peer.more(number, "up");
    until_run([&] { return at(0).received.ends_with("up"); });
    advance(3'599'000);
    EXPECT_FALSE(peer.answers[number].closed);
    advance(1'000);
    until_run([&] { return peer.answers[number].closed; });
    EXPECT_EQ(outcomes(Outcome::kStalled), 1U);
}

TEST_F(ForwarderOfHttp2Clients, WhatItsConnectionRefusesIsRefused) {
    route.max_body_bytes = 3;
    serve();
    auto number = peer.upload(runtime::request_fields("POST", "/p"), {.bytes = "abcd"});
    EXPECT_EQ(peer.answers[number].status, 413);
    number = peer.upload(runtime::request_fields("POST", "/p"), {.bytes = "a", .stays_open = true});
    advance(30'000);
    EXPECT_EQ(peer.answers[number].status, 408);
    EXPECT_EQ(outcomes(Outcome::kRefused), 2U);
    EXPECT_EQ(outcomes(Outcome::kClientGone), 0U);
    EXPECT_EQ(answers(4), 2U);
}

TEST_F(ForwarderOfHttp2Clients, MaySendAsManyFieldsAsTheLimitSays) {
    runtime::Fields fields = runtime::request_fields("GET", "/x");
    for (std::size_t i = 0; i < http::kMaxHeaderCount; ++i) fields.emplace_back("x-a", "b");
    const auto number = peer.request(fields);
    until_asked();
    at(0).send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    until_run([&] { return peer.answers[number].closed; });
    EXPECT_EQ(peer.answers[number].status, 200);
    fields.emplace_back("x-a", "b");
    EXPECT_EQ(peer.answers[peer.request(fields)].status, 431);
}

TEST_F(ForwarderOfHttp2Clients, APostWithoutABodySaysSo) {
    peer.request(runtime::request_fields("POST", "/x"));
    until_asked();
    EXPECT_NE(at(0).received.find("\r\ncontent-length: 0\r\n"), std::string::npos);
}

TEST_F(ForwarderOfHttp2Clients, APathThatBrowsersSendIsForwardedAsItIs) {
    peer.request(runtime::request_fields("GET", "/a[0]|b^{c}?d[]=e|f^{g}"));
    until_asked();
    EXPECT_TRUE(at(0).received.starts_with("GET /a[0]|b^{c}?d[]=e|f^{g} HTTP/1.1\r\n"));
}

}  // namespace
}  // namespace eos::cvm::proxy
