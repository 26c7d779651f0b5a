// SPDX-License-Identifier: AGPL-3.0-only
// Upstreams that break the rules of HTTP/2, or keep to them and mean harm: frame by frame.
#include <gtest/gtest.h>

#include <deque>

#include "trusted/runtime/http2_test_peer.h"
#include "trusted/virtual/proxy/http2_client.h"
#include "trusted/virtual/proxy/upstream_client_test.h"

namespace eos::cvm::proxy {
namespace {

using runtime::encode;
using runtime::Fields;
using runtime::Frame;
using runtime::literals;
using runtime::u32;

constexpr std::uint8_t kEndStream = NGHTTP2_FLAG_END_STREAM;
constexpr std::uint8_t kEndHeaders = NGHTTP2_FLAG_END_HEADERS;

/// A client that has asked two things, and is sent what a test says.
struct HostileUpstream : testing::Test {
    HostileUpstream() {
        send({NGHTTP2_SETTINGS, 0, 0, ""});
        for (Recorder& one : heard) exchanges.push_back(client.begin(request_head(), one).value());
        drain();
    }
    void bytes(std::string_view text) {
        if (client.wants_input()) client.receive(as_bytes(text));
        drain();
    }
    void send(const Frame& frame) { bytes(encode(frame)); }
    void head(std::uint32_t stream, const Fields& fields, std::uint8_t flags = 0) {
        send({NGHTTP2_HEADERS, static_cast<std::uint8_t>(flags | kEndHeaders), stream,
              literals(fields)});
    }
    void data(std::uint32_t stream, std::string payload, std::uint8_t flags = 0) {
        send({NGHTTP2_DATA, flags, stream, std::move(payload)});
    }
    void drain() {
        while (!client.output().empty()) {
            sent += as_chars(client.output());
            client.output_taken(client.output().size());
        }
    }
    /// The other request is answered as if nothing had been.
    void expect_others_go_on() {
        head(3, {{":status", "200"}}, kEndStream);
        EXPECT_EQ(heard[1].outcome, "end");
        EXPECT_FALSE(client.is_over());
    }
    void expect_the_end(std::string_view outcome = "malformed") {
        EXPECT_EQ(heard[0].outcome, outcome);
        EXPECT_EQ(heard[1].outcome, outcome);
        EXPECT_TRUE(client.is_over());
    }

