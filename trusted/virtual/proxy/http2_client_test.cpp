// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/virtual/proxy/http2_client.h"

#include <deque>

#include "trusted/virtual/proxy/http2_upstream_test.h"
#include "trusted/virtual/proxy/upstream_client_test.h"

namespace eos::cvm::proxy {
namespace {

using http::BodySize;
using http::Method;
using Settings = Http2Upstream::Settings;

/// A client and an upstream, and bytes between them.
struct Http2ClientTest : testing::Test {
    explicit Http2ClientTest(const Settings& settings = {}) : upstream(settings) {}

    struct Asked {
        Recorder heard;
        UpstreamExchange* exchange = nullptr;
    };
    Asked& ask(const http::RequestHead& head) {
        Asked& one = asked.emplace_back();
        one.exchange = client.begin(head, one.heard).value();
        return one;
    }
    Asked& get() { return ask(request_head()); }
    Asked& post(BodySize body = BodySize::unknown()) {
        return ask(request_head(Method::kPost, body));
    }
    /// Moves bytes both ways until there are none.
    void run() {
        for (bool moved = true; moved;) {
            moved = false;
            while (!client.output().empty()) {
                const std::string bytes(as_chars(client.output()));
                client.output_taken(bytes.size());
                upstream.receive(bytes);
                moved = true;
            }
            const std::string answer = upstream.output();
            moved = moved || !answer.empty();
            if (!answer.empty() && client.wants_input()) client.receive(as_bytes(answer));
        }
    }
    void advance(std::uint64_t ms) {
        clock.ms += ms;
        client.tick(clock.ms);
        run();
    }

