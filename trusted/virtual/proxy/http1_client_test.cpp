// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/virtual/proxy/http1_client.h"

#include <gtest/gtest.h>

#include <string>

#include "trusted/virtual/proxy/upstream_client_test.h"

namespace eos::cvm::proxy {
namespace {

using http::BodySize;
using http::Method;

constexpr std::string_view kGet = "GET /x HTTP/1.1\r\nhost: a.example\r\n\r\n";

struct Http1ClientTest : testing::Test {
    void ask(Method method = Method::kGet, BodySize body = BodySize::none()) {
        heard = Recorder();
        ASSERT_TRUE(client.begin(request_head(method, body), heard));
    }
    /// What goes out behind a head.
    std::string sent() {
        std::string out(as_chars(client.output()));
        client.output_taken(out.size());
        return out;
    }
    void answer(std::string_view text) { client.receive(as_bytes(text)); }
    void end() { client.input_ended(InputEnd::kOrderly); }

    HandClock clock;
    FakeTransport transport;
    UpstreamClientParts parts{clock, transport};
    Http1Client client{parts, UpstreamTimeouts{.response_ms = 100, .stall_ms = 50}};
    Recorder heard;
};

constexpr std::string_view kOk = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

TEST_F(Http1ClientTest, ServesOneRequestAfterTheOther) {
    for (int i = 0; i < 3; ++i) {
        ask();
        EXPECT_EQ(sent(), kGet);
        answer(kOk);
        EXPECT_EQ(heard.outcome, "end");
        EXPECT_EQ(heard.body, "ok");
        EXPECT_TRUE(client.is_idle());
    }
}

TEST_F(Http1ClientTest, InterimAnswersArePassedOverAndTrailersArePassedOn) {
    ask();
    sent();
    answer("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: ");
    answer("chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n");
    EXPECT_EQ(heard.outcome, "end");
    EXPECT_EQ(heard.body, "abc");
    EXPECT_EQ(heard.trailers.first("x-sum"), "1");
    EXPECT_TRUE(client.is_idle());
}

TEST_F(Http1ClientTest, AnswersWithoutABodyKeepTheirDescription) {
    ask(Method::kHead);
    sent();
    answer("HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n");
    EXPECT_EQ(heard.outcome, "end");
    EXPECT_EQ(heard.described, BodySize::known(12));
    ask();
    sent();
    answer("HTTP/1.1 304 Not Modified\r\nContent-Length: 12\r\n\r\n");
    EXPECT_EQ(heard.outcome, "end");
    EXPECT_TRUE(client.is_idle());
}

TEST_F(Http1ClientTest, ABodyThatEndsWithTheConnectionIsWholeOnlyIfItEndsInOrder) {
    ask();
    sent();
    answer("HTTP/1.1 200 OK\r\n\r\npart");
    EXPECT_EQ(heard.outcome, "open");
    end();
    EXPECT_EQ(heard.outcome, "end");
    EXPECT_TRUE(client.is_over());

    Http1Client other(parts, {});
    Recorder broken;
    ASSERT_TRUE(other.begin(request_head(), broken));
    other.receive(as_bytes("HTTP/1.1 200 OK\r\n\r\npart"));
    other.input_ended(InputEnd::kBroken);
    EXPECT_EQ(broken.outcome, "closed");
}

TEST_F(Http1ClientTest, TruncatedAnswersAreFailures) {
    for (std::string_view part :
         {"", "HTTP/1.1 2", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcd",
          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
          "HTTP/1.1 100 Continue\r\n\r\n"}) {
        Http1Client one(parts, {});
        Recorder recorder;
        ASSERT_TRUE(one.begin(request_head(), recorder));
        one.output_taken(one.output().size());
        if (!part.empty()) one.receive(as_bytes(part));
        one.input_ended(InputEnd::kOrderly);
        EXPECT_EQ(recorder.outcome, "closed") << part;
        EXPECT_TRUE(one.is_over());
    }
}

TEST_F(Http1ClientTest, WhatCanBeReadInTwoWaysIsRefused) {
    for (std::string_view lie :
         {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
          "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n",
          "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\n",
          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, identity\r\n\r\n",
          "HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n",
          "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
          "HTTP/1.1 200 OK\r\nA: b\r\n folded\r\n\r\n", "HTTP/1.1 200 OK\nA: b\n\n",
          "HTTP/1.1 200 OK\r\nA : b\r\n\r\n", "HTTP/2 200\r\n\r\n", "nonsense\r\n\r\n",
          "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n",
          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff0\r\n"}) {
        Http1Client one(parts, {});
        Recorder recorder;
        ASSERT_TRUE(one.begin(request_head(), recorder));
        one.receive(as_bytes(lie));
        EXPECT_EQ(recorder.outcome, "malformed") << lie;
        EXPECT_TRUE(one.is_over());
    }
}

TEST_F(Http1ClientTest, BytesThatNobodyAskedForEndTheConnection) {
    ask();
    sent();
    answer(std::string(kOk) + "HTTP/1.1 200 OK\r\n");
    EXPECT_EQ(heard.outcome, "end");
    EXPECT_EQ(heard.body, "ok");
    EXPECT_TRUE(client.is_over());

    Http1Client idle(parts, {});
    idle.receive(as_bytes("HTTP/1.1 200 OK\r\n"));
    EXPECT_TRUE(idle.is_over());
}

TEST_F(Http1ClientTest, ConnectionsThatSayCloseAreNotReused) {
    ask();
    sent();
    answer("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    EXPECT_EQ(heard.outcome, "end");
    EXPECT_TRUE(client.is_over());
}

TEST_F(Http1ClientTest, FramesTheRequestsBody) {
    ask(Method::kPost, BodySize::unknown());
    client.write(as_bytes("hello"));
    client.finish({});
    EXPECT_TRUE(sent().ends_with("\r\n\r\n5\r\nhello\r\n0\r\n\r\n"));
    answer(kOk);
    ask(Method::kPost, BodySize::known(5));
    client.write(as_bytes("hello"));
    client.finish({});
    EXPECT_TRUE(sent().ends_with("content-length: 5\r\n\r\nhello"));
    answer(kOk);
    EXPECT_TRUE(client.is_idle());
}

TEST_F(Http1ClientTest, AnEarlyAnswerIsHandedOnAndEndsTheConnection) {
    ask(Method::kPost, BodySize::known(10));
    sent();
    client.write(as_bytes("12345"));
    answer("HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno");
    EXPECT_EQ(heard.status, 413);
    EXPECT_EQ(heard.outcome, "end");
    EXPECT_TRUE(client.is_over());
    client.write(as_bytes("67890"));  // nothing happens
}

TEST_F(Http1ClientTest, AnAnswerIsHeardAfterTheUpstreamStoppedReading) {
    ask(Method::kPost, BodySize::known(10));
    client.output_refused();
    client.write(as_bytes("12345"));
    EXPECT_TRUE(client.output().empty());
    answer("HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n");
    EXPECT_EQ(heard.status, 413);
    EXPECT_TRUE(client.is_over());
}

TEST_F(Http1ClientTest, ASlowClientHoldsTheAnswerBack) {
    ask();
    sent();
    heard.room = 1;
    answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n");
    EXPECT_FALSE(client.wants_input());
    EXPECT_EQ(client.next_deadline_ms(), std::nullopt);  // not the upstream's fault
    end();                                               // waits until all was handed on
    EXPECT_EQ(heard.outcome, "open");
    heard.room = 1;
    client.resume();
    client.resume();
    EXPECT_EQ(heard.body, "ab");
    heard.room = 2;
    client.resume();
    EXPECT_EQ(heard.body, "abcd");
    EXPECT_FALSE(client.wants_input());
    heard.room = 100;
    client.resume();
    EXPECT_EQ(heard.body, "abcde");
    EXPECT_EQ(heard.outcome, "closed");  // the last chunk never came
}

TEST_F(Http1ClientTest, ABodyIsOfferedAsLongAsSomeOfItIsTaken) {
    ask();
    sent();
    heard.most_at_once = 2;
    answer("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nabcde");
    EXPECT_EQ(heard.body, "abcde");
    EXPECT_TRUE(client.wants_input());
    answer("fg");
    EXPECT_EQ(heard.body, "abcdefg");
    EXPECT_EQ(heard.outcome, "end");
}

TEST_F(Http1ClientTest, ASlowUpstreamHoldsTheRequestBack) {
    ask(Method::kPost, BodySize::unknown());
    sent();
    client.write(Bytes(UpstreamExchange::kRoomBytes));
    EXPECT_FALSE(client.has_room());
    client.output_taken(10);
    EXPECT_EQ(heard.rooms, 0);
    client.output_taken(UpstreamExchange::kRoomBytes / 2 + 10);
    EXPECT_EQ(heard.rooms, 1);
    EXPECT_TRUE(client.has_room());
}

TEST_F(Http1ClientTest, TimesOut) {
    ask();
    EXPECT_EQ(client.next_deadline_ms(), clock.ms + 50);  // does not take the request
    sent();
    EXPECT_EQ(client.next_deadline_ms(), clock.ms + 100);
    client.tick(clock.ms + 99);
    EXPECT_EQ(heard.outcome, "open");
    client.tick(clock.ms + 100);
    EXPECT_EQ(heard.outcome, "response timeout");
}

TEST_F(Http1ClientTest, AHeadThatTricklesInIsNoAnswer) {
    ask();
    sent();
    const std::string_view head = "HTTP/1.1 200 OK\r\nX: y";
    for (std::size_t i = 0; i < 10; ++i) {
        answer(head.substr(i, 1));
        clock.ms += 9;
        client.tick(clock.ms);
    }
    EXPECT_EQ(heard.outcome, "open");
    answer(head.substr(10, 1));
    clock.ms += 10;
    client.tick(clock.ms);
    EXPECT_EQ(heard.outcome, "response timeout");
}

TEST_F(Http1ClientTest, StallsInsideAnAnswer) {
    ask();
    sent();
    answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no");
    clock.ms += 10;
    client.tick(clock.ms + 39);
    EXPECT_EQ(heard.outcome, "open");
    client.tick(clock.ms + 40);
    EXPECT_EQ(heard.outcome, "stalled");
}

TEST_F(Http1ClientTest, WaitsForTheClientsBodyWithoutADeadline) {
    ask(Method::kPost, BodySize::known(2));
    sent();
    EXPECT_EQ(client.next_deadline_ms(), std::nullopt);
}

TEST_F(Http1ClientTest, OnlyAReusedConnectionCanBeStale) {
    ask();
    sent();
    answer(kOk);
    ask();
    sent();
    end();
    EXPECT_EQ(heard.outcome, "closed, maybe stale");

    Http1Client fresh(parts, {});
    Recorder recorder;
    ASSERT_TRUE(fresh.begin(request_head(), recorder));
    fresh.output_taken(1);
    fresh.input_ended(InputEnd::kBroken);
    EXPECT_EQ(recorder.outcome, "closed");
}

TEST_F(Http1ClientTest, WhatNeverWentOutWasNotProcessed) {
    ask(Method::kPost);
    end();
    EXPECT_EQ(heard.outcome, "closed, not processed");
}

TEST_F(Http1ClientTest, WhatComesBeforeTheRequestWentOutIsNoAnswerToIt) {
    ask();
    sent();
    answer(kOk);
    ask();
    answer(kOk);
    EXPECT_EQ(heard.status, 0);
    EXPECT_EQ(heard.outcome, "closed, not processed");
    EXPECT_TRUE(client.is_over());

    // On a connection of its own it is nobody else's: that of a service that has no time.
    Http1Client fresh(parts, {});
    Recorder recorder;
    ASSERT_TRUE(fresh.begin(request_head(), recorder));
    fresh.receive(as_bytes("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"));
    EXPECT_EQ(recorder.status, 503);
}

TEST_F(Http1ClientTest, NothingIsStaleOnceSomethingOfTheAnswerCame) {
    ask();
    sent();
    answer(kOk);
    ask();
    sent();
    answer("H");
    end();
    EXPECT_EQ(heard.outcome, "closed");
}

TEST_F(Http1ClientTest, ATunnelCarriesBytesAsTheyAre) {
    heard = Recorder();
    http::RequestHead head = request_head();
    head.protocol = http::kWebSocket;
    ASSERT_TRUE(client.begin(head, heard));
    sent();
    heard.room = 3;
    answer("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\nabcdef");
    EXPECT_EQ(heard.status, 101);
    EXPECT_EQ(heard.body, "abc");
    EXPECT_FALSE(client.wants_input());
    heard.room = 100;
    client.resume();
    client.write(as_bytes("there"));
    EXPECT_EQ(sent(), "there");
    answer("HTTP/1.1 nonsense");
    EXPECT_EQ(heard.body, "abcdefHTTP/1.1 nonsense");
    EXPECT_FALSE(client.ends_output());
    client.finish({});
    EXPECT_TRUE(client.ends_output());
    EXPECT_EQ(client.next_deadline_ms(), clock.ms + 50);
    end();
    EXPECT_EQ(heard.outcome, "end");
    EXPECT_TRUE(client.is_over());
}

TEST_F(Http1ClientTest, ATunnelThatPausesLosesNothingWhenTheUpstreamEnds) {
    http::RequestHead head = request_head();
    head.protocol = http::kWebSocket;
    ASSERT_TRUE(client.begin(head, heard));
    sent();
    heard.room = 2;
    answer("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\nlast words");
    client.write(as_bytes("on its way"));
    end();
    EXPECT_EQ(heard.outcome, "open");
    heard.room = 100;
    client.resume();
    EXPECT_EQ(heard.body, "last words");
    EXPECT_EQ(heard.outcome, "end");
    // Nor what the client said before it heard of that.
    EXPECT_FALSE(client.is_over());
    EXPECT_FALSE(client.can_begin());
    EXPECT_EQ(sent(), "on its way");
    EXPECT_TRUE(client.is_over());
}

TEST_F(Http1ClientTest, ATunnelThatIsOverDoesNotWaitForAnUpstreamThatTakesNothing) {
    http::RequestHead head = request_head();
    head.protocol = http::kWebSocket;
    ASSERT_TRUE(client.begin(head, heard));
    sent();
    answer("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n");
    client.write(as_bytes("on its way"));
    end();
    EXPECT_FALSE(client.is_over());
    EXPECT_EQ(client.next_deadline_ms(), clock.ms + 50);
    client.tick(clock.ms + 50);
    EXPECT_TRUE(client.is_over());
}

TEST_F(Http1ClientTest, TrailersGoBehindAChunkedBody) {
    ask(Method::kPost, BodySize::unknown());
    http::Headers trailers;
    ASSERT_TRUE(trailers.add("x-sum", "1"));
    client.finish(trailers);
    EXPECT_TRUE(sent().ends_with("\r\n\r\n0\r\nx-sum: 1\r\n\r\n"));
}

TEST_F(Http1ClientTest, AnAbandonedConnectionIsOver) {
    ask();
    client.abandon();
    EXPECT_TRUE(client.is_over());
    answer(kOk);
    EXPECT_EQ(heard.outcome, "open");
}

}  // namespace
}  // namespace eos::cvm::proxy