    HandClock clock;
    FakeTransport transport;
    Http2Client client{{clock, transport}, {}};
    std::array<Recorder, 2> heard;
    std::vector<UpstreamExchange*> exchanges;
    std::string sent;
};

TEST_F(HostileUpstream, AnswersInHttp1AreNotAnswers) {
    Http2Client other({clock, transport}, {});
    Recorder recorder;
    ASSERT_TRUE(other.begin(request_head(), recorder));
    other.receive(as_bytes("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"));
    other.output();
    EXPECT_EQ(recorder.outcome, "malformed");
    EXPECT_TRUE(other.is_over());
}

TEST_F(HostileUpstream, HeadsThatAreNoneEndTheirAnswerAlone) {
    const Fields kBad[] = {
        {{"server", "x"}},                              // no status
        {{":status", "200"}, {":status", "200"}},       // two
        {{":status", "20x"}},                           //
        {{":status", "101"}},                           // not in HTTP/2
        {{":status", "099"}},                           // neither interim nor final
        {{":status", "000"}},                           //
        {{":status", "200"}, {":path", "/"}},           // of requests
        {{":status", "200"}, {"Upper", "x"}},           //
        {{":status", "200"}, {"connection", "close"}},  //
        {{":status", "200"}, {"transfer-encoding", "chunked"}},
        {{":status", "200"}, {"a b", "x"}},
        {{":status", "200"}, {"x", "a\r\nb: c"}},
        {{":status", "200"}, {"content-length", "1"}, {"content-length", "2"}},
        {{":status", "200"}, {"content-length", "-1"}},
        {{"x", "y"}, {":status", "200"}},  // behind a field
    };
    std::uint32_t number = 5;
    for (const Fields& fields : kBad) {
        Recorder one;
        ASSERT_TRUE(client.begin(request_head(), one));
        drain();
        head(number, fields);
        data(number, "body");
        EXPECT_EQ(one.outcome, "malformed") << number;
        EXPECT_EQ(one.status, 0);
        EXPECT_EQ(one.body, "");
        number += 2;
    }
    expect_others_go_on();
}

TEST_F(HostileUpstream, ALieAboutTheLengthIsFoundOut) {
    for (const auto& [length, body] : {std::pair{"5", "abc"}, std::pair{"2", "abc"}}) {
        Recorder one;
        ASSERT_TRUE(client.begin(request_head(), one));
        drain();
        const auto number = static_cast<std::uint32_t>(length[0] == '5' ? 5 : 7);
        head(number, {{":status", "200"}, {"content-length", length}});
        data(number, body, kEndStream);
        EXPECT_EQ(one.status, 200);
        EXPECT_EQ(one.outcome, "malformed") << length;
    }
    expect_others_go_on();
}

TEST_F(HostileUpstream, ALieAboutTheLengthOfATunnelsRefusalIsFoundOut) {
    send({NGHTTP2_SETTINGS, 0, 0, std::string("\0\x8\0\0\0\1", 6)});  // tunnels are offered
    std::uint32_t number = 5;
    for (const auto& [length, outcome] :
         {std::pair{"5", "malformed"}, std::pair{"2", "malformed"}, std::pair{"3", "end"}}) {
        Recorder one;
        http::RequestHead tunnel = request_head();
        tunnel.protocol = http::kWebSocket;
        ASSERT_TRUE(client.begin(tunnel, one));
        drain();
        head(number, {{":status", "403"}, {"content-length", length}});
        data(number, "a");
        data(number, "bc", kEndStream);
        EXPECT_EQ(one.status, 403);
        EXPECT_EQ(one.outcome, outcome) << length;
        number += 2;
    }
    expect_others_go_on();
}

TEST_F(HostileUpstream, DataBehindTheEndIsNobodys) {
    head(1, {{":status", "200"}});
    data(1, "all", kEndStream);
    EXPECT_EQ(heard[0].outcome, "end");
    data(1, "more");
    EXPECT_EQ(heard[0].body, "all");
    expect_others_go_on();
}

TEST_F(HostileUpstream, DataBeforeAHeadIsNoAnswer) {
    data(1, "body");
    EXPECT_EQ(heard[0].body, "");
    expect_the_end();
}

TEST_F(HostileUpstream, ABodyWhereNoneIsAllowedIsRefused) {
    Recorder one;
    ASSERT_TRUE(client.begin(request_head(http::Method::kHead), one));
    drain();
    head(5, {{":status", "200"}, {"content-length", "3"}});
    data(5, "abc", kEndStream);
    EXPECT_EQ(one.outcome, "malformed");
    head(1, {{":status", "304"}, {"content-length", "3"}});
    data(1, "abc", kEndStream);
    EXPECT_EQ(heard[0].outcome, "malformed");
    expect_others_go_on();
}

TEST_F(HostileUpstream, PushesAreRefused) {
    send({NGHTTP2_PUSH_PROMISE, kEndHeaders, 1,
          u32(2) + literals({{":method", "GET"},
                             {":scheme", "http"},
                             {":authority", "a.example"},
                             {":path", "/pushed"}})});
    expect_the_end();
}

TEST_F(HostileUpstream, StreamsThatNobodyOpenedEndTheConnection) {
    head(9, {{":status", "200"}}, kEndStream);
    expect_the_end();
}

TEST_F(HostileUpstream, FloodsEndTheConnection) {
    const Frame kFloods[] = {{NGHTTP2_SETTINGS, 0, 0, ""},
                             {NGHTTP2_PING, 0, 0, "12345678"},
                             {NGHTTP2_WINDOW_UPDATE, 0, 1, u32(1)},
                             {NGHTTP2_PRIORITY, 0, 1, u32(0) + "x"},
                             {NGHTTP2_DATA, 0, 1, ""}};
    for (const Frame& frame : kFloods) {
        Http2Client other({clock, transport}, {});
        Recorder recorder;
        other.receive(as_bytes(encode({NGHTTP2_SETTINGS, 0, 0, ""})));
        ASSERT_TRUE(other.begin(request_head(), recorder));
        other.output_taken(other.output().size());
        const Frame kHead{NGHTTP2_HEADERS, kEndHeaders, 1, literals({{":status", "200"}})};
        other.receive(as_bytes(encode(kHead)));
        std::uint64_t count = 0;
        for (; !other.is_over() && count < 20'000; ++count) {
            other.receive(as_bytes(encode(frame)));
            other.output_taken(other.output().size());
        }
        EXPECT_LE(count, Http2Client::kNuisances.burst + 10) << int{frame.type};
        EXPECT_EQ(recorder.outcome, "malformed") << int{frame.type};
    }
}

TEST_F(HostileUpstream, PingsOfAnUpstreamThatAnswersEachMessageAreNoFlood) {
    Recorder recorder;
    UpstreamExchange* exchange =
        client.begin(request_head(http::Method::kPost, http::BodySize::unknown()), recorder)
            .value();
    drain();
    for (int i = 0; i < 20'000; ++i) {
        exchange->write(as_bytes("m"));
        drain();
        send({NGHTTP2_PING, 0, 0, "12345678"});
        send({NGHTTP2_WINDOW_UPDATE, 0, 0, u32(1)});
    }
    EXPECT_FALSE(client.is_over());
}

TEST_F(HostileUpstream, AcknowledgementsThatCannotBeSentAreBounded) {
    for (int i = 0; i < 2000 && client.wants_input(); ++i) {
        client.receive(as_bytes(encode({NGHTTP2_PING, 0, 0, "12345678"})));
    }
    expect_the_end();
}

TEST_F(HostileUpstream, AHeadWithoutEndIsCutOff) {
    send({NGHTTP2_HEADERS, 0, 1, literals({{":status", "200"}})});
    for (int i = 0; i < 10 && client.wants_input(); ++i) {
        send({NGHTTP2_CONTINUATION, 0, 1, literals({{"x", "y"}})});
    }
    expect_the_end();
}

TEST_F(HostileUpstream, AnHpackBombIsCutOff) {
    // One large field into the table, and then a byte for each time it is meant again.
    std::string block = literals({{":status", "200"}});
    block += std::string("\x40\x01", 2) + "x" + std::string("\x7f\xe1\x16", 3);  // 3,040 bytes
    block += std::string(3040, 'v');
    block += std::string(1000, '\xbe');
    send({NGHTTP2_HEADERS, kEndHeaders, 1, block});
    expect_the_end();
}

TEST_F(HostileUpstream, HeadsOverTheLimitsAreNoAnswers) {
    Fields many = {{":status", "200"}};
    for (int i = 0; i < 101; ++i) many.emplace_back("x", "y");
    head(1, many);
    EXPECT_EQ(heard[0].outcome, "malformed");
    EXPECT_EQ(heard[0].status, 0);
    expect_others_go_on();
}

TEST_F(HostileUpstream, TrailersOverTheLimitsAreNoEnd) {
    head(1, {{":status", "200"}});
    Fields many;
    for (int i = 0; i < 50; ++i) many.emplace_back("x", std::string(100, 'v'));
    head(1, many, kEndStream);
    EXPECT_EQ(heard[0].outcome, "malformed");
    expect_others_go_on();
}

TEST_F(HostileUpstream, WindowsBeyondAllBoundsEndTheirStreamOrTheConnection) {
    send({NGHTTP2_WINDOW_UPDATE, 0, 1, u32(0x7fffffff)});
    EXPECT_EQ(heard[0].outcome, "malformed");
    send({NGHTTP2_WINDOW_UPDATE, 0, 0, u32(0x7fffffff)});
    EXPECT_TRUE(client.is_over());
}

TEST_F(HostileUpstream, AnUpstreamThatSendsMoreThanItsWindowIsCutOff) {
    heard[0].room = 0;
    head(1, {{":status", "200"}});
    for (int i = 0; i < 5; ++i) data(1, std::string(16'000, 'x'));
    EXPECT_EQ(heard[0].body, "");
    EXPECT_NE(heard[0].outcome, "open");
}

TEST_F(HostileUpstream, AnUpstreamThatAllowsNoStreamsIsGivenUp) {
    send({NGHTTP2_SETTINGS, 0, 0, std::string("\0\x03", 2) + u32(0)});
    EXPECT_FALSE(client.can_begin());
    head(1, {{":status", "200"}}, kEndStream);
    expect_others_go_on();
    EXPECT_FALSE(client.can_begin());
    EXPECT_TRUE(client.is_idle());
}

TEST_F(HostileUpstream, AGoawayThatLiesIsAnError) {
    send({NGHTTP2_GOAWAY, 0, 0, u32(1) + u32(0)});
    EXPECT_EQ(heard[1].outcome, "refused, not processed");
    send({NGHTTP2_GOAWAY, 0, 0, u32(3) + u32(0)});  // more than before
    EXPECT_TRUE(client.is_over());
}

}  // namespace
}  // namespace eos::cvm::proxy
