// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/runtime/http2_connection.h"

#include <gtest/gtest.h>

#include "trusted/runtime/http2_test_peer.h"

namespace eos::runtime {
namespace {

/// A client whose requests all get a TestHandler, the newest of which is `handler`.
struct HandledPeer : ClientPeer {
    explicit HandledPeer(const Http2Limits& limits = {}, bool tunnels = false)
        : ClientPeer(limits, tunnels) {
        serve_and_remember(dispatcher, log, handler, 1 << 20);
    }
    Exchange& exchange() { return handler->exchange(); }
    HandlerLog log;
    TestHandler* handler = nullptr;
};

TEST(Http2Connection, AnswersHeadAndBodyInOneWrite) {
    ClientPeer peer;
    peer.sink.writes.clear();
    const auto number = peer.request(request_fields("GET", "/x?q=1"));
    const auto& answer = peer.answers[number];
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(answer.body, "/x");
    EXPECT_EQ(answer.fields.at("content-length"), "2");
    EXPECT_EQ(answer.fields.at("date"), "Sun, 06 Nov 1994 08:49:37 GMT");
    EXPECT_TRUE(answer.closed);
    EXPECT_EQ(answer.error_code, 0u);
    EXPECT_EQ(peer.sink.writes.size(), 1u);
    ASSERT_EQ(peer.observer.records.size(), 1u);
    EXPECT_EQ(peer.observer.records[0].status, 200);
    EXPECT_EQ(peer.observer.records[0].route.view(), "/x");
    EXPECT_EQ(peer.observer.records[0].method, http::Method::kGet);
}

TEST(Http2Connection, AHandlerSeesTheSameHeadAsInHttp1) {
    ClientPeer peer;
    http::RequestHead seen;
    peer.dispatcher.serve = [&](http::RequestHead head, const ConnectionInfo&, Exchange exchange) {
        seen = std::move(head);
        EXPECT_TRUE(exchange.respond(ok_head(), {}));
        return Dispatched{};
    };
    peer.request(
        request_fields("OPTIONS", "/a%20b?c=d",
                       {{"cookie", "a=1"}, {"x", "y"}, {"cookie", "b=2"}, {"te", "trailers"}}));
    EXPECT_EQ(seen.method, http::Method::kOptions);
    EXPECT_EQ(seen.version, http::Version::kHttp2);
    EXPECT_EQ(seen.scheme, http::Scheme::kHttps);
    EXPECT_EQ(seen.authority.host, "mini.example");
    EXPECT_EQ(seen.path, "/a%20b");
    EXPECT_EQ(seen.query, "c=d");
    EXPECT_EQ(seen.headers.all("cookie"), std::vector<std::string_view>{"a=1; b=2"});
    EXPECT_EQ(seen.headers.first("host"), "mini.example");
    EXPECT_EQ(seen.body, http::BodySize::none());
    EXPECT_TRUE(seen.accepts_trailers);
    peer.upload(request_fields("POST", "/", {{"content-length", "3"}}), {"abc"});
    EXPECT_EQ(seen.body, http::BodySize::known(3));
    peer.upload(request_fields("POST", "/"), {"abc"});
    EXPECT_EQ(seen.body, http::BodySize::unknown());
}

TEST(Http2Connection, RequestsAreAnsweredSideBySide) {
    ClientPeer peer;
    std::vector<Exchange> waiting;
    peer.dispatcher.serve = [&](http::RequestHead, const ConnectionInfo&, Exchange exchange) {
        waiting.push_back(std::move(exchange));
        return Dispatched{};
    };
    std::vector<std::int32_t> numbers;
    for (int i = 0; i < 100; ++i) numbers.push_back(peer.request(request_fields("GET", "/x")));
    ASSERT_EQ(waiting.size(), 100u);
    for (std::size_t i = waiting.size(); i-- > 0;) {
        EXPECT_TRUE(waiting[i].respond(ok_head(), to_bytes(std::to_string(i))));
        peer.run();
        EXPECT_EQ(peer.answers[numbers[i]].body, std::to_string(i));
    }
}

TEST(Http2Connection, OneStreamMoreThanAllowedWaitsOrIsRefused) {
    RawPeer peer(Http2Limits{.streams = 2});
    std::vector<Exchange> waiting;
    peer.dispatcher.serve = [&](http::RequestHead, const ConnectionInfo&, Exchange exchange) {
        waiting.push_back(std::move(exchange));
        return Dispatched{};
    };
    for (std::uint32_t stream : {1u, 3u, 5u}) peer.get(stream);
    EXPECT_EQ(waiting.size(), 2u);
    EXPECT_EQ(peer.reset_of(5), NGHTTP2_REFUSED_STREAM);
}

TEST(Http2Connection, BodiesOfAnySizeFlowBothWaysThroughSmallWindows) {
    HandledPeer peer;
    std::size_t sent = 0;
    const std::size_t size = 900'000;
    const auto send_more = [&](Exchange& exchange) {
        const std::string text = peer.log.body.substr(sent);
        sent += exchange.write(as_bytes(text));
        if (sent == size) exchange.finish();
    };
    peer.log.on_writable = send_more;
    peer.log.on_end = [&](Exchange& exchange) {
        EXPECT_TRUE(exchange.start(ok_head(), http::BodySize::known(size)));
        send_more(exchange);
    };
    std::string body(size, 'x');
    for (std::size_t i = 0; i < size; ++i) body[i] = static_cast<char>('a' + i % 23);
    peer.sink.window = 1000;
    const auto number = peer.upload(request_fields("POST", "/p"), {body});
    for (int i = 0; i < 3000 && !peer.answers[number].closed; ++i) peer.open_window(1000);
    EXPECT_EQ(peer.answers[number].body, body);
    EXPECT_EQ(peer.log.ends, 1);
    EXPECT_EQ(peer.log.aborts, 0);
    EXPECT_TRUE(peer.log.destroyed);
}

TEST(Http2Connection, ALargeAnswerFillsTheRecordsOfTls) {
    constexpr std::size_t kRecordBytes = 16 * 1024;
    HandlerLog log;
    TestHandler* handler = nullptr;
    RawPeer peer;
    serve_and_remember(peer.dispatcher, log, handler, 1000);
    peer.get(1);
    const Bytes piece(40'000);
    Exchange& exchange = handler->exchange();
    ASSERT_TRUE(exchange.start(ok_head(), http::BodySize::unknown()));
    peer.wake();
    peer.sink.writes.clear();
    const std::size_t taken = exchange.write(piece);
    peer.wake();
    EXPECT_EQ(peer.sink.writes, std::vector<std::size_t>{2 * kRecordBytes});
    EXPECT_EQ(exchange.write(ByteView(piece).subspan(taken)), piece.size() - taken);
    peer.wake();
    std::size_t sent = 0;
    for (const Frame& frame : peer.frames()) {
        if (frame.type != NGHTTP2_DATA) continue;
        EXPECT_LE(9 + frame.payload.size(), kRecordBytes);
        sent += frame.payload.size();
    }
    EXPECT_EQ(sent, piece.size());
}

TEST(Http2Connection, ALargeAnswerLeavesInLargeWrites) {
    ClientPeer peer;
    const Bytes body(300'000);
    peer.dispatcher.serve = [&](http::RequestHead, const ConnectionInfo&, Exchange exchange) {
        EXPECT_TRUE(exchange.respond(ok_head(), body));
        return Dispatched{};
    };
    nghttp2_session_set_local_window_size(peer.client, NGHTTP2_FLAG_NONE, 0, 1 << 20);
    const nghttp2_settings_entry entry{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1 << 20};
    nghttp2_submit_settings(peer.client, NGHTTP2_FLAG_NONE, &entry, 1);
    peer.run();
    peer.sink.writes.clear();
    const auto number = peer.request(request_fields("GET", "/"));
    EXPECT_EQ(peer.answers[number].body.size(), body.size());
    EXPECT_LE(peer.sink.writes.size(), 11u);  // of 32 KiB and a frame each
}

TEST(Http2Connection, ABlockedAnswerGoesOnToItsEndWhenThereIsRoom) {
    ClientPeer peer;
    const Bytes body(60'000);
    peer.dispatcher.serve = [&](http::RequestHead, const ConnectionInfo&, Exchange exchange) {
        EXPECT_TRUE(exchange.respond(ok_head(), body));
        return Dispatched{};
    };
    peer.sink.window = 5000;
    const auto number = peer.request(request_fields("GET", "/"));
    EXPECT_LT(peer.answers[number].body.size(), 5000u);
    peer.open_window(1 << 20);
    EXPECT_EQ(peer.answers[number].body.size(), body.size());
}

TEST(Http2Connection, HeadGetsTheLengthAndNoBody) {
    ClientPeer peer;
    const auto number = peer.request(request_fields("HEAD", "/x"));
    EXPECT_EQ(peer.answers[number].fields.at("content-length"), "2");
    EXPECT_EQ(peer.answers[number].body, "");
    EXPECT_TRUE(peer.answers[number].closed);
}

TEST(Http2Connection, ExpectContinueIsAnsweredWhenTheBodyIsWanted) {
    HandledPeer peer;
    const auto number = peer.upload(request_fields("POST", "/p", {{"expect", "100-continue"}}),
                                    {.bytes = "", .stays_open = true});
    EXPECT_EQ(peer.answers[number].interim, 100);
    const auto other = peer.upload(request_fields("POST", "/p", {{"expect", "tea"}}), {"x"});
    EXPECT_EQ(peer.answers[other].status, 417);
}

TEST(Http2Connection, ARequestForAnotherNameIsNeverRouted) {
    ClientPeer peer;
    Fields fields = request_fields("GET", "/x");
    fields[2].second = "other.example";
    EXPECT_EQ(peer.answers[peer.request(fields)].status, 421);
    fields[2].second = "mini.example:8443";  // the host decides which port reaches us
    EXPECT_EQ(peer.answers[peer.request(fields)].status, 200);
    fields[1].second = "http";
    EXPECT_EQ(peer.answers[peer.request(fields)].status, 421);
    EXPECT_EQ(peer.dispatcher.paths.size(), 1u);
    EXPECT_FALSE(peer.is_over());
}

TEST(Http2Connection, ARequestThatCouldBeReadInTwoWaysIsReset) {
    const auto reset_with = [](const Fields& fields) {
        RawPeer peer;
        peer.send({NGHTTP2_HEADERS, NGHTTP2_FLAG_END_STREAM | NGHTTP2_FLAG_END_HEADERS, 1,
                   literals(fields)});
        EXPECT_TRUE(peer.dispatcher.paths.empty());
        EXPECT_FALSE(peer.is_over());
        EXPECT_EQ(peer.goaway(), -1);
        EXPECT_TRUE(peer.observer.records.empty());
        EXPECT_EQ(peer.observer.refusals.size(), 1U);
        return peer.reset_of(1);
    };
    const auto with = [](const Fields& others) { return request_fields("GET", "/", others); };
    EXPECT_EQ(reset_with(with({{"host", "other.example"}})), NGHTTP2_PROTOCOL_ERROR);
    EXPECT_EQ(reset_with(with({{"host", "mini.example"}, {"host", "mini.example"}})),
              NGHTTP2_PROTOCOL_ERROR);
    EXPECT_EQ(reset_with(with({{"connection", "close"}})), NGHTTP2_PROTOCOL_ERROR);
    EXPECT_EQ(reset_with(with({{"transfer-encoding", "chunked"}})), NGHTTP2_PROTOCOL_ERROR);
    EXPECT_EQ(reset_with(with({{"upgrade", "websocket"}})), NGHTTP2_PROTOCOL_ERROR);
    EXPECT_EQ(reset_with(with({{"te", "gzip"}})), NGHTTP2_PROTOCOL_ERROR);
    EXPECT_EQ(reset_with(with({{"X-Upper", "1"}})), NGHTTP2_PROTOCOL_ERROR);
    EXPECT_EQ(reset_with(with({{"x", "a\r\nb"}})), NGHTTP2_PROTOCOL_ERROR);
    EXPECT_EQ(reset_with(with({{":path", "/twice"}})), NGHTTP2_PROTOCOL_ERROR);
    EXPECT_EQ(reset_with(with({{"content-length", "5"}})), NGHTTP2_PROTOCOL_ERROR);
    EXPECT_EQ(reset_with(with({{":protocol", "websocket"}})), NGHTTP2_PROTOCOL_ERROR);
    EXPECT_EQ(reset_with({{":method", "GET"}, {":scheme", "https"}, {":path", "/"}}),
              NGHTTP2_PROTOCOL_ERROR);
    EXPECT_EQ(reset_with(request_fields("GET", "no-slash")), NGHTTP2_PROTOCOL_ERROR);
    EXPECT_EQ(reset_with(request_fields("GET", "/a b")), NGHTTP2_PROTOCOL_ERROR);
}

TEST(Http2Connection, ABodyOfAnotherLengthThanItSaysIsReset) {
    for (const char* data : {"abcd", "ab"}) {
        HandlerLog log;
        TestHandler* handler = nullptr;
        RawPeer peer;
        serve_and_remember(peer.dispatcher, log, handler, 1000);
        peer.send({NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1,
                   literals(request_fields("POST", "/", {{"content-length", "3"}}))});
        peer.send({NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 1, data});
        EXPECT_EQ(peer.reset_of(1), NGHTTP2_PROTOCOL_ERROR);
        EXPECT_EQ(log.ends, 0);
        EXPECT_EQ(log.aborts, 1);
    }
}

TEST(Http2Connection, WhatCannotBeServedGetsItsStatus) {
    RawPeer peer;
    std::uint32_t stream = 1;
    const auto status_of = [&](const Fields& fields) {
        peer.sink.written.clear();
        peer.send({NGHTTP2_HEADERS, NGHTTP2_FLAG_END_STREAM | NGHTTP2_FLAG_END_HEADERS, stream,
                   literals(fields)});
        stream += 2;
        EXPECT_FALSE(peer.observer.records.empty());
        return peer.observer.records.empty() ? 0 : peer.observer.records.back().status;
    };
    EXPECT_EQ(status_of(request_fields("BREW", "/")), 501);
    EXPECT_EQ(status_of({{":method", "CONNECT"}, {":authority", "mini.example:443"}}), 501);
    EXPECT_EQ(status_of(request_fields("GET", "/%zz")), 400);
    Fields many;
    for (int i = 0; i < 110; ++i) many.push_back({"x", "y"});
    EXPECT_EQ(status_of(request_fields("GET", "/", many)), 431);
    EXPECT_EQ(status_of(request_fields("GET", "/")), 200);
}

TEST(Http2Connection, ABodyOverTheLimitIsAnsweredAndGivenUp) {
    for (const Fields& length : {Fields{{"content-length", "2000000"}}, Fields{}}) {
        HandledPeer peer;
        const auto number =
            peer.upload(request_fields("POST", "/p", length), {std::string(2'000'000, 'x')});
        EXPECT_EQ(peer.answers[number].status, 413);
        EXPECT_TRUE(peer.answers[number].ended);
        EXPECT_FALSE(peer.answers[number].closed);  // for as long as it may take to read that
        EXPECT_LE(peer.uploads[number].offset, (1u << 20) + 3 * 65'536);
        EXPECT_EQ(peer.advance_to_deadline(), 2000u);
        peer.run();
        EXPECT_TRUE(peer.answers[number].closed);
        EXPECT_EQ(peer.answers[number].error_code, 0u);  // RFC 9113 §8.1
        EXPECT_EQ(peer.log.aborts, 1);
        EXPECT_EQ(peer.log.ends, 0);
        EXPECT_LE(peer.log.body.size(), 1u << 20);
        EXPECT_FALSE(peer.is_over());
        peer.request(request_fields("GET", "/x"));
        EXPECT_EQ(peer.log.ends, 1);
    }
}

TEST(Http2Connection, TrailersGoBothWays) {
    HandledPeer peer;
    const auto number = peer.upload(request_fields("POST", "/p", {{"te", "trailers"}}),
                                    {.bytes = "ping", .trailers = {{"x-sum", "7"}}});
    EXPECT_EQ(peer.log.trailers.first("x-sum"), "7");
    EXPECT_EQ(peer.log.ends, 1);
    http::Headers trailers;
    ASSERT_TRUE(trailers.add("grpc-status", "0"));
    ASSERT_TRUE(peer.exchange().start(ok_head(), http::BodySize::unknown()));
    peer.exchange().write(as_bytes("pong"));
    ASSERT_TRUE(peer.exchange().finish(trailers));
    peer.run();
    EXPECT_EQ(peer.answers[number].body, "pong");
    EXPECT_EQ(peer.answers[number].trailers.at("grpc-status"), "0");
    EXPECT_TRUE(peer.answers[number].ended);
    EXPECT_EQ(peer.answers[number].error_code, 0u);

    http::Headers forbidden;
    ASSERT_TRUE(forbidden.add("content-length", "0"));
    peer.request(request_fields("GET", "/p"));
    ASSERT_TRUE(peer.exchange().start(ok_head(), http::BodySize::unknown()));
    EXPECT_EQ(peer.exchange().finish(forbidden).error().code(), http::forbidden_trailer);
}

TEST(Http2Connection, AForbiddenTrailerResetsTheStream) {
    HandledPeer peer;
    const auto number = peer.upload(request_fields("POST", "/p"),
                                    {.bytes = "x", .trailers = {{"authorization", "me"}}});
    EXPECT_EQ(peer.answers[number].error_code, std::uint32_t{NGHTTP2_PROTOCOL_ERROR});
    EXPECT_EQ(peer.log.ends, 0);
    EXPECT_EQ(peer.log.aborts, 1);
}

TEST(Http2Connection, APausedBodyIsHeldBackByItsOwnWindowOnly) {
    HandledPeer peer;
    peer.log.flow = BodyFlow::kPause;
    const auto number = peer.upload(request_fields("POST", "/p"), {std::string(500'000, 'x')});
    TestHandler* paused = peer.handler;
    EXPECT_LE(peer.uploads[number].offset, Http2Limits{}.stream_window_bytes + 65'536);
    const std::size_t before = peer.log.body.size();
    EXPECT_LE(before, 65'536u);
    peer.dispatcher.serve = [](http::RequestHead, const ConnectionInfo&, Exchange exchange) {
        EXPECT_TRUE(exchange.respond(ok_head(), to_bytes("beside")));
        return Dispatched{};
    };
    EXPECT_EQ(peer.answers[peer.request(request_fields("GET", "/"))].body, "beside");
    peer.log.flow = BodyFlow::kMore;
    paused->exchange().resume_body();
    peer.run();
    EXPECT_EQ(peer.log.body.size(), 500'000u);
    EXPECT_EQ(peer.log.ends, 1);
}

TEST(Http2Connection, AHandlerIsHeldBackByThePeersWindow) {
    HandlerLog log;
    TestHandler* handler = nullptr;
    RawPeer peer(Http2Limits{.stream_output_bytes = 1000});
    serve_and_remember(peer.dispatcher, log, handler, 1000);
    const auto sent = [&] {
        std::size_t bytes = 0;
        for (const Frame& frame : peer.frames()) {
            if (frame.type == NGHTTP2_DATA) bytes += frame.payload.size();
        }
        return bytes;
    };
    peer.send({NGHTTP2_SETTINGS, 0, 0, std::string("\0\4", 2) + u32(0)});
    peer.get(1);
    ASSERT_TRUE(handler->exchange().start(ok_head(), http::BodySize::unknown()));
    EXPECT_EQ(handler->exchange().write(Bytes(5000)), 1000u);
    peer.wake();
    EXPECT_EQ(sent(), 0u);
    peer.send({NGHTTP2_WINDOW_UPDATE, 0, 1, u32(400)});
    EXPECT_EQ(sent(), 400u);
    EXPECT_EQ(log.writables, 0);
    peer.send({NGHTTP2_WINDOW_UPDATE, 0, 1, u32(200)});
    EXPECT_EQ(sent(), 600u);
    EXPECT_EQ(log.writables, 1);
}

TEST(Http2Connection, AResetReachesTheHandlerAndNobodyElse) {
    HandledPeer peer;
    const auto number =
        peer.upload(request_fields("POST", "/p"), {.bytes = "x", .stays_open = true});
    const std::unique_ptr<Exchange> kept = std::make_unique<Exchange>(std::move(peer.exchange()));
    EXPECT_TRUE(kept->is_open());
    peer.reset(number);
    EXPECT_EQ(peer.log.aborts, 1);
    EXPECT_TRUE(peer.log.destroyed);
    EXPECT_FALSE(kept->is_open());
    EXPECT_TRUE(kept->respond(ok_head(), to_bytes("late")));
    peer.request(request_fields("GET", "/x"));
    EXPECT_EQ(peer.log.ends, 1);
}

TEST(Http2Connection, ALostExchangeIsAnswered500OrCut) {
    ClientPeer peer;
    peer.dispatcher.serve = [](http::RequestHead, const ConnectionInfo&, Exchange) {
        return Dispatched{};
    };
    EXPECT_EQ(peer.answers[peer.request(request_fields("GET", "/"))].status, 500);
    peer.dispatcher.serve = [](http::RequestHead, const ConnectionInfo&, Exchange exchange) {
        EXPECT_TRUE(exchange.start(ok_head(), http::BodySize::known(5)));
        exchange.write(as_bytes("abc"));
        return Dispatched{};
    };
    const auto number = peer.request(request_fields("GET", "/"));
    EXPECT_EQ(peer.answers[number].error_code, std::uint32_t{NGHTTP2_INTERNAL_ERROR});
    EXPECT_FALSE(peer.answers[number].ended);
    EXPECT_FALSE(peer.is_over());
}

TEST(Http2Connection, AResponseThatBreaksItsWordIsCut) {
    for (const char* body : {"short", "far too long"}) {
        HandledPeer peer;
        const auto number = peer.request(request_fields("GET", "/"));
        ASSERT_TRUE(peer.exchange().start(ok_head(), http::BodySize::known(8)));
        peer.exchange().write(as_bytes(body));
        peer.exchange().finish();
        peer.run();
        EXPECT_EQ(peer.answers[number].error_code, std::uint32_t{NGHTTP2_INTERNAL_ERROR});
        EXPECT_FALSE(peer.answers[number].ended);
    }
}

TEST(Http2Connection, FieldsOfTheConnectionAreNotTheHandlersToWrite) {
    HandledPeer peer;
    peer.request(request_fields("GET", "/"));
    http::ResponseHead head = ok_head();
    ASSERT_TRUE(head.headers.add("transfer-encoding", "chunked"));
    EXPECT_EQ(peer.exchange().respond(head, {}).error().code(), http::reserved_header);
    EXPECT_TRUE(peer.exchange().respond(ok_head(), {}));
    EXPECT_TRUE(peer.exchange().respond(ok_head(), {}));  // over: does nothing
}

Fields websocket() {
    Fields fields = request_fields("CONNECT", "/ws");
    fields.insert(fields.begin() + 1, {":protocol", "websocket"});
    return fields;
}

TEST(Http2Tunnel, CarriesBytesBothWaysAndEachHalfEndsByItself) {
    HandledPeer peer({}, true);
    const auto number = peer.upload(websocket(), {.bytes = "early", .stays_open = true});
    EXPECT_EQ(peer.log.body, "");
    ASSERT_TRUE(peer.exchange().tunnel(ok_head()));
    peer.run();
    EXPECT_EQ(peer.answers[number].status, 200);
    EXPECT_FALSE(peer.answers[number].fields.contains("content-length"));
    EXPECT_EQ(peer.log.body, "early");
    peer.exchange().write(as_bytes("down"));
    peer.exchange().finish();
    peer.run();
    EXPECT_EQ(peer.answers[number].body, "down");
    EXPECT_TRUE(peer.answers[number].ended);
    EXPECT_FALSE(peer.answers[number].closed);
    peer.more(number, " late");
    EXPECT_EQ(peer.log.body, "early late");
    EXPECT_EQ(peer.log.ends, 0);
    peer.end(number);
    EXPECT_EQ(peer.log.ends, 1);
    EXPECT_EQ(peer.log.aborts, 0);
    EXPECT_TRUE(peer.answers[number].closed);
    EXPECT_EQ(peer.answers[number].error_code, 0u);
}

TEST(Http2Tunnel, CanBeRefused) {
    HandledPeer peer({}, true);
    const auto number = peer.upload(websocket(), {.bytes = "early", .stays_open = true});
    http::ResponseHead head = ok_head();
    head.status = 403;
    ASSERT_TRUE(peer.exchange().respond(head, to_bytes("no")));
    peer.run();
    EXPECT_EQ(peer.answers[number].status, 403);
    EXPECT_TRUE(peer.answers[number].ended);
    EXPECT_EQ(peer.log.body, "");
}

TEST(Http2Tunnel, OtherProtocolsAreNot) {
    HandledPeer peer({}, true);
    Fields fields = websocket();
    fields[1].second = "h2c";
    EXPECT_EQ(peer.answers[peer.request(fields)].status, 501);
    fields = websocket();
    fields[0].second = "GET";
    EXPECT_NE(peer.answers[peer.request(fields)].error_code, 0u);
    EXPECT_TRUE(peer.dispatcher.paths.empty());
    peer.request(request_fields("GET", "/"));
    EXPECT_EQ(peer.exchange().tunnel(ok_head()).error().code(), not_a_tunnel);
}

TEST(Http2Tunnel, IdleOnesEnd) {
    HandledPeer peer(Http2Limits{.tunnel_idle_ms = 5000}, true);
    const auto number = peer.upload(websocket(), {.bytes = "", .stays_open = true});
    ASSERT_TRUE(peer.exchange().tunnel(ok_head()));
    peer.run();
    EXPECT_EQ(peer.advance_to_deadline(), 5000u);
    peer.run();
    EXPECT_EQ(peer.answers[number].error_code, std::uint32_t{NGHTTP2_CANCEL});
    EXPECT_EQ(peer.log.aborts, 1);
}

TEST(Http2Tunnel, StandsStillAsLongAsItsHandlerLetsIt) {
    HandledPeer peer({}, true);
    peer.dispatcher.serve = [serve = peer.dispatcher.serve](
                                http::RequestHead head, const ConnectionInfo& info, Exchange one) {
        Dispatched out = serve(std::move(head), info, std::move(one));
        out.pace = BodyPace::kByHandler;
        return out;
    };
    const auto number = peer.upload(websocket(), {.bytes = "", .stays_open = true});
    ASSERT_TRUE(peer.exchange().tunnel(ok_head()));
    peer.run();
    EXPECT_EQ(peer.connection->next_deadline_ms(), std::nullopt);
    peer.advance(3'600'000);
    peer.more(number, "x");
    EXPECT_EQ(peer.log.body, "x");
    // Who has said its last does not look after the peer's half.
    peer.exchange().finish();
    peer.run();
    EXPECT_EQ(peer.advance_to_deadline(), 600'000u);
    peer.run();
    EXPECT_EQ(peer.answers[number].error_code, std::uint32_t{NGHTTP2_CANCEL});
}

TEST(Http2Drain, LetsInWhatIsOnItsWayAndFinishesIt) {
    HandledPeer peer;
    const auto first = peer.request(request_fields("GET", "/1"));
    Exchange exchange = std::move(peer.exchange());
    peer.connection->drain();
    // The client has not heard of it yet, and asks once more.
    const auto second = peer.request(request_fields("GET", "/2"));
    ASSERT_EQ(peer.dispatcher.paths.size(), 2u);
    ASSERT_EQ(peer.goaways.size(), 2u);
    EXPECT_EQ(peer.goaways, (std::vector<std::uint32_t>{0, 0}));
    EXPECT_EQ(peer.last_streams.front(), 0x7fffffff);
    EXPECT_EQ(peer.last_streams.back(), second);
    EXPECT_FALSE(peer.is_over());
    ASSERT_TRUE(peer.exchange().respond(ok_head(), to_bytes("two")));
    ASSERT_TRUE(exchange.respond(ok_head(), to_bytes("one")));
    peer.run();
    EXPECT_EQ(peer.answers[first].body, "one");
    EXPECT_EQ(peer.answers[second].body, "two");
    EXPECT_TRUE(peer.sink.finished);
}

// What was shown has changed: who asks once more is refused in the way that may be tried again.
TEST(Http2Drain, UnderAnOldLeafNothingNewIsDispatched) {
    HandledPeer peer;
    const auto first = peer.request(request_fields("GET", "/1"));
    Exchange exchange = std::move(peer.exchange());
    peer.sink.current = false;
    peer.connection->drain();
    const auto second = peer.request(request_fields("POST", "/2"));
    EXPECT_EQ(peer.dispatcher.paths.size(), 1u);
    EXPECT_EQ(peer.answers[second].error_code, std::uint32_t{NGHTTP2_REFUSED_STREAM});
    ASSERT_EQ(peer.observer.refusals.size(), 1U);
    EXPECT_EQ(peer.observer.refusals[0].method, http::Method::kPost);
    ASSERT_TRUE(exchange.respond(ok_head(), to_bytes("one")));
    peer.run();
    EXPECT_EQ(peer.answers[first].body, "one");
    EXPECT_TRUE(peer.sink.finished);
}

TEST(Http2Drain, DoesNotWaitForAPeerThatAnswersNoPing) {
    RawPeer peer;
    peer.connection->drain();
    peer.wake();
    EXPECT_FALSE(peer.is_over());
    EXPECT_EQ(peer.advance_to_deadline(), 1000u);
    EXPECT_TRUE(peer.sink.finished);
    EXPECT_EQ(peer.goaway(), NGHTTP2_NO_ERROR);
}

TEST(Http2Drain, BeginsAfterSoManyRequests) {
    ClientPeer peer(Http2Limits{.requests = 3});
    for (int i = 0; i < 3; ++i) {
        EXPECT_EQ(peer.answers[peer.request(request_fields("GET", "/x"))].status, 200);
    }
    EXPECT_FALSE(peer.goaways.empty());
    EXPECT_TRUE(peer.sink.finished);
}

TEST(Http2Connection, APeerThatOnlyStoppedSendingStillGetsItsAnswers) {
    HandledPeer peer;
    const auto whole = peer.request(request_fields("GET", "/1"));
    Exchange exchange = std::move(peer.exchange());
    peer.upload(request_fields("POST", "/2"), {.bytes = "x", .stays_open = true});
    peer.connection->input_ended();
    peer.run();
    EXPECT_EQ(peer.log.aborts, 1);
    EXPECT_FALSE(peer.is_over());
    ASSERT_TRUE(exchange.respond(ok_head(), to_bytes("ok")));
    peer.run();
    EXPECT_EQ(peer.answers[whole].body, "ok");
    EXPECT_TRUE(peer.sink.finished);
}

TEST(Http2Connection, EveryHandlerMayGiveUpForAPeerThatHasLeft) {
    HandledPeer peer;
    const auto gone = peer.request(request_fields("GET", "/1"));
    peer.log.on_peer_left = [](Exchange& exchange) { exchange.abort(); };
    HandlerLog patient;
    TestHandler* handler = nullptr;
    serve_and_remember(peer.dispatcher, patient, handler, 1000);
    const auto answered = peer.request(request_fields("GET", "/2"));
    peer.connection->peer_left();
    peer.run();
    EXPECT_EQ(peer.log.leaves, 1);
    EXPECT_EQ(peer.log.aborts, 1);
    EXPECT_TRUE(peer.answers[gone].closed);
    EXPECT_EQ(peer.answers[gone].error_code, NGHTTP2_INTERNAL_ERROR);
    EXPECT_EQ(patient.leaves, 1);
    EXPECT_EQ(patient.aborts, 0);
    ASSERT_TRUE(handler->exchange().respond(ok_head(), to_bytes("ok")));
    peer.run();
    EXPECT_EQ(peer.answers[answered].body, "ok") << "one that goes on is not disturbed";
    peer.connection->peer_left();
    EXPECT_EQ(patient.leaves, 1);
}

TEST(Http2Connection, TheEndOfTheConnectionReachesEveryHandler) {
    auto peer = std::make_unique<HandledPeer>();
    HandlerLog log;
    TestHandler* handler = nullptr;
    serve_and_remember(peer->dispatcher, log, handler, 1000);
    for (int i = 0; i < 3; ++i) {
        peer->upload(request_fields("POST", "/"), {.bytes = "x", .stays_open = true});
    }
    peer.reset();
    EXPECT_EQ(log.aborts, 3);
}

}  // namespace
}  // namespace eos::runtime
