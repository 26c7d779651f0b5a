// SPDX-License-Identifier: AGPL-3.0-only
// What an HTTP/1.1 connection carries besides requests and bodies: trailers and tunnels.
#include <gtest/gtest.h>

#include "trusted/runtime/http_test_peer.h"

namespace eos::runtime {
namespace {

constexpr std::string_view kUpgrade =
    "GET /ws HTTP/1.1\r\nHost: mini.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
constexpr std::string_view kSwitched =
    "HTTP/1.1 101 Switching Protocols\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
    "connection: upgrade\r\nupgrade: websocket\r\n\r\n";

/// A connection whose requests all get a TestHandler, the newest of which is `handler`.
struct TunnelPeer : TestPeer {
    explicit TunnelPeer(Http1Limits limits = {}) : TestPeer(platform_connection(), limits) {
        dispatcher.tunnels = true;
        serve_and_remember(dispatcher, log, handler, 1000);
    }
    void accept() {
        EXPECT_TRUE(handler->exchange().tunnel(ok_head()));
        run();
    }
    HandlerLog log;
    TestHandler* handler = nullptr;
};

TEST(Http1Trailers, ReachTheHandlerBeforeTheEnd) {
    TunnelPeer peer;
    peer.send(post("Transfer-Encoding: chunked", "2\r\nab\r\n0\r\nGrpc-Status: 0\r\n\r\n"));
    EXPECT_EQ(peer.log.trailers.first("grpc-status"), "0");
    EXPECT_EQ(peer.log.ends, 1);
}

TEST(Http1Trailers, AForbiddenOneIsRefused) {
    TunnelPeer peer;
    peer.send(post("Transfer-Encoding: chunked", "0\r\nContent-Length: 5\r\n\r\n"));
    EXPECT_EQ(read_response(peer.take_written()).status, 400);
    EXPECT_EQ(peer.log.ends, 0);
    EXPECT_EQ(peer.log.aborts, 1);
}

TEST(Http1Trailers, FollowAChunkedAnswerAndNoOther) {
    http::Headers trailers;
    ASSERT_TRUE(trailers.add("grpc-status", "0"));
    http::Headers forbidden;
    ASSERT_TRUE(forbidden.add("content-length", "1"));
    for (const auto& size : {http::BodySize::unknown(), http::BodySize::known(1)}) {
        TunnelPeer peer;
        peer.send(kGet);
        Exchange& exchange = peer.handler->exchange();
        ASSERT_TRUE(exchange.start(ok_head(), size));
        exchange.write(as_bytes("x"));
        EXPECT_EQ(exchange.finish(forbidden).error().code(), http::forbidden_trailer);
        ASSERT_TRUE(exchange.finish(trailers));
        peer.run();
        const std::string written = peer.take_written();
        EXPECT_EQ(read_response(written).body, "x");
        EXPECT_EQ(written.ends_with("0\r\ngrpc-status: 0\r\n\r\n"),
                  size.kind == http::BodyKind::kUnknown);
        EXPECT_FALSE(peer.is_over());
    }
}

TEST(Http1Tunnel, CarriesBytesBothWaysUntilThePeerEnds) {
    TunnelPeer peer;
    peer.send(kUpgrade);
    EXPECT_EQ(peer.log.ends, 0);  // a tunnel's end, and there is none yet
    peer.accept();
    EXPECT_EQ(peer.take_written(), kSwitched);
    peer.send("GET / HTTP/1.1\r\n\r\n");  // bytes like any others
    EXPECT_EQ(peer.log.body, "GET / HTTP/1.1\r\n\r\n");
    EXPECT_EQ(peer.handler->exchange().write(as_bytes("down")), 4u);
    peer.run();
    EXPECT_EQ(peer.take_written(), "down");
    peer.connection->input_ended();
    EXPECT_EQ(peer.log.ends, 1);
    EXPECT_FALSE(peer.is_over());
    peer.handler->exchange().write(as_bytes("last"));
    peer.handler->exchange().finish();
    peer.run();
    EXPECT_EQ(peer.take_written(), "last");
    EXPECT_TRUE(peer.sink.finished);
    EXPECT_EQ(peer.log.aborts, 0);
    ASSERT_EQ(peer.observer.records.size(), 1u);
    EXPECT_EQ(peer.observer.records[0].status, 101);
}

TEST(Http1Tunnel, OurEndIsTheConnections) {
    TunnelPeer peer;
    peer.send(kUpgrade);
    peer.accept();
    peer.handler->exchange().finish();
    peer.run();
    EXPECT_TRUE(peer.sink.finished);
    EXPECT_EQ(peer.dispatcher.paths.size(), 1u);
}

TEST(Http1Tunnel, IsMadeOnlyWhereItWasAskedForAndOffered) {
    TunnelPeer plain;
    plain.send(kGet);
    EXPECT_EQ(plain.handler->exchange().tunnel(ok_head()).error().code(), not_a_tunnel);
    ASSERT_TRUE(plain.handler->exchange().respond(ok_head(), {}));

    TunnelPeer closed;
    closed.dispatcher.tunnels = false;
    closed.send(kUpgrade);
    EXPECT_EQ(closed.log.ends, 1);
    EXPECT_EQ(closed.handler->exchange().tunnel(ok_head()).error().code(), not_a_tunnel);
    ASSERT_TRUE(closed.handler->exchange().respond(ok_head(), to_bytes("plain")));
    closed.run();
    EXPECT_EQ(read_response(closed.take_written()).body, "plain");
    EXPECT_FALSE(closed.is_over());

    TunnelPeer answered;
    answered.send(kUpgrade);
    ASSERT_TRUE(answered.handler->exchange().start(ok_head(), http::BodySize::unknown()));
    EXPECT_EQ(answered.handler->exchange().tunnel(ok_head()).error().code(), already_answered);
}

TEST(Http1Tunnel, ARefusedUpgradeLeavesTheConnectionToTheNextRequest) {
    TunnelPeer peer;
    peer.send(kUpgrade);
    ASSERT_TRUE(peer.handler->exchange().respond(ok_head(), to_bytes("no")));
    peer.run();
    EXPECT_EQ(read_response(peer.take_written()).body, "no");
    peer.send(kGet);
    EXPECT_EQ(peer.dispatcher.paths, (std::vector<std::string>{"/ws", "/x"}));
}

TEST(Http1Tunnel, ARequestWithAnotherBehindItIsNoUpgrade) {
    TunnelPeer peer;
    peer.send(std::string(kUpgrade) + std::string(kGet));
    EXPECT_EQ(peer.log.ends, 1);
    EXPECT_EQ(peer.handler->exchange().tunnel(ok_head()).error().code(), not_a_tunnel);
    ASSERT_TRUE(peer.handler->exchange().respond(ok_head(), {}));
    peer.run();
    EXPECT_EQ(peer.dispatcher.paths, (std::vector<std::string>{"/ws", "/x"}));
    EXPECT_EQ(peer.log.body, "");
}

TEST(Http1Tunnel, NoByteEntersBeforeItIsAccepted) {
    TunnelPeer peer;
    peer.send(kUpgrade);
    peer.send("early");
    EXPECT_EQ(peer.log.body, "");
    EXPECT_FALSE(peer.connection->wants_input());
    peer.accept();
    EXPECT_EQ(peer.log.body, "early");
}

TEST(Http1Tunnel, AnEndBeforeTheTunnelIsHeardInIt) {
    TunnelPeer peer;
    peer.send(kUpgrade);
    peer.connection->input_ended();
    EXPECT_EQ(peer.log.ends, 0);
    peer.accept();
    EXPECT_EQ(peer.log.ends, 1);
}

TEST(Http1Tunnel, IsHeldBackByItsHandlerAndByThePeer) {
    TunnelPeer peer(Http1Limits{.output_bytes = 100});
    peer.send(kUpgrade);
    peer.accept();
    peer.take_written();
    peer.log.flow = BodyFlow::kPause;
    peer.send("one");
    peer.send("two");
    EXPECT_EQ(peer.log.body, "one");
    peer.log.flow = BodyFlow::kMore;
    peer.handler->exchange().resume_body();
    peer.run();
    EXPECT_EQ(peer.log.body, "onetwo");
    peer.sink.window = 0;
    EXPECT_EQ(peer.handler->exchange().write(Bytes(1000)), 100u);
    peer.open_window(1000);
    EXPECT_EQ(peer.log.writables, 1);
}

TEST(Http1Tunnel, EndsWhenNothingGoesThroughForTooLong) {
    TunnelPeer peer(Http1Limits{.tunnel_idle_ms = 5000});
    peer.send(kUpgrade);
    peer.accept();
    peer.advance(4000);
    peer.send("x");
    peer.advance(4000);
    peer.handler->exchange().write(as_bytes("y"));
    peer.run();
    EXPECT_EQ(peer.advance_to_deadline(), 5000u);
    EXPECT_TRUE(peer.sink.aborted);
    EXPECT_EQ(peer.log.aborts, 1);
}

TEST(Http1Tunnel, StandsStillAsLongAsItsHandlerLetsIt) {
    TunnelPeer peer;
    peer.dispatcher.serve = [serve = peer.dispatcher.serve](
                                http::RequestHead head, const ConnectionInfo& info, Exchange one) {
        Dispatched out = serve(std::move(head), info, std::move(one));
        out.pace = BodyPace::kByHandler;
        return out;
    };
    peer.send(kUpgrade);
    peer.accept();
    EXPECT_EQ(peer.connection->next_deadline_ms(), std::nullopt);
    peer.advance(3'600'000);
    peer.send("x");
    EXPECT_EQ(peer.log.body, "x");
    peer.handler->exchange().abort();
    peer.run();
    EXPECT_TRUE(peer.sink.aborted);
}

TEST(Http1Tunnel, StaysThroughADrainUntilItsEnd) {
    TunnelPeer peer;
    peer.send(kUpgrade);
    peer.accept();
    peer.connection->drain();
    peer.send("x");
    EXPECT_EQ(peer.log.body, "x");
    EXPECT_FALSE(peer.is_over());
    peer.handler->exchange().finish();
    peer.run();
    EXPECT_TRUE(peer.sink.finished);
}

}  // namespace
}  // namespace eos::runtime
