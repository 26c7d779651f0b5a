// SPDX-License-Identifier: AGPL-3.0-only
#include "common/http/response_parser.h"

#include <gtest/gtest.h>

#include <random>

namespace eos::http {
namespace {

struct Outcome {
    std::optional<ReceivedResponse> response;
    std::string body;
    bool complete = false;
    Headers trailers;
    std::optional<Error> error;
    std::size_t consumed = 0;
};

enum class Ending { kOpen, kClosed };

Outcome parse(std::string_view input, Method method, Ending ending, std::size_t piece) {
    Outcome out;
    ResponseParser parser;
    parser.expect(method);
    std::size_t begin = 0;
    std::size_t end = 0;
    bool finished = false;
    while (!out.complete) {
        const auto step =
            finished ? parser.finish() : parser.feed(as_bytes(input.substr(begin, end - begin)));
        if (!step) {
            out.error = step.error();
            return out;
        }
        begin += step->consumed;
        out.consumed = begin;
        if (step->event == Event::kHead) {
            out.response = parser.take_head();
            parser.set_body_limit(100);
        }
        if (step->event == Event::kBody) out.body += as_chars(step->body);
        out.complete = step->event == Event::kComplete;
        if (out.complete) out.trailers = parser.take_trailers();
        if (step->event == Event::kNeedInput) {
            if (finished || (end == input.size() && ending == Ending::kOpen)) return out;
            finished = end == input.size();
            end += std::min(piece, input.size() - end);
        }
    }
    return out;
}

Outcome parse(std::string_view input, Method method = Method::kGet, Ending ending = Ending::kOpen) {
    Outcome whole = parse(input, method, ending, input.size());
    const Outcome bytewise = parse(input, method, ending, 1);
    EXPECT_EQ(whole.complete, bytewise.complete);
    if (!whole.error) {
        EXPECT_EQ(whole.body, bytewise.body);
    }
    EXPECT_EQ(whole.error.has_value(), bytewise.error.has_value());
    if (whole.error && bytewise.error) {
        EXPECT_EQ(whole.error->code(), bytewise.error->code());
    }
    return whole;
}

std::string refused_with(std::string_view input, Ending ending = Ending::kOpen) {
    const Outcome out = parse(input, Method::kGet, ending);
    return out.error ? std::string(out.error->code().name) : "accepted";
}

TEST(ResponseParser, BodyOfKnownSize) {
    const Outcome out = parse("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nA: b\r\n\r\nok");
    ASSERT_TRUE(out.complete);
    EXPECT_EQ(out.response->head.status, 200);
    EXPECT_EQ(out.response->head.headers.first("a"), "b");
    EXPECT_EQ(out.response->body, BodySize::known(2));
    EXPECT_EQ(out.body, "ok");
    EXPECT_TRUE(parse("HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok").complete);
}

TEST(ResponseParser, BodiesThatAreOnlyDescribed) {
    const std::string text = "HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n";
    EXPECT_TRUE(parse(text, Method::kHead).complete);
    EXPECT_FALSE(parse(text, Method::kGet).complete);
    EXPECT_TRUE(parse("HTTP/1.1 304 x\r\nContent-Length: 200\r\n\r\n").complete);
    EXPECT_TRUE(parse("HTTP/1.1 204 x\r\nTransfer-Encoding: chunked\r\n\r\n").complete);
    EXPECT_TRUE(
        parse("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", Method::kHead).complete);
}

TEST(ResponseParser, ChunkedBody) {
    const Outcome out =
        parse("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nT: x\r\n\r\n");
    ASSERT_TRUE(out.complete);
    EXPECT_EQ(out.body, "ok");
    EXPECT_EQ(out.response->body, BodySize::unknown());
    EXPECT_EQ(out.trailers.first("t"), "x");
    EXPECT_EQ(refused_with("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                           "0\r\nContent-Length: 1\r\n\r\n"),
              "forbidden_trailer");
}

TEST(ResponseParser, BodyThatEndsWithTheConnection) {
    const std::string text = "HTTP/1.1 200 OK\r\n\r\nall of it";
    EXPECT_FALSE(parse(text).complete);
    const Outcome out = parse(text, Method::kGet, Ending::kClosed);
    EXPECT_TRUE(out.complete);
    EXPECT_EQ(out.body, "all of it");
    EXPECT_EQ(refused_with("HTTP/1.0 200 OK\r\n\r\n" + std::string(101, 'x')), "body_too_large");
}

TEST(ResponseParser, TruncationIsSeen) {
    for (std::string_view text :
         {"H", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no",
          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n"}) {
        EXPECT_EQ(refused_with(text, Ending::kClosed), "truncated_message") << text;
    }
    EXPECT_FALSE(parse("", Method::kGet, Ending::kClosed).complete);
}

TEST(ResponseParser, InterimResponsesAreSkippedAndBounded) {
    const std::string interim = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n";
    std::string most;
    for (std::size_t i = 0; i < kMaxInterimResponses; ++i) most += interim;
    const Outcome out = parse(most + "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n");
    ASSERT_TRUE(out.complete);
    EXPECT_EQ(out.response->head.status, 201);
    EXPECT_EQ(out.response->head.headers.first("link"), std::nullopt);
    EXPECT_EQ(refused_with(most + interim), "unexpected_response");
    EXPECT_EQ(refused_with("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n"
                           "Connection: upgrade\r\n\r\n"),
              "unexpected_response");
}

TEST(ResponseParser, AResponseNobodyAskedForIsRefused) {
    ResponseParser parser;
    const ByteView text = as_bytes("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    EXPECT_EQ(parser.feed(text).error().code(), unexpected_response);

    ResponseParser second;
    second.expect(Method::kGet);
    EXPECT_EQ(second.feed(text).value().event, Event::kHead);
    EXPECT_EQ(second.feed({}).value().event, Event::kComplete);
    EXPECT_EQ(second.feed(text).error().code(), unexpected_response);
}

TEST(ResponseParser, StrictAsTheRequestSide) {
    EXPECT_EQ(refused_with("HTTP/1.1 20 OK\r\n"), "bad_start_line");
    EXPECT_EQ(refused_with("HTTP/1.1 099 OK\r\n"), "bad_start_line");
    EXPECT_EQ(refused_with("HTTP/1.1 2000 OK\r\n"), "bad_start_line");
    EXPECT_EQ(refused_with("HTTP/1.1  200 OK\r\n"), "bad_start_line");
    EXPECT_EQ(refused_with("HTTP/2.0 200 OK\r\n"), "unsupported_version");
    EXPECT_EQ(refused_with("HTTP/1.1 200 OK\n"), "bad_line_end");
    EXPECT_EQ(refused_with("HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n"), "folded_line");
    EXPECT_EQ(refused_with("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"),
              "bad_transfer_encoding");
    EXPECT_EQ(refused_with("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
                           "Content-Length: 1\r\n\r\n"),
              "conflicting_framing");
    EXPECT_EQ(refused_with("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n"),
              "bad_content_length");
    EXPECT_EQ(refused_with("HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\nx"), "body_too_large");
}

TEST(ResponseParser, SwitchingIsAnAnswerToWhoeverAskedForIt) {
    constexpr std::string_view kInput =
        "HTTP/1.1 100 Continue\r\n\r\n"
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\nnot HTTP";
    ResponseParser parser;
    parser.expect(Method::kGet, Switching::kAsked);
    const auto head = parser.feed(as_bytes(kInput));
    ASSERT_TRUE(head && head->event == Event::kHead);
    EXPECT_EQ(parser.take_head().head.status, 101);
    const auto end = parser.feed(as_bytes(kInput.substr(head->consumed)));
    ASSERT_TRUE(end && end->event == Event::kComplete);
    EXPECT_EQ(kInput.substr(head->consumed + end->consumed), "not HTTP");
    // It was the answer to that request only.
    parser.expect(Method::kGet);
    const auto other = parser.feed(as_bytes(kInput));
    ASSERT_FALSE(other);
    EXPECT_EQ(other.error().code().name, "unexpected_response");
}

TEST(ResponseParser, SaysWhatTheFieldsDescribe) {
    const auto described = [](std::string_view input, Method method) {
        ResponseParser parser;
        parser.expect(method);
        EXPECT_TRUE(parser.feed(as_bytes(input)));
        return parser.take_head().described;
    };
    constexpr std::string_view kKnown = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    EXPECT_EQ(described(kKnown, Method::kHead), BodySize::known(5));
    EXPECT_EQ(described(kKnown, Method::kGet), BodySize::known(5));
    EXPECT_EQ(described("HTTP/1.1 200 OK\r\n\r\n", Method::kHead), BodySize::unknown());
}

}  // namespace
}  // namespace eos::http
