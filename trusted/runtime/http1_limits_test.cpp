// SPDX-License-Identifier: AGPL-3.0-only
// What a connection refuses, and when it gives up.
#include <gtest/gtest.h>

#include "trusted/runtime/http1_connection.h"
#include "trusted/runtime/http_test_peer.h"
#include "trusted/runtime/responses.h"

namespace eos::runtime {
namespace {

void serve_ok(TestPeer& peer) {
    peer.dispatcher.serve = [](http::RequestHead, const ConnectionInfo&, Exchange exchange) {
        EXPECT_TRUE(exchange.respond(ok_head(), to_bytes("ok")));
        return Dispatched{};
    };
}

void serve_body(TestPeer& peer, HandlerLog& log, std::uint64_t max_body_bytes) {
    log.on_end = [](Exchange& exchange) {
        EXPECT_TRUE(exchange.respond(ok_head(), to_bytes("ok")));
    };
    peer.dispatcher.serve = [&log, max_body_bytes](http::RequestHead, const ConnectionInfo&,
                                                   Exchange exchange) {
        return Dispatched{std::make_unique<TestHandler>(log, std::move(exchange)), max_body_bytes,
                          "/p"};
    };
}

struct Refusal {
    std::string request;
    int status;
};

TEST(Http1Limits, EachMalformedRequestGetsItsStatusAndTheConnectionCloses) {
    const std::string host = "Host: mini.example\r\n";
    const std::vector<Refusal> cases = {
        {"GET / HTTP/1.1\r\n\r\n", 400},
        {"GET / HTTP/1.1\nHost: mini.example\n\n", 400},
        {"GET /" + std::string(9000, 'x') + " HTTP/1.1\r\n" + host + "\r\n", 414},
        {"GET / HTTP/1.1\r\n" + host + "X: " + std::string(9000, 'x') + "\r\n\r\n", 431},
        {"BREW / HTTP/1.1\r\n" + host + "\r\n", 501},
        {"GET / HTTP/1.7\r\n" + host + "\r\n", 505},
        {"POST / HTTP/1.1\r\n" + host + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
         400},
        {"POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: gzip, chunked\r\n\r\n", 501},
    };
    for (const Refusal& c : cases) {
        TestPeer peer;
        serve_ok(peer);
        peer.send(c.request + std::string(kGet));
        const ReadResponse response = read_response(peer.sink.written);
        EXPECT_EQ(response.status, c.status) << c.request.substr(0, 60);
        EXPECT_EQ(response.headers.first("connection"), "close");
        EXPECT_TRUE(response.body.starts_with("{\"error\":\"")) << response.body;
        EXPECT_TRUE(peer.dispatcher.paths.empty());
        ASSERT_EQ(peer.observer.records.size(), 1u);
        EXPECT_EQ(peer.observer.records[0].status, c.status);
        EXPECT_EQ(peer.observer.records[0].method, std::nullopt);
        // It lingers, so that the answer is not lost, and then closes.
        EXPECT_FALSE(peer.is_over());
        peer.send(kGet);
        EXPECT_EQ(peer.advance_to_deadline(), Http1Limits{}.linger_ms);
        EXPECT_TRUE(peer.sink.finished);
        EXPECT_TRUE(peer.dispatcher.paths.empty());
    }
}

TEST(Http1Limits, LingeringEndsWithThePeerOrWithTooManyBytes) {
    TestPeer gone;
    serve_ok(gone);
    gone.send("\x16\x03\x01");
    gone.connection->input_ended();
    EXPECT_TRUE(gone.sink.finished);

    TestPeer loud;
    serve_ok(loud);
    loud.send("\x16\x03\x01");
    const std::string noise(200'000, 'n');
    for (int i = 0; i < 6 && !loud.is_over(); ++i) loud.send(noise);
    EXPECT_TRUE(loud.sink.finished);
}

TEST(Http1Limits, TheBodyLimitIsTheRoutesForBothFramings) {
    for (const std::string& request :
         {post("Content-Length: 6", "123456"),
          post("Transfer-Encoding: chunked", "3\r\n123\r\n3\r\n456\r\n0\r\n\r\n")}) {
        HandlerLog log;
        TestPeer peer;
        serve_body(peer, log, 5);
        peer.send(request);
        EXPECT_EQ(read_response(peer.sink.written).status, 413);
        EXPECT_EQ(log.ends, 0);
        EXPECT_EQ(log.aborts, 1);
        EXPECT_TRUE(log.destroyed);

        HandlerLog fits;
        TestPeer other;
        serve_body(other, fits, 6);
        other.send(request);
        EXPECT_EQ(read_response(other.sink.written).status, 200);
        EXPECT_EQ(fits.body, "123456");
    }
}

TEST(Http1Limits, ABodyLimitBrokenAfterTheAnswerBeganCutsIt) {
    HandlerLog log;
    TestPeer peer;
    serve_body(peer, log, 5);
    log.on_body = [&](Exchange& exchange) {
        if (log.body.size() > 3) return;
        EXPECT_TRUE(exchange.start(ok_head(), http::BodySize::unknown()));
    };
    peer.send(post("Transfer-Encoding: chunked", "3\r\n123\r\n3\r\n456\r\n0\r\n\r\n"));
    EXPECT_TRUE(peer.sink.aborted);
    EXPECT_EQ(log.aborts, 1);
}

TEST(Http1Limits, TheBodyOfARefusedRequestIsReadPastOnlyIfItIsSmall) {
    const auto refuse = [](http::RequestHead, const ConnectionInfo&, Exchange exchange) {
        respond_error(exchange, 403, "no");
        return Dispatched{};
    };
    const std::uint64_t limit = Http1Limits{}.discard_bytes;
    TestPeer small;
    small.dispatcher.serve = refuse;
    small.send(post("Content-Length: " + std::to_string(limit), std::string(limit, 'x')) +
               std::string(kGet));
    EXPECT_EQ(read_responses(small.sink.written).size(), 2u);

    TestPeer large;
    large.dispatcher.serve = refuse;
    large.send(post("Content-Length: " + std::to_string(limit + 1), std::string(limit + 1, 'x')) +
               std::string(kGet));
    const ReadResponse response = read_response(large.sink.written);
    EXPECT_EQ(response.headers.first("connection"), "close");
    EXPECT_EQ(large.dispatcher.paths.size(), 1u);
    large.advance_to_deadline();
    EXPECT_TRUE(large.sink.finished);

    TestPeer chunked;
    chunked.dispatcher.serve = refuse;
    chunked.send(post("Transfer-Encoding: chunked", "1\r\nx\r\n0\r\n\r\n"));
    EXPECT_EQ(read_response(chunked.sink.written).headers.first("connection"), "close");
}

// Found by fuzzing: the rest of the answer was dropped, and the connection closed as if all was
// said.
TEST(Http1Limits, AnAnswerOnItsWayIsNotCutByAFaultInTheRestOfTheRequest) {
    TestPeer peer;
    peer.sink.window = 100;
    peer.dispatcher.serve = [](http::RequestHead, const ConnectionInfo&, Exchange exchange) {
        EXPECT_TRUE(exchange.respond(ok_head(), Bytes(100'000)));
        return Dispatched{};
    };
    peer.send(post("Content-Length: 1000", "x"));
    peer.advance_to_deadline();  // the body stalls
    peer.open_window(1'000'000);
    peer.connection->input_ended();
    EXPECT_TRUE(peer.sink.finished);
    EXPECT_EQ(read_response(peer.sink.written).body.size(), 100'000u);
}

TEST(Http1Limits, AnUnansweredUnwantedBodyIsBounded) {
    TestPeer peer;
    std::optional<Exchange> kept;
    peer.dispatcher.serve = [&](http::RequestHead, const ConnectionInfo&, Exchange exchange) {
        kept = std::move(exchange);
        return Dispatched{};
    };
    const std::uint64_t size = Http1Limits{}.discard_bytes + 1;
    peer.send(post("Content-Length: " + std::to_string(size), std::string(size, 'x')));
    EXPECT_EQ(read_response(peer.sink.written).status, 413);
    EXPECT_FALSE(kept->is_open());
}

TEST(Http1Limits, AnIdleConnectionIsClosedSilently) {
    TestPeer peer;
    serve_ok(peer);
    EXPECT_EQ(peer.advance_to_deadline(), Http1Limits{}.idle_timeout_ms);
    EXPECT_TRUE(peer.sink.finished);
    EXPECT_EQ(peer.sink.written, "");

    TestPeer used;
    serve_ok(used);
    used.advance(50'000);
    used.send(kGet);
    used.take_written();
    used.advance(Http1Limits{}.idle_timeout_ms - 1);
    EXPECT_FALSE(used.is_over());
    used.advance(1);
    EXPECT_TRUE(used.sink.finished);
    EXPECT_EQ(used.sink.written, "");
}

TEST(Http1Limits, AHeadThatTricklesInIsAnswered408) {
    TestPeer peer;
    serve_ok(peer);
    for (std::size_t i = 0; i < 9; ++i) {
        peer.send(kGet.substr(i, 1));
        peer.advance(1000);
    }
    EXPECT_EQ(peer.sink.written, "");
    peer.advance(1000);
    EXPECT_EQ(read_response(peer.sink.written).status, 408);
    EXPECT_TRUE(peer.dispatcher.paths.empty());
    peer.advance_to_deadline();
    EXPECT_TRUE(peer.sink.finished);
}

TEST(Http1Limits, ABodyMustKeepItsRate) {
    HandlerLog log;
    TestPeer peer;
    serve_body(peer, log, 1'000'000);
    peer.send(post("Content-Length: 100000", ""));
    for (int i = 0; i < 30; ++i) {  // twice the rate for 30 s
        peer.send(std::string(2048, 'x'));
        peer.advance(1000);
    }
    EXPECT_FALSE(peer.is_over());
    EXPECT_EQ(peer.sink.written, "");
    for (int i = 0; i < 35; ++i) {  // then half a byte a second
        peer.send("x");
        peer.advance(2000);
        if (!peer.sink.written.empty()) break;
    }
    // 60 s were paid for by then, and 10 s granted.
    EXPECT_EQ(read_response(peer.sink.written).status, 408);
    EXPECT_EQ(log.aborts, 1);
    ASSERT_EQ(peer.observer.records.size(), 1u);
    EXPECT_EQ(peer.observer.records[0].route, StaticText("/p"));
    EXPECT_EQ(peer.observer.records[0].duration_ms, 72'000u);  // looked at every 2 s
}

TEST(Http1Limits, ABodyThatWasFastMayNotStallForLong) {
    HandlerLog log;
    TestPeer peer;
    serve_body(peer, log, 1'000'000);
    peer.send(post("Content-Length: 1000000", std::string(900'000, 'x')));
    EXPECT_EQ(peer.advance_to_deadline(), Http1Limits{}.body_stall_ms);
    EXPECT_EQ(read_response(peer.sink.written).status, 408);
}

TEST(Http1Limits, TimeInWhichTheHandlerPausedIsNotThePeers) {
    HandlerLog log;
    log.flow = BodyFlow::kPause;
    TestPeer peer;
    TestHandler* handler = nullptr;
    serve_and_remember(peer.dispatcher, log, handler, 1000);
    peer.send(post("Content-Length: 10", "x"));
    EXPECT_EQ(peer.connection->next_deadline_ms(), std::nullopt);
    peer.advance(1'000'000);
    EXPECT_FALSE(peer.is_over());
    handler->exchange().resume_body();
    peer.run();
    EXPECT_EQ(peer.advance_to_deadline(), Http1Limits{}.body_grace_ms);
    EXPECT_EQ(read_response(peer.sink.written).status, 408);
}

TEST(Http1Limits, AHandlerMayTakeItsTime) {
    TestPeer peer;
    std::optional<Exchange> kept;
    peer.dispatcher.serve = [&](http::RequestHead, const ConnectionInfo&, Exchange exchange) {
        kept = std::move(exchange);
        return Dispatched{};
    };
    peer.send(kGet);
    EXPECT_EQ(peer.connection->next_deadline_ms(), std::nullopt);
    peer.advance(3'600'000);
    EXPECT_TRUE(kept->respond(ok_head(), to_bytes("late")));
    peer.run();
    EXPECT_EQ(read_response(peer.sink.written).body, "late");
}

/// A request whose answer of 1 MB meets a window of 100 bytes.
void ask_for_a_megabyte(TestPeer& peer, HandlerLog& log) {
    peer.sink.window = 100;
    serve_body(peer, log, 0);
    log.on_end = [](Exchange& exchange) {
        EXPECT_TRUE(exchange.respond(ok_head(), Bytes(1'000'000)));
    };
    peer.send(kGet);
}

TEST(Http1Limits, APeerThatDoesNotReadIsCutOff) {
    HandlerLog log;
    TestPeer peer;
    ask_for_a_megabyte(peer, log);
    peer.advance(Http1Limits{}.write_stall_ms - 1);
    EXPECT_FALSE(peer.is_over());
    peer.open_window(900'000);
    EXPECT_EQ(peer.advance_to_deadline(), Http1Limits{}.write_stall_ms);
    EXPECT_TRUE(peer.sink.aborted);
    EXPECT_TRUE(log.destroyed);
}

TEST(Http1Limits, APeerThatReadsTooSlowlyIsCutOff) {
    HandlerLog log;
    TestPeer peer;
    ask_for_a_megabyte(peer, log);
    for (int i = 0; i < 58; ++i) {
        peer.advance(1000);
        ASSERT_FALSE(peer.is_over()) << i;
        peer.open_window(512);  // half of what it must take
    }
    peer.advance(1000);
    EXPECT_TRUE(peer.sink.aborted);
}

TEST(Http1Limits, APeerThatOnlyAsksIsHeldBack) {
    Http1Limits limits;
    limits.output_bytes = 4000;
    TestPeer peer(platform_connection(), limits);
    serve_ok(peer);
    peer.sink.window = 0;
    std::string requests;
    for (int i = 0; i < 1000; ++i) requests += kGet;
    peer.send(requests);
    EXPECT_FALSE(peer.connection->wants_input());
    EXPECT_LT(peer.dispatcher.paths.size(), 100u);
    peer.open_window(1 << 20);
    EXPECT_EQ(read_responses(peer.sink.written).size(), 1000u);
}

TEST(Http1Limits, AConnectionServesABoundedNumberOfRequests) {
    Http1Limits limits;
    limits.requests = 3;
    TestPeer peer(platform_connection(), limits);
    serve_ok(peer);
    peer.send(std::string(kGet) + std::string(kGet) + std::string(kGet) + std::string(kGet));
    const auto responses = read_responses(peer.sink.written);
    ASSERT_EQ(responses.size(), 3u);
    EXPECT_EQ(responses[1].headers.first("connection"), std::nullopt);
    EXPECT_EQ(responses[2].headers.first("connection"), "close");
    EXPECT_TRUE(peer.sink.finished);
}

}  // namespace
}  // namespace eos::runtime