    HandClock clock;
    FakeTransport transport;
    Http2Client client{{clock, transport},
                       UpstreamTimeouts{.connect_ms = 20, .response_ms = 100, .stall_ms = 50}};
    Http2Upstream upstream;
    std::deque<Asked> asked;
};

const FieldsToSend kOk = {{":status", "200"}, {"server", "up"}};

TEST_F(Http2ClientTest, ARequestAndItsAnswer) {
    http::RequestHead head = request_head();
    head.query = "y=z";
    head.authority.port = 8443;
    head.accepts_trailers = true;
    ASSERT_TRUE(head.headers.add("accept", "*/*"));
    Asked& one = ask(head);
    run();
    EXPECT_EQ(upstream.requests.at(1).fields,
              (std::map<std::string, std::string>{{":method", "GET"},
                                                  {":scheme", "http"},
                                                  {":authority", "a.example:8443"},
                                                  {":path", "/x?y=z"},
                                                  {"accept", "*/*"},
                                                  {"te", "trailers"}}));
    EXPECT_TRUE(upstream.requests.at(1).ended);
    upstream.begin(1, kOk);
    upstream.say(1, "hello");
    upstream.end(1);
    run();
    EXPECT_EQ(one.heard.outcome, "end");
    EXPECT_EQ(one.heard.status, 200);
    EXPECT_EQ(one.heard.headers.first("server"), "up");
    EXPECT_EQ(one.heard.headers.count(), 1U);
    EXPECT_EQ(one.heard.body, "hello");
    EXPECT_TRUE(client.is_idle());
}

TEST_F(Http2ClientTest, NothingGoesOutBeforeTheUpstreamHasSaidWhatItAllows) {
    Asked& one = get();
    const std::string preface(as_chars(client.output()));
    client.output_taken(preface.size());
    EXPECT_TRUE(client.output().empty());
    EXPECT_TRUE(preface.starts_with("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
    EXPECT_EQ(client.next_deadline_ms(), clock.ms + 20);
    client.tick(clock.ms + 20);
    EXPECT_EQ(one.heard.outcome, "connect timeout");
    EXPECT_TRUE(client.is_over());
    EXPECT_EQ(transport.losses, 1);
}

TEST_F(Http2ClientTest, ManyRequestsAtATime) {
    for (std::size_t i = 0; i < Http2Client::kStreams; ++i) get();
    EXPECT_FALSE(client.can_begin());
    run();
    EXPECT_EQ(upstream.requests.size(), Http2Client::kStreams);
    for (auto number = static_cast<std::int32_t>(2 * Http2Client::kStreams - 1); number > 0;
         number -= 2) {
        upstream.begin(number, kOk);
        upstream.say(number, std::to_string(number));
        upstream.end(number);
    }
    run();
    for (std::size_t i = 0; i < asked.size(); ++i) {
        EXPECT_EQ(asked[i].heard.body, std::to_string(2 * i + 1));
        EXPECT_EQ(asked[i].heard.outcome, "end");
    }
    EXPECT_TRUE(client.is_idle());
}

struct FewStreams : Http2ClientTest {
    FewStreams() : Http2ClientTest({{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 2}}) {}
};

TEST_F(FewStreams, RequestsBeyondTheUpstreamsLimitWaitForTheirTurn) {
    for (int i = 0; i < 3; ++i) get();
    run();
    EXPECT_EQ(upstream.requests.size(), 2U);
    EXPECT_FALSE(client.can_begin());
    upstream.answer_head(1, kOk);
    run();
    EXPECT_EQ(asked[0].heard.outcome, "end");
    EXPECT_EQ(upstream.requests.size(), 3U);
    EXPECT_FALSE(client.can_begin());
    upstream.answer_head(3, kOk);
    run();
    EXPECT_TRUE(client.can_begin());
    upstream.set({{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 1}});
    run();
    EXPECT_FALSE(client.can_begin());
}

TEST_F(FewStreams, AWaitingRequestTimesOutAndCanBeAbandoned) {
    for (int i = 0; i < 4; ++i) get();
    run();
    asked[3].exchange->abandon();
    clock.ms += 50;
    upstream.interim(1, {{":status", "103"}});
    upstream.interim(3, {{":status", "103"}});
    run();
    advance(50);
    EXPECT_EQ(asked[2].heard.outcome, "response timeout");
    EXPECT_EQ(asked[3].heard.outcome, "open");
    EXPECT_EQ(upstream.requests.size(), 2U);
    EXPECT_TRUE(client.is_idle());
}

TEST_F(Http2ClientTest, BodiesAndTrailersPassBothWaysAtOnce) {
    Asked& one = post();
    run();
    upstream.begin(1, kOk);
    for (const char* text : {"one", "two"}) {
        one.exchange->write(as_bytes(std::string_view(text)));
        run();
        EXPECT_TRUE(upstream.requests.at(1).body.ends_with(text));
        upstream.say(1, text);
        run();
        EXPECT_TRUE(one.heard.body.ends_with(text));
    }
    http::Headers trailers;
    ASSERT_TRUE(trailers.add("x-sum", "1"));
    one.exchange->finish(trailers);
    run();
    EXPECT_TRUE(upstream.requests.at(1).ended);
    EXPECT_EQ(upstream.requests.at(1).trailers.at("x-sum"), "1");
    upstream.end(1, {{"grpc-status", "0"}, {"grpc-message", ""}});
    run();
    EXPECT_EQ(one.heard.outcome, "end");
    EXPECT_EQ(one.heard.trailers.first("grpc-status"), "0");
}

TEST_F(Http2ClientTest, AnAnswerThatIsAHeadAloneHasNoBody) {
    Asked& one = post();
    one.exchange->write(as_bytes(std::string_view("x")));
    one.exchange->finish({});
    run();
    upstream.answer_head(1, {{":status", "200"}, {"grpc-status", "12"}});
    run();
    EXPECT_EQ(one.heard.outcome, "end");
    EXPECT_EQ(one.heard.body_size, BodySize::none());
    EXPECT_EQ(one.heard.headers.first("grpc-status"), "12");
    Asked& head = ask(request_head(Method::kHead));
    run();
    upstream.answer_head(3, {{":status", "200"}, {"content-length", "12"}});
    run();
    EXPECT_EQ(head.heard.outcome, "end");
    EXPECT_EQ(head.heard.described, BodySize::known(12));
}

TEST_F(Http2ClientTest, ABodyOfKnownSizeSaysSo) {
    Asked& one = post(BodySize::known(2));
    run();
    EXPECT_EQ(upstream.requests.at(1).fields.at("content-length"), "2");
    EXPECT_FALSE(upstream.requests.at(1).ended);
    one.exchange->write(as_bytes(std::string_view("ab")));
    one.exchange->finish({});
    run();
    EXPECT_EQ(upstream.requests.at(1).body, "ab");
    EXPECT_TRUE(upstream.requests.at(1).ended);
    post(BodySize::known(0));
    run();
    EXPECT_EQ(upstream.requests.at(3).fields.at("content-length"), "0");
    EXPECT_TRUE(upstream.requests.at(3).ended);
}

TEST_F(Http2ClientTest, InterimAnswersArePassedOverButNotForever) {
    Asked& one = get();
    run();
    for (int i = 0; i < 8; ++i) upstream.interim(1, {{":status", "103"}, {"link", "x"}});
    upstream.begin(1, kOk);
    upstream.end(1);
    run();
    EXPECT_EQ(one.heard.outcome, "end");
    EXPECT_EQ(one.heard.headers.first("link"), std::nullopt);
    Asked& two = get();
    run();
    for (int i = 0; i < 9; ++i) upstream.interim(3, {{":status", "103"}});
    run();
    EXPECT_EQ(two.heard.outcome, "malformed");
    EXPECT_TRUE(client.can_begin());
}

TEST_F(Http2ClientTest, ASlowClientStopsItsOwnAnswerAndNoOther) {
    Asked& slow = get();
    Asked& fast = get();
    slow.heard.room = 1000;
    run();
    const std::string large(10 * 1024 * 1024, 'x');
    for (const std::int32_t number : {1, 3}) {
        upstream.begin(number, kOk);
        upstream.say(number, large);
        upstream.end(number);
    }
    run();
    EXPECT_EQ(fast.heard.outcome, "end");
    EXPECT_EQ(fast.heard.body.size(), large.size());
    EXPECT_EQ(slow.heard.body.size(), 1000U);
    EXPECT_EQ(upstream.answers.at(1).offset, Http2Client::kStreamWindowBytes + 0);
    EXPECT_EQ(client.next_deadline_ms(), std::nullopt);  // not the upstream's fault
    while (slow.heard.outcome == "open") {
        slow.heard.room = 100'000;
        slow.exchange->resume();
        run();
    }
    EXPECT_EQ(slow.heard.body, large);
    EXPECT_EQ(slow.heard.outcome, "end");
}

TEST_F(Http2ClientTest, AllWindowsFullAtOnceAreNoMoreThanTheConnections) {
    for (std::size_t i = 0; i < Http2Client::kStreams; ++i) get().heard.room = 0;
    run();
    for (auto& [number, request] : upstream.requests) {
        upstream.begin(number, kOk);
        upstream.say(number, std::string(Http2Client::kStreamWindowBytes, 'x'));
        upstream.end(number);
    }
    run();
    for (auto& [number, answer] : upstream.answers) {
        EXPECT_EQ(answer.offset, Http2Client::kStreamWindowBytes);
    }
    // Who leaves gives back what it held.
    for (Asked& one : asked) one.exchange->abandon();
    run();
    EXPECT_TRUE(client.is_idle());
    EXPECT_EQ(nghttp2_session_get_remote_window_size(upstream.session()),
              static_cast<std::int32_t>(Http2Client::kStreams * Http2Client::kStreamWindowBytes));
}

TEST_F(Http2ClientTest, AnUpstreamThatTakesNothingHoldsItsRequestBack) {
    Asked& one = post();
    run();
    one.exchange->write(Bytes(65535));
    run();
    EXPECT_TRUE(one.exchange->has_room());
    one.exchange->write(Bytes(UpstreamExchange::kRoomBytes));
    run();
    EXPECT_FALSE(one.exchange->has_room());
    EXPECT_EQ(upstream.requests.at(1).body.size(), 65535U);
    EXPECT_EQ(client.next_deadline_ms(), clock.ms + 50);
    EXPECT_EQ(one.heard.rooms, 0);
    upstream.consume(1, 65535);
    run();
    EXPECT_EQ(one.heard.rooms, 1);
    EXPECT_TRUE(one.exchange->has_room());
}

TEST_F(Http2ClientTest, AnEarlyAnswerIsHandedOnAndEndsTheRequest) {
    Asked& one = post();
    one.exchange->write(as_bytes(std::string_view("begin")));
    run();
    upstream.begin(1, {{":status", "413"}});
    upstream.say(1, "no");
    upstream.end(1);
    run();
    EXPECT_EQ(one.heard.outcome, "end");
    EXPECT_EQ(one.heard.body, "no");
    EXPECT_TRUE(upstream.requests.at(1).closed);
    EXPECT_EQ(upstream.requests.at(1).error_code, NGHTTP2_NO_ERROR);
    EXPECT_TRUE(client.is_idle());
}

TEST_F(Http2ClientTest, AWholeAnswerThatIsHeldBackSurvivesTheEndOfItsStream) {
    Asked& one = post();
    one.heard.room = 1;
    run();
    upstream.begin(1, kOk);
    upstream.say(1, "whole");
    upstream.end(1, {{"x-sum", "1"}});
    run();
    upstream.reset(1, NGHTTP2_NO_ERROR);  // RFC 9113 §8.1: the request is not wanted
    run();
    one.exchange->write(Bytes(200'000));  // nothing happens
    client.input_ended(InputEnd::kBroken);
    EXPECT_FALSE(client.is_over());
    one.heard.room = 100;
    one.exchange->resume();
    EXPECT_EQ(one.heard.body, "whole");
    EXPECT_EQ(one.heard.trailers.first("x-sum"), "1");
    EXPECT_EQ(one.heard.outcome, "end");
    EXPECT_TRUE(client.is_over());
}

TEST_F(Http2ClientTest, AClientThatLeavesResetsItsStreamAlone) {
    Asked& one = get();
    Asked& two = get();
    run();
    upstream.begin(1, kOk);
    upstream.say(1, "part");
    run();
    one.exchange->abandon();
    run();
    EXPECT_EQ(upstream.requests.at(1).error_code, NGHTTP2_CANCEL);
    upstream.answer_head(3, kOk);
    run();
    EXPECT_EQ(one.heard.outcome, "open");
    EXPECT_EQ(two.heard.outcome, "end");
}

TEST_F(Http2ClientTest, AResetSaysWhetherTheRequestWasLookedAt) {
    for (int i = 0; i < 3; ++i) get();
    run();
    upstream.reset(1, NGHTTP2_REFUSED_STREAM);
    upstream.reset(3, NGHTTP2_INTERNAL_ERROR);
    upstream.begin(5, kOk);
    upstream.say(5, "part");
    run();
    upstream.reset(5, NGHTTP2_REFUSED_STREAM);
    run();
    EXPECT_EQ(asked[0].heard.outcome, "refused, not processed");
    EXPECT_EQ(asked[1].heard.outcome, "reset");
    EXPECT_EQ(asked[2].heard.outcome, "refused");  // not believed: something was seen of it
    EXPECT_TRUE(client.is_idle());
}

TEST_F(Http2ClientTest, AfterGoawayNoRequestBeginsAndThoseUnderWayGoOn) {
    for (int i = 0; i < 2; ++i) get();
    run();
    upstream.go_away(1);
    run();
    EXPECT_EQ(asked[1].heard.outcome, "refused, not processed");
    EXPECT_FALSE(client.can_begin());
    EXPECT_FALSE(client.is_over());
    EXPECT_EQ(transport.losses, 1);
    upstream.begin(1, kOk);
    upstream.say(1, "still");
    upstream.end(1);
    run();
    EXPECT_EQ(asked[0].heard.body, "still");
    EXPECT_EQ(asked[0].heard.outcome, "end");
    EXPECT_TRUE(client.is_over());
}

TEST_F(FewStreams, AfterGoawayThoseThatWaitGoElsewhere) {
    for (int i = 0; i < 4; ++i) get();
    run();
    upstream.go_away((1U << 31) - 1);  // a notice: the last may follow
    run();
    EXPECT_EQ(asked[0].heard.outcome, "open");
    EXPECT_EQ(asked[2].heard.outcome, "refused, not processed");
    EXPECT_EQ(asked[3].heard.outcome, "refused, not processed");
}

TEST_F(Http2ClientTest, TheEndOfTheConnectionEndsAllAndOnlyWhatMayBeStaleIsCalledSo) {
    Asked& first = get();
    run();
    upstream.answer_head(1, kOk);
    run();
    EXPECT_EQ(first.heard.outcome, "end");
    Asked& quiet = get();
    Asked& begun = get();
    run();
    upstream.begin(5, kOk);
    run();
    client.input_ended(InputEnd::kOrderly);
    EXPECT_EQ(quiet.heard.outcome, "closed, maybe stale");
    EXPECT_EQ(begun.heard.outcome, "closed");
    EXPECT_TRUE(client.is_over());

    Http2Client fresh({clock, transport}, {});
    Recorder heard;
    ASSERT_TRUE(fresh.begin(request_head(), heard));
    fresh.input_ended(InputEnd::kBroken);
    EXPECT_EQ(heard.outcome, "closed, not processed");  // nothing had gone out
}

TEST_F(Http2ClientTest, WhatNeverWentOutWasNotProcessed) {
    get();
    run();
    upstream.answer_head(1, kOk);
    run();
    Asked& partly = get();
    Asked& behind = get();
    ASSERT_FALSE(client.output().empty());
    client.output_taken(1);  // the socket is full
    Asked& waiting = post();
    client.input_ended(InputEnd::kOrderly);
    EXPECT_EQ(partly.heard.outcome, "closed, maybe stale");
    EXPECT_EQ(behind.heard.outcome, "closed, not processed");
    EXPECT_EQ(waiting.heard.outcome, "closed, not processed");
}

TEST_F(Http2ClientTest, TimesOut) {
    Asked& silent = get();
    Asked& stalled = get();
    run();
    upstream.begin(3, kOk);
    upstream.say(3, "part");
    clock.ms += 10;
    run();
    advance(49);
    EXPECT_EQ(stalled.heard.outcome, "open");
    advance(1);
    EXPECT_EQ(stalled.heard.outcome, "stalled");
    EXPECT_EQ(upstream.requests.at(3).error_code, NGHTTP2_CANCEL);
    EXPECT_EQ(silent.heard.outcome, "open");
    advance(40);
    EXPECT_EQ(silent.heard.outcome, "response timeout");
}

TEST_F(Http2ClientTest, ASilenceInAStreamOfMessagesIsBounded) {
    Asked& one = post();
    run();
    EXPECT_EQ(client.next_deadline_ms(), clock.ms + 50);
    clock.ms += 40;
    one.exchange->write(as_bytes(std::string_view("m")));
    run();
    upstream.begin(1, kOk);
    run();
    advance(49);
    EXPECT_EQ(one.heard.outcome, "open");
    advance(1);
    EXPECT_EQ(one.heard.outcome, "stalled");
}

TEST_F(Http2ClientTest, AnUpstreamThatSaysNothingIsAskedWhetherItIsThere) {
    Asked& one = get();
    Asked& other = post();
    run();
    clock.ms += 49;
    other.exchange->write(as_bytes(std::string_view("m")));
    while (!client.output().empty()) client.output_taken(client.output().size());
    clock.ms += 51;
    client.tick(clock.ms);
    EXPECT_EQ(one.heard.outcome, "response timeout");
    EXPECT_FALSE(client.can_begin());
    EXPECT_EQ(client.next_deadline_ms(), clock.ms + 20);
    client.tick(clock.ms + 20);
    EXPECT_TRUE(client.is_over());
    EXPECT_EQ(other.heard.outcome, "stalled");
}

TEST_F(Http2ClientTest, AnUpstreamThatIsThereKeepsItsConnection) {
    get();
    run();
    clock.ms += 1;
    advance(100);
    EXPECT_EQ(asked[0].heard.outcome, "response timeout");
    EXPECT_EQ(upstream.pings, 1);
    EXPECT_TRUE(client.is_idle());
}

TEST_F(Http2ClientTest, AFullSocketThatBreaksStillHearsTheAnswer) {
    Asked& one = post();
    run();
    one.exchange->write(Bytes(UpstreamExchange::kRoomBytes));
    EXPECT_FALSE(one.exchange->has_room());
    client.output_refused();
    EXPECT_EQ(one.heard.rooms, 1);
    EXPECT_TRUE(client.output().empty());
    EXPECT_FALSE(client.can_begin());
    upstream.begin(1, {{":status", "413"}});
    upstream.end(1);
    client.receive(as_bytes(upstream.output()));
    EXPECT_EQ(one.heard.status, 413);
    EXPECT_EQ(one.heard.outcome, "end");
}

TEST_F(Http2ClientTest, ATunnelIsRefusedWhereNoneIsOffered) {
    http::RequestHead head = request_head();
    head.protocol = http::kWebSocket;
    Asked& one = ask(head);
    EXPECT_EQ(one.heard.outcome, "open");
    run();
    EXPECT_EQ(one.heard.outcome, "no tunnel");
    EXPECT_TRUE(upstream.requests.empty());
    EXPECT_TRUE(client.is_idle());
}

struct Tunnels : Http2ClientTest {
    Tunnels() : Http2ClientTest({{NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1}}) {}
    Asked& open() {
        http::RequestHead head = request_head();
        head.protocol = http::kWebSocket;
        EXPECT_TRUE(head.headers.add("sec-websocket-key", "k"));
        EXPECT_TRUE(head.headers.add("sec-websocket-version", "13"));
        Asked& one = ask(head);
        run();
        return one;
    }
};

TEST_F(Tunnels, CarryBytesBothWays) {
    Asked& one = open();
    EXPECT_EQ(upstream.requests.at(1).fields,
              (std::map<std::string, std::string>{{":method", "CONNECT"},
                                                  {":protocol", "websocket"},
                                                  {":scheme", "http"},
                                                  {":authority", "a.example"},
                                                  {":path", "/x"},
                                                  {"sec-websocket-version", "13"}}));
    upstream.begin(1, kOk);
    run();
    EXPECT_EQ(one.heard.status, 101);
    one.exchange->write(as_bytes(std::string_view("there")));
    upstream.say(1, "back");
    run();
    EXPECT_EQ(upstream.requests.at(1).body, "there");
    EXPECT_EQ(one.heard.body, "back");
    // The upstream says its last; what the client said before still arrives.
    one.exchange->write(as_bytes(std::string_view(" again")));
    upstream.end(1);
    client.receive(as_bytes(upstream.output()));
    EXPECT_EQ(one.heard.outcome, "end");
    run();
    EXPECT_EQ(upstream.requests.at(1).body, "there again");
    EXPECT_TRUE(upstream.requests.at(1).ended);
    EXPECT_TRUE(client.is_idle());
}

TEST_F(Tunnels, ThatAreRefusedAreAnswers) {
    Asked& one = open();
    upstream.begin(1, {{":status", "403"}});
    upstream.say(1, "no");
    upstream.end(1);
    run();
    EXPECT_EQ(one.heard.status, 403);
    EXPECT_EQ(one.heard.body, "no");
    EXPECT_EQ(one.heard.outcome, "end");
    EXPECT_TRUE(client.is_idle());
}

}  // namespace
}  // namespace eos::cvm::proxy
