// SPDX-License-Identifier: AGPL-3.0-only
#include "common/http/serialize.h"

#include <gtest/gtest.h>

#include "common/http/authority.h"
#include "common/http/request_parser.h"
#include "common/http/response_parser.h"

namespace eos::http {
namespace {

constexpr UnixTime kDate{784111777};  // RFC 9110's own example

ResponseHead head_with(int status, std::string_view name = {}, std::string_view value = {}) {
    ResponseHead head;
    head.status = status;
    if (!name.empty()) {
        EXPECT_TRUE(head.headers.add(name, value));
    }
    return head;
}

std::string written(const ResponseHead& head, BodySize body, ResponseOptions options = {kDate}) {
    Bytes out;
    const auto result = append_response_head(out, head, body, options);
    if (!result) {
        EXPECT_TRUE(out.empty());
        return std::string(result.error().code().name);
    }
    return std::string(as_chars(out));
}

TEST(Serialize, ResponseHeads) {
    EXPECT_EQ(written(head_with(200, "Content-Type", "text/plain"), BodySize::known(5)),
              "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n"
              "date: Sun, 06 Nov 1994 08:49:37 GMT\r\ncontent-length: 5\r\n\r\n");
    EXPECT_EQ(written(head_with(200), BodySize::unknown()),
              "HTTP/1.1 200 OK\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
              "transfer-encoding: chunked\r\n\r\n");
    EXPECT_EQ(written(head_with(404), BodySize::none(), {kDate, Persistence::kClose}),
              "HTTP/1.1 404 Not Found\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
              "content-length: 0\r\nconnection: close\r\n\r\n");
    EXPECT_EQ(written(head_with(200, "date", "x"), BodySize::unknown(),
                      {kDate, Persistence::kClose, Version::kHttp10}),
              "HTTP/1.1 200 OK\r\ndate: x\r\nconnection: close\r\n\r\n");
    EXPECT_EQ(written(head_with(204), BodySize::none()),
              "HTTP/1.1 204 No Content\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n");
}

TEST(Serialize, RefusesWhatTheServerDoesNotLetOthersFrame) {
    EXPECT_EQ(written(head_with(199), BodySize::none()), "bad_status");
    EXPECT_EQ(written(head_with(600), BodySize::none()), "bad_status");
    EXPECT_EQ(written(head_with(204), BodySize::known(1)), "body_not_allowed");
    EXPECT_EQ(written(head_with(304), BodySize::unknown()), "body_not_allowed");
    for (std::string_view name : {"Content-Length", "Transfer-Encoding", "Connection", "Keep-Alive",
                                  "Upgrade", "TE", "Trailer", "Proxy-Connection"}) {
        EXPECT_EQ(written(head_with(200, name, "1"), BodySize::none()), "reserved_header") << name;
    }
}

TEST(Serialize, Dates) {
    EXPECT_EQ(http_date({0}), "Thu, 01 Jan 1970 00:00:00 GMT");
    EXPECT_EQ(http_date({-1}), "Wed, 31 Dec 1969 23:59:59 GMT");
    EXPECT_EQ(http_date({INT64_MAX}), "Fri, 31 Dec 9999 23:59:59 GMT");
    EXPECT_EQ(http_date({INT64_MIN}), "Sat, 01 Jan 0000 00:00:00 GMT");
    EXPECT_EQ(http_date({951782400}), "Tue, 29 Feb 2000 00:00:00 GMT");
}

TEST(Serialize, Chunks) {
    Bytes out;
    append_chunk(out, as_bytes("0123456789abcdef!"));
    append_chunk(out, {});
    append_last_chunk(out);
    EXPECT_EQ(as_chars(out), "11\r\n0123456789abcdef!\r\n0\r\n\r\n");
}

TEST(Serialize, TrailersComeBackOrAreRefused) {
    Headers trailers;
    ASSERT_TRUE(trailers.add("Grpc-Status", "0"));
    Bytes out;
    ASSERT_TRUE(append_last_chunk(out, trailers));
    EXPECT_EQ(as_chars(out), "0\r\ngrpc-status: 0\r\n\r\n");
    ASSERT_TRUE(trailers.add("Content-Length", "5"));
    out.clear();
    EXPECT_EQ(append_last_chunk(out, trailers).error().code(), forbidden_trailer);
    EXPECT_TRUE(out.empty());
}

TEST(Serialize, SwitchingProtocols) {
    Bytes out;
    ASSERT_TRUE(
        append_switching_head(out, head_with(200, "sec-websocket-accept", "x"), kWebSocket, kDate));
    EXPECT_TRUE(
        as_chars(out).starts_with("HTTP/1.1 101 Switching Protocols\r\n"
                                  "sec-websocket-accept: x\r\ndate: "));
    EXPECT_TRUE(as_chars(out).ends_with("\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"));
    EXPECT_EQ(append_switching_head(out, head_with(200, "upgrade", "x"), kWebSocket, kDate)
                  .error()
                  .code(),
              reserved_header);
}

RequestHead request() {
    RequestHead head;
    head.method = Method::kPost;
    head.authority = parse_authority("a.example:8443", Scheme::kHttps).value();
    head.path = "/x/y%20z";
    head.query = "q=1";
    EXPECT_TRUE(head.headers.add("accept", "*/*"));
    head.body = BodySize::known(3);
    return head;
}

TEST(Serialize, RequestsComeBackFromTheParserAsTheyWere) {
    const RequestHead head = request();
    Bytes out;
    ASSERT_TRUE(append_request_head(out, head, Persistence::kClose));
    append(out, as_bytes("abc"));
    RequestParser parser;
    const Step step = parser.feed(out).value();
    ASSERT_EQ(step.event, Event::kHead);
    parser.set_body_limit(3);
    const RequestHead back = parser.take_head();
    EXPECT_EQ(back.method, head.method);
    EXPECT_EQ(back.authority, head.authority);
    EXPECT_EQ(back.path, head.path);
    EXPECT_EQ(back.query, head.query);
    EXPECT_EQ(back.body, head.body);
    EXPECT_EQ(back.headers.first("accept"), "*/*");
    EXPECT_EQ(requested_persistence(back), Persistence::kClose);
    const Step body = parser.feed(ByteView(out).subspan(step.consumed)).value();
    EXPECT_EQ(body.event, Event::kBody);
    EXPECT_EQ(as_chars(body.body), "abc");
}

TEST(Serialize, WhatAConnectionIsAskedForStandsInOneField) {
    RequestHead head = request();
    head.accepts_trailers = true;
    Bytes out;
    ASSERT_TRUE(append_request_head(out, head, Persistence::kClose));
    EXPECT_TRUE(as_chars(out).ends_with("te: trailers\r\nconnection: te, close\r\n\r\n"));
    head = request();
    head.method = Method::kGet;
    head.body = BodySize::none();
    head.protocol = kWebSocket;
    out.clear();
    ASSERT_TRUE(append_request_head(out, head, Persistence::kKeepAlive));
    RequestParser parser;
    ASSERT_EQ(parser.feed(out).value().event, Event::kHead);
    EXPECT_EQ(parser.take_head().protocol, kWebSocket);
}

TEST(Serialize, RequestHeadsThatWouldNotComeBackAreRefused) {
    const auto refused = [](auto change) {
        RequestHead head = request();
        change(head);
        Bytes out;
        const auto result = append_request_head(out, head, Persistence::kKeepAlive);
        EXPECT_FALSE(result);
        EXPECT_TRUE(out.empty());
        return result ? std::string() : std::string(result.error().code().name);
    };
    EXPECT_EQ(refused([](auto& h) { h.path = "/a b"; }), "bad_request_head");
    EXPECT_EQ(refused([](auto& h) { h.path = "/a\r\nX: y"; }), "bad_request_head");
    EXPECT_EQ(refused([](auto& h) { h.path = "/a?b"; }), "bad_request_head");
    EXPECT_EQ(refused([](auto& h) { h.path = "https://b/"; }), "bad_request_head");
    EXPECT_EQ(refused([](auto& h) { h.query = "a b"; }), "bad_request_head");
    EXPECT_EQ(refused([](auto& h) { h.authority.host = "a\r\nX: y"; }), "bad_request_head");
    EXPECT_EQ(refused([](auto& h) { h.authority.host = "A.example"; }), "bad_request_head");
    EXPECT_EQ(refused([](auto& h) { h.method = Method::kConnect; }), "bad_request_head");
    EXPECT_EQ(refused([](auto& h) { h.protocol = kWebSocket; }), "bad_request_head");
    EXPECT_EQ(refused([](auto& h) {
                  h.method = Method::kGet;
                  h.body = BodySize::none();
                  h.protocol = "h2c";
              }),
              "bad_request_head");
    EXPECT_EQ(refused([](auto& h) { (void)h.headers.add("Host", "b"); }), "reserved_header");
    EXPECT_EQ(refused([](auto& h) { (void)h.headers.add("TE", "x"); }), "reserved_header");
}

TEST(Serialize, ResponsesComeBackFromTheParserAsTheyWere) {
    Bytes out;
    ASSERT_TRUE(
        append_response_head(out, head_with(201, "etag", "\"x\""), BodySize::unknown(), {kDate}));
    append_chunk(out, as_bytes("hello"));
    append_chunk(out, as_bytes(" world"));
    append_last_chunk(out);
    ResponseParser parser;
    parser.expect(Method::kGet);
    ByteView rest = out;
    std::string body;
    for (;;) {
        const Step step = parser.feed(rest).value();
        rest = rest.subspan(step.consumed);
        ASSERT_NE(step.event, Event::kNeedInput);
        if (step.event == Event::kComplete) break;
        if (step.event == Event::kBody) body += as_chars(step.body);
        if (step.event == Event::kHead) {
            const ReceivedResponse received = parser.take_head();
            EXPECT_EQ(received.head.status, 201);
            EXPECT_EQ(received.head.headers.first("etag"), "\"x\"");
            EXPECT_EQ(received.body, BodySize::unknown());
            parser.set_body_limit(100);
        }
    }
    EXPECT_EQ(body, "hello world");
    EXPECT_TRUE(rest.empty());
}

}  // namespace
}  // namespace eos::http
