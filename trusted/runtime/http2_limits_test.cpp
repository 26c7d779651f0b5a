// SPDX-License-Identifier: AGPL-3.0-only
// What a peer may not do to an HTTP/2 connection, each with the one outcome it has.
#include <gtest/gtest.h>

#include "trusted/runtime/http2_test_peer.h"

namespace eos::runtime {
namespace {

constexpr std::uint8_t kWhole = NGHTTP2_FLAG_END_STREAM | NGHTTP2_FLAG_END_HEADERS;

/// Sends frames until the connection says GOAWAY; returns how many it took, or 0 if `most` did not
/// do.
template <typename Send>
int frames_until_goaway(RawPeer& peer, int most, Send send) {
    for (int i = 1; i <= most; ++i) {
        send(static_cast<std::uint32_t>(i));
        if (peer.goaway() >= 0) return i;
    }
    return 0;
}

/// The connection has said why and waits for the peer to hear it, and then closes.
void expect_calm(RawPeer& peer) {
    EXPECT_EQ(peer.goaway(), NGHTTP2_ENHANCE_YOUR_CALM);
    EXPECT_FALSE(peer.is_over());
    const std::size_t dispatched = peer.dispatcher.paths.size();
    peer.get(100'001);
    EXPECT_EQ(peer.dispatcher.paths.size(), dispatched);
    peer.connection->input_ended();
    EXPECT_TRUE(peer.sink.finished);
}

TEST(Http2Abuse, RapidReset) {  // CVE-2023-44487
    RawPeer peer;
    std::vector<Exchange> waiting;
    peer.dispatcher.serve = [&](http::RequestHead, const ConnectionInfo&, Exchange exchange) {
        waiting.push_back(std::move(exchange));
        return Dispatched{};
    };
    const int taken = frames_until_goaway(peer, 1000, [&](std::uint32_t i) {
        peer.get(2 * i - 1);
        peer.send({NGHTTP2_RST_STREAM, 0, 2 * i - 1, u32(NGHTTP2_CANCEL)});
    });
    EXPECT_EQ(taken, 201);
    for (const Exchange& exchange : waiting) EXPECT_FALSE(exchange.is_open());
    expect_calm(peer);
}

TEST(Http2Abuse, ResetsAreForgivenWithTime) {
    RawPeer peer;
    std::vector<Exchange> waiting;
    peer.dispatcher.serve = [&](http::RequestHead, const ConnectionInfo&, Exchange exchange) {
        waiting.push_back(std::move(exchange));
        return Dispatched{};
    };
    for (std::uint32_t i = 1; i <= 1000; ++i) {
        peer.get(2 * i - 1);
        peer.send({NGHTTP2_RST_STREAM, 0, 2 * i - 1, u32(NGHTTP2_CANCEL)});
        peer.advance(50);
    }
    EXPECT_EQ(peer.goaway(), -1);
}

TEST(Http2Abuse, ResetsThatWeAreMadeToSend) {  // CVE-2025-8671
    RawPeer peer;
    std::vector<Exchange> waiting;
    peer.dispatcher.serve = [&](http::RequestHead, const ConnectionInfo&, Exchange exchange) {
        waiting.push_back(std::move(exchange));
        return Dispatched{};
    };
    const int taken = frames_until_goaway(peer, 1000, [&](std::uint32_t i) {
        peer.get(2 * i - 1);
        peer.send({NGHTTP2_WINDOW_UPDATE, 0, 2 * i - 1, u32(0x7fffffff)});
    });
    EXPECT_EQ(taken, 201);
    expect_calm(peer);
}

TEST(Http2Abuse, ContinuationFlood) {  // CVE-2024-28182
    RawPeer peer;
    peer.send({NGHTTP2_HEADERS, NGHTTP2_FLAG_END_STREAM, 1, literals(request_fields("GET", "/"))});
    const int taken = frames_until_goaway(
        peer, 100, [&](std::uint32_t) { peer.send({NGHTTP2_CONTINUATION, 0, 1, ""}); });
    EXPECT_EQ(taken, 5);
    expect_calm(peer);
}

TEST(Http2Abuse, SettingsFlood) {
    RawPeer peer;
    const int taken = frames_until_goaway(
        peer, 2000, [&](std::uint32_t) { peer.send({NGHTTP2_SETTINGS, 0, 0, ""}); });
    EXPECT_EQ(taken, 1000);  // and the first one
    expect_calm(peer);
}

TEST(Http2Abuse, PingFloodWithAnAnswerThatIsNeverRead) {
    RawPeer peer;
    peer.sink.window = 0;
    int pings = 0;
    while (pings < 5000 && peer.connection->wants_input()) {
        peer.send({NGHTTP2_PING, 0, 0, std::string(8, 'x')});
        ++pings;
    }
    EXPECT_LT(pings, 5);  // nothing more is read until the answers are taken
    EXPECT_EQ(peer.advance_to_deadline(), 30'000u);
    EXPECT_TRUE(peer.sink.aborted);
}

TEST(Http2Abuse, FloodsOfFramesThatCarryNothing) {
    const std::vector<Frame> frames = {
        {NGHTTP2_PING, 0, 0, std::string(8, 'x')},
        {NGHTTP2_PRIORITY, 0, 3, u32(0) + "x"},
        {NGHTTP2_DATA, 0, 1, ""},
        {NGHTTP2_DATA, NGHTTP2_FLAG_PADDED, 1, std::string(3, '\2')},
        {NGHTTP2_WINDOW_UPDATE, 0, 0, u32(1)},
        {NGHTTP2_WINDOW_UPDATE, 0, 1, u32(1)},
    };
    for (const Frame& frame : frames) {
        HandlerLog log;
        TestHandler* handler = nullptr;
        RawPeer peer;
        serve_and_remember(peer.dispatcher, log, handler, 1000);
        peer.send(
            {NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, literals(request_fields("POST", "/"))});
        const int taken = frames_until_goaway(peer, 2000, [&](std::uint32_t) { peer.send(frame); });
        EXPECT_EQ(taken, 1000) << int{frame.type};
        expect_calm(peer);
        EXPECT_EQ(log.aborts, 1);
    }
}

TEST(Http2Abuse, WindowsOfOneByte) {
    RawPeer peer;
    peer.dispatcher.serve = [&](http::RequestHead, const ConnectionInfo&, Exchange exchange) {
        EXPECT_TRUE(exchange.respond(ok_head(), Bytes(100'000)));
        return Dispatched{};
    };
    peer.send({NGHTTP2_SETTINGS, 0, 0, std::string("\0\4", 2) + u32(0)});
    peer.get(1);
    const int taken = frames_until_goaway(
        peer, 5000, [&](std::uint32_t) { peer.send({NGHTTP2_WINDOW_UPDATE, 0, 1, u32(1)}); });
    EXPECT_EQ(taken, 999);
    expect_calm(peer);
}

TEST(Http2Abuse, WindowUpdatesThatDataPaidForAreFree) {
    RawPeer peer;
    peer.dispatcher.serve = [&](http::RequestHead, const ConnectionInfo&, Exchange exchange) {
        EXPECT_TRUE(exchange.respond(ok_head(), Bytes(1 << 20)));
        return Dispatched{};
    };
    peer.sink.window = 4 << 20;
    peer.get(1);
    for (int i = 0; i < 2000; ++i) {
        peer.send({NGHTTP2_WINDOW_UPDATE, 0, 1, u32(512)});
        peer.send({NGHTTP2_WINDOW_UPDATE, 0, 0, u32(512)});
        if (i % 50 == 0) peer.advance(500);
    }
    EXPECT_EQ(peer.goaway(), -1);
    EXPECT_FALSE(peer.is_over());
}

TEST(Http2Abuse, HpackBomb) {
    RawPeer peer;
    // A field of 4000 bytes goes into the table, and is then named by one byte each.
    std::string block = literals(request_fields("GET", "/"));
    block += '\x40';
    block += "\1a";
    block += "\x7f\xa1\x1e" + std::string(4000, 'v');  // RFC 7541 §5.1: 127 + 3873
    block += std::string(1000, '\xbe');                // index 62, the newest
    peer.send({NGHTTP2_HEADERS, kWhole, 1, block});
    EXPECT_TRUE(peer.dispatcher.paths.empty());
    EXPECT_EQ(peer.observer.refusals.size(), 1U);
    expect_calm(peer);
}

TEST(Http2Abuse, AHeadThatIsOnlyTooLargeIsAnswered) {
    RawPeer peer;
    Fields fields = request_fields("GET", "/");
    for (int i = 0; i < 180; ++i)
        fields.push_back({"x-" + std::to_string(i), std::string(100, 'v')});
    const std::string block = literals(fields);
    ASSERT_GT(block.size(), 16384u);
    peer.send({NGHTTP2_HEADERS, NGHTTP2_FLAG_END_STREAM, 1, block.substr(0, 16384)});
    peer.send({NGHTTP2_CONTINUATION, NGHTTP2_FLAG_END_HEADERS, 1, block.substr(16384)});
    ASSERT_EQ(peer.observer.records.size(), 1u);
    EXPECT_EQ(peer.observer.records[0].status, 431);
    peer.get(3);
    EXPECT_EQ(peer.dispatcher.paths.size(), 1u);
}

TEST(Http2Abuse, ATableLargerThanOursIsAnError) {
    RawPeer peer;
    peer.send(
        {NGHTTP2_HEADERS, kWhole, 1, "\x3f\xff\xff\x03" + literals(request_fields("GET", "/"))});
    EXPECT_EQ(peer.goaway(), NGHTTP2_COMPRESSION_ERROR);
    EXPECT_TRUE(peer.dispatcher.paths.empty());
    EXPECT_EQ(peer.observer.refusals.size(), 1U);
}

TEST(Http2Abuse, WhatIsNotHttp2IsToldSo) {
    Http2World world;
    const std::string text = "GET / HTTP/1.1\r\nHost: mini.example\r\n\r\n";
    EXPECT_EQ(world.connection->receive(as_bytes(text)), text.size());
    EXPECT_TRUE(world.sink.written.ends_with(std::string("\0\0\0\1", 4)));  // PROTOCOL_ERROR
    world.connection->input_ended();
    EXPECT_TRUE(world.sink.finished);
}

TEST(Http2Abuse, FramesThatBreakTheConnection) {
    const auto goaway_for = [](const Frame& frame) {
        RawPeer peer;
        peer.send(frame);
        EXPECT_FALSE(peer.sink.aborted);
        return peer.goaway();
    };
    EXPECT_EQ(goaway_for({NGHTTP2_DATA, 0, 0, "x"}), NGHTTP2_PROTOCOL_ERROR);
    EXPECT_EQ(goaway_for({NGHTTP2_DATA, 0, 1, "x"}), NGHTTP2_PROTOCOL_ERROR);
    EXPECT_EQ(goaway_for({NGHTTP2_PING, 0, 0, "short"}), NGHTTP2_FRAME_SIZE_ERROR);
    EXPECT_EQ(goaway_for({NGHTTP2_PUSH_PROMISE, NGHTTP2_FLAG_END_HEADERS, 1, u32(2)}),
              NGHTTP2_PROTOCOL_ERROR);
    EXPECT_EQ(goaway_for({NGHTTP2_WINDOW_UPDATE, 0, 0, u32(0x7fffffff)}),
              NGHTTP2_FLOW_CONTROL_ERROR);
    EXPECT_EQ(goaway_for({NGHTTP2_HEADERS, kWhole, 2, literals(request_fields("GET", "/"))}),
              NGHTTP2_PROTOCOL_ERROR);
    EXPECT_EQ(goaway_for({NGHTTP2_HEADERS, kWhole, 1, "\xff\xff\xff\xff\xff"}),
              NGHTTP2_COMPRESSION_ERROR);
}

TEST(Http2Limits, AnIdleConnectionSaysGoodbye) {
    RawPeer peer;
    peer.get(1);
    peer.advance(5000);
    peer.send({NGHTTP2_PING, 0, 0, std::string(8, 'x')});  // keeps nothing alive
    EXPECT_EQ(peer.advance_to_deadline(), 55'000u);
    EXPECT_EQ(peer.goaway(), NGHTTP2_NO_ERROR);
    EXPECT_TRUE(peer.sink.finished);
}

TEST(Http2Limits, AHeadThatDoesNotEndEndsTheConnection) {
    RawPeer peer;
    peer.send({NGHTTP2_HEADERS, NGHTTP2_FLAG_END_STREAM, 1, literals(request_fields("GET", "/"))});
    EXPECT_EQ(peer.advance_to_deadline(), 10'000u);
    ASSERT_EQ(peer.observer.refusals.size(), 1U);
    EXPECT_EQ(peer.observer.refusals[0].method, std::nullopt);
    EXPECT_EQ(peer.observer.refusals[0].status, 0);
    expect_calm(peer);
}

TEST(Http2Limits, ABodyThatTricklesInIsAnswered408) {
    HandlerLog log;
    TestHandler* handler = nullptr;
    RawPeer peer;
    serve_and_remember(peer.dispatcher, log, handler, 1000);
    peer.send(
        {NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, literals(request_fields("POST", "/"))});
    peer.advance(5000);
    peer.send({NGHTTP2_DATA, 0, 1, "x"});
    EXPECT_EQ(peer.advance_to_deadline(), 5000u);
    ASSERT_EQ(peer.observer.records.size(), 1u);
    EXPECT_EQ(peer.observer.records[0].status, 408);
    EXPECT_EQ(log.aborts, 1);
    EXPECT_EQ(peer.reset_of(1), -1);
    EXPECT_EQ(peer.advance_to_deadline(), 2000u);
    EXPECT_EQ(peer.reset_of(1), NGHTTP2_NO_ERROR);
    peer.get(3);
    EXPECT_EQ(log.ends, 1);
}

TEST(Http2Limits, AHandlerMayTakeItsTime) {
    HandlerLog log;
    TestHandler* handler = nullptr;
    RawPeer peer;
    serve_and_remember(peer.dispatcher, log, handler, 1000);
    peer.get(1);
    EXPECT_EQ(peer.connection->next_deadline_ms(), std::nullopt);
    peer.advance(3'600'000);
    EXPECT_TRUE(handler->exchange().is_open());
}

TEST(Http2Limits, AStreamWhosePeerOpensNoWindowIsReset) {
    RawPeer peer;
    peer.dispatcher.serve = [&](http::RequestHead, const ConnectionInfo&, Exchange exchange) {
        EXPECT_TRUE(exchange.respond(ok_head(), Bytes(60'000)));
        return Dispatched{};
    };
    peer.send({NGHTTP2_SETTINGS, 0, 0, std::string("\0\4", 2) + u32(1000)});
    peer.get(1);
    EXPECT_EQ(peer.advance_to_deadline(), 30'000u);
    EXPECT_EQ(peer.reset_of(1), NGHTTP2_CANCEL);
    EXPECT_FALSE(peer.is_over());
}

TEST(Http2Limits, AConnectionWhosePeerOpensNoWindowIsCut) {
    RawPeer peer;
    peer.dispatcher.serve = [&](http::RequestHead, const ConnectionInfo&, Exchange exchange) {
        EXPECT_TRUE(exchange.respond(ok_head(), Bytes(100'000)));
        return Dispatched{};
    };
    peer.send({NGHTTP2_SETTINGS, 0, 0, std::string("\0\4", 2) + u32(1'000'000)});
    peer.get(1);
    EXPECT_EQ(peer.advance_to_deadline(), 30'000u);
    EXPECT_TRUE(peer.sink.aborted);
}

TEST(Http2Limits, APeerThatDoesNotReadIsCutOff) {
    RawPeer peer;
    peer.sink.window = 50;
    peer.get(1);
    peer.get(3);
    EXPECT_EQ(peer.advance_to_deadline(), 30'000u);
    EXPECT_TRUE(peer.sink.aborted);
}

TEST(Http2Limits, LingeringEnds) {
    RawPeer peer;
    peer.send({NGHTTP2_DATA, 0, 0, "x"});
    EXPECT_EQ(peer.advance_to_deadline(), 2000u);
    EXPECT_TRUE(peer.sink.finished);

    RawPeer flooding;
    flooding.send({NGHTTP2_DATA, 0, 0, "x"});
    flooding.bytes(std::string(2 << 20, 'x'));
    EXPECT_TRUE(flooding.sink.finished);
}

}  // namespace
}  // namespace eos::runtime
