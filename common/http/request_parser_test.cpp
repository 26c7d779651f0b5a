// SPDX-License-Identifier: AGPL-3.0-only
#include "common/http/request_parser.h"

#include <gtest/gtest.h>

#include <random>

#include "common/http/authority.h"

namespace eos::http {
namespace {

struct Message {
    RequestHead head;
    std::string body;
    bool complete = false;
    Headers trailers = {};
};

struct Outcome {
    std::vector<Message> messages;
    std::optional<Error> error;
    std::size_t consumed = 0;
};

/// Feeds `input` in pieces whose sizes `next_size` gives; nothing is carried over that the parser
/// consumed, everything that it did not consume comes again.
template <typename NextSize>
Outcome parse(std::string_view input, std::uint64_t body_limit, NextSize next_size) {
    Outcome out;
    RequestParser parser;
    std::size_t begin = 0;
    std::size_t end = 0;
    for (;;) {
        const auto step = parser.feed(as_bytes(input.substr(begin, end - begin)));
        if (!step) {
            out.error = step.error();
            EXPECT_EQ(parser.feed({}).error().code(), out.error->code());
            return out;
        }
        begin += step->consumed;
        out.consumed = begin;
        if (step->event == Event::kHead) {
            out.messages.push_back({.head = parser.take_head(), .body = {}});
            parser.set_body_limit(body_limit);
        } else if (step->event == Event::kBody) {
            out.messages.back().body += as_chars(step->body);
        } else if (step->event == Event::kComplete) {
            out.messages.back().complete = true;
            out.messages.back().trailers = parser.take_trailers();
        } else {
            EXPECT_EQ(begin, end);
            if (end == input.size()) return out;
            end += std::min<std::size_t>(next_size(), input.size() - end);
        }
    }
}

Outcome parse(std::string_view input, std::uint64_t body_limit = 1000) {
    return parse(input, body_limit, [] { return std::string_view::npos; });
}

std::string refused_with(std::string_view input, std::uint64_t body_limit = 1000) {
    const Outcome whole = parse(input, body_limit);
    const Outcome bytewise = parse(input, body_limit, [] { return 1; });
    if (!whole.error || !bytewise.error) return "accepted";
    EXPECT_EQ(whole.error->code(), bytewise.error->code()) << input;
    return std::string(whole.error->code().name) + " " + std::to_string(status_for(*whole.error));
}

std::string with_line(std::string_view line) {
    return "POST / HTTP/1.1\r\nHost: a\r\n" + std::string(line) + "\r\n\r\n";
}

std::string chunked(std::string_view body) {
    return with_line("Transfer-Encoding: chunked") + std::string(body);
}

TEST(RequestParser, ReadsAHead) {
    const Outcome out = parse("GET /a%20b?c=d HTTP/1.1\r\nHost: A.example:443\r\nX-Y:  z \r\n\r\n");
    ASSERT_EQ(out.messages.size(), 1u);
    const RequestHead& head = out.messages[0].head;
    EXPECT_EQ(head.method, Method::kGet);
    EXPECT_EQ(head.version, Version::kHttp11);
    EXPECT_EQ(to_string(head.authority), "a.example");
    EXPECT_EQ(head.path, "/a%20b");
    EXPECT_EQ(head.query, "c=d");
    EXPECT_EQ(head.headers.first("x-y"), "z");
    EXPECT_EQ(head.body, BodySize::none());
    EXPECT_TRUE(out.messages[0].complete);
    EXPECT_EQ(requested_persistence(head), Persistence::kKeepAlive);
}

TEST(RequestParser, PipelinedMessagesComeOutTheSameHoweverTheInputIsCut) {
    const std::string input =
        "\r\nPOST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
        "\r\n\r\nGET https://a/2?x HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: "
        "h2c\r\n\r\n"
        "PUT /3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\nConnection: close\r\n\r\n"
        "5;ext=1\r\nhello\r\nA\r\n, it's me.\r\n000\r\nX: y\r\n\r\n"
        "DELETE /4 HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
        "OPTIONS * HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n";
    std::mt19937 random(7);
    for (int round = 0; round < 300; ++round) {
        std::uniform_int_distribution<std::size_t> size(1, 1 + round / 3);
        const Outcome out = parse(input, 100, [&] { return size(random); });
        ASSERT_FALSE(out.error) << out.error->message();
        ASSERT_EQ(out.messages.size(), 5u);
        EXPECT_EQ(out.consumed, input.size());
        for (const Message& message : out.messages) EXPECT_TRUE(message.complete);
        EXPECT_EQ(out.messages[0].body, "hello");
        EXPECT_EQ(out.messages[1].head.path, "/2");
        EXPECT_EQ(out.messages[1].head.scheme, Scheme::kHttps);
        EXPECT_EQ(out.messages[2].body, "hello, it's me.");
        EXPECT_EQ(out.messages[2].head.headers.first("x"), std::nullopt);
        EXPECT_EQ(out.messages[2].trailers.first("x"), "y");
        for (std::size_t i : {0, 1, 3, 4}) EXPECT_EQ(out.messages[i].trailers.count(), 0u);
        EXPECT_EQ(requested_persistence(out.messages[2].head), Persistence::kClose);
        EXPECT_EQ(out.messages[3].head.body, BodySize::known(0));
        EXPECT_EQ(requested_persistence(out.messages[4].head), Persistence::kClose);
    }
}

TEST(RequestParser, NothingBehindAMessageIsLookedAt) {
    RequestParser parser;
    const std::string first = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    const std::string input = first + std::string("\0\0garbage", 9);
    Step step = parser.feed(as_bytes(input)).value();
    EXPECT_EQ(step.event, Event::kHead);
    EXPECT_EQ(step.consumed, first.size());
    EXPECT_TRUE(parser.in_message());
    step = parser.feed(as_bytes(input).subspan(first.size())).value();
    EXPECT_EQ(step.event, Event::kComplete);
    EXPECT_EQ(step.consumed, 0u);
    EXPECT_FALSE(parser.in_message());
    EXPECT_EQ(parser.feed(as_bytes(input).subspan(first.size())).error().code(), control_character);
}

TEST(RequestParser, StartLine) {
    EXPECT_EQ(refused_with("BREW / HTTP/1.1\r\n"), "unknown_method 501");
    EXPECT_EQ(refused_with("CONNECT a:443 HTTP/1.1\r\n"), "unknown_method 501");
    EXPECT_EQ(refused_with("TRACE / HTTP/1.1\r\n"), "unknown_method 501");
    EXPECT_EQ(refused_with("SOURCE / ICE/1.0\r\n"), "bad_start_line 400");
    EXPECT_EQ(refused_with("DESCRIBE / RTSP/1.0\r\n"), "bad_start_line 400");
    EXPECT_EQ(refused_with("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), "unsupported_version 505");
    EXPECT_EQ(refused_with("get / HTTP/1.1\r\n"), "unknown_method 501");
    EXPECT_EQ(refused_with("G@T / HTTP/1.1\r\n"), "bad_start_line 400");
    EXPECT_EQ(refused_with("GET /\r\n"), "bad_start_line 400");  // HTTP/0.9
    EXPECT_EQ(refused_with("GET  / HTTP/1.1\r\n"), "bad_start_line 400");
    EXPECT_EQ(refused_with("GET /  HTTP/1.1\r\n"), "bad_start_line 400");
    EXPECT_EQ(refused_with("GET / HTTP/1.1 \r\n"), "bad_start_line 400");
    EXPECT_EQ(refused_with("GET /a b HTTP/1.1\r\n"), "bad_start_line 400");
    EXPECT_EQ(refused_with(" GET / HTTP/1.1\r\n"), "bad_start_line 400");
    EXPECT_EQ(refused_with("GET\t/ HTTP/1.1\r\n"), "bad_start_line 400");
    EXPECT_EQ(refused_with("GET / http/1.1\r\n"), "bad_start_line 400");
    EXPECT_EQ(refused_with("GET / HTTP/1.2\r\n"), "unsupported_version 505");
    EXPECT_EQ(refused_with("GET / HTTP/2.0\r\n"), "unsupported_version 505");
    EXPECT_EQ(refused_with("GET / HTTP/0.9\r\n"), "unsupported_version 505");
    EXPECT_EQ(refused_with("GET / HTTP/11\r\n"), "bad_start_line 400");
    EXPECT_EQ(refused_with("GET / HTTP/1.1\n"), "bad_line_end 400");
    EXPECT_EQ(refused_with("GET / HTTP/1.1\rX\r\n"), "bad_line_end 400");
    EXPECT_EQ(refused_with(std::string("GET /\0 HTTP/1.1\r\n", 17)), "control_character 400");
    EXPECT_EQ(refused_with("\x16\x03\x01 TLS"), "control_character 400");
    EXPECT_EQ(refused_with("GET /#f HTTP/1.1\r\nHost: a\r\n\r\n"), "bad_target 400");
    EXPECT_EQ(refused_with("GET ws://a/ HTTP/1.1\r\nHost: a\r\n\r\n"), "bad_target 400");
    EXPECT_EQ(refused_with("GET a HTTP/1.1\r\nHost: a\r\n\r\n"), "bad_start_line 400");
    EXPECT_EQ(refused_with("GET /\xc3\xa4 HTTP/1.1\r\nHost: a\r\n\r\n"), "bad_start_line 400");
}

TEST(RequestParser, BlankLinesBeforeARequestAreBounded) {
    std::string blank;
    for (std::size_t i = 0; i < kMaxLeadingBlankLines; ++i) blank += "\r\n";
    const std::string get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    EXPECT_EQ(parse(blank + get).messages.size(), 1u);
    EXPECT_EQ(refused_with(blank + "\r\n" + get), "bad_start_line 400");
    EXPECT_EQ(refused_with("\n" + get), "bad_line_end 400");
    EXPECT_EQ(refused_with("\rX" + get), "bad_line_end 400");
}

TEST(RequestParser, FieldsWithTwoReadingsAreRefused) {
    EXPECT_EQ(refused_with(with_line("X: a\r\n b")), "folded_line 400");
    EXPECT_EQ(refused_with(with_line("X: a\r\n\tb")), "folded_line 400");
    EXPECT_EQ(refused_with("GET / HTTP/1.1\r\n Host: a\r\n\r\n"), "folded_line 400");
    EXPECT_EQ(refused_with(with_line("X : a")), "bad_header_line 400");
    EXPECT_EQ(refused_with(with_line(": a")), "bad_header_name 400");
    EXPECT_EQ(refused_with(with_line("nocolon")), "bad_header_line 400");
    EXPECT_EQ(refused_with(with_line("X\xc3: a")), "bad_header_line 400");
    EXPECT_EQ(refused_with(with_line("X: a\nY: b")), "bad_line_end 400");
    EXPECT_EQ(refused_with(with_line("X: a\rY: b")), "bad_line_end 400");
    EXPECT_EQ(refused_with(with_line("X: a\r\r\nY: b")), "bad_line_end 400");
    EXPECT_EQ(refused_with(with_line(std::string_view("X: a\0", 5))), "control_character 400");
    EXPECT_EQ(refused_with(with_line("X: \x7f")), "control_character 400");
}

TEST(RequestParser, FramingWithTwoReadingsIsRefused) {
    EXPECT_EQ(refused_with(with_line("Content-Length: 5\r\nTransfer-Encoding: chunked")),
              "conflicting_framing 400");
    EXPECT_EQ(refused_with(with_line("Transfer-Encoding: chunked\r\nContent-Length: 5")),
              "conflicting_framing 400");
    EXPECT_EQ(refused_with(with_line("Content-Length: 0\r\nTransfer-Encoding: identity")),
              "conflicting_framing 400");
    for (std::string_view value : {"+5", "-1", "5, 5", "0x5", "5 5", "", "a", "1e1", "5;",
                                   "18446744073709551616", "99999999999999999999999"}) {
        EXPECT_EQ(refused_with(with_line("Content-Length: " + std::string(value))),
                  "bad_content_length 400")
            << value;
    }
    EXPECT_EQ(refused_with(with_line("Content-Length: 5\r\nContent-Length: 5")),
              "bad_content_length 400");
    EXPECT_EQ(refused_with(with_line("Content-Length: 5\r\ncontent-length: 6")),
              "bad_content_length 400");
    for (std::string_view value :
         {"identity", "chunked, identity", "chunked, chunked", "xchunked", "chunkedx",
          "chunked;a=b", "\"chunked\"", "", "gzip", "chunked,", ", chunked,"}) {
        EXPECT_EQ(refused_with(with_line("Transfer-Encoding: " + std::string(value))),
                  "bad_transfer_encoding 400")
            << value;
    }
    EXPECT_EQ(refused_with(with_line("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked")),
              "bad_transfer_encoding 400");
    EXPECT_EQ(refused_with(with_line("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked")),
              "bad_transfer_encoding 400");
    EXPECT_EQ(refused_with(with_line("Transfer-Encoding: gzip, chunked")),
              "unknown_transfer_coding 501");
    EXPECT_EQ(refused_with("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"),
              "bad_transfer_encoding 400");
    // An underscore is another name, not another spelling.
    EXPECT_EQ(parse(with_line("Content_Length: 5")).messages.at(0).head.body, BodySize::none());
}

TEST(RequestParser, ChunksWithTwoReadingsAreRefused) {
    for (std::string_view body :
         {"5\nhello\r\n0\r\n\r\n", "5 \r\nhello\r\n0\r\n\r\n", " 5\r\nhello\r\n0\r\n\r\n",
          "0x5\r\nhello\r\n0\r\n\r\n", "-5\r\nhello\r\n0\r\n\r\n", "+5\r\nhello\r\n0\r\n\r\n",
          "\r\nhello\r\n0\r\n\r\n", ";a\r\nhello\r\n0\r\n\r\n", "g\r\n", "5\r\nhello0\r\n\r\n",
          "5\r\nhello\n0\r\n\r\n", "5\r\nhello!\r\n0\r\n\r\n", "5\r\nhello\r\r\n0\r\n\r\n",
          "10000000000000000\r\n", "5;a\rb\r\nhello\r\n0\r\n\r\n"}) {
        const std::string outcome = refused_with(chunked(body));
        EXPECT_TRUE(outcome == "bad_chunk 400" || outcome == "bad_line_end 400" ||
                    outcome == "body_too_large 413")
            << body << " " << outcome;
    }
    EXPECT_EQ(refused_with(chunked("0\r\n X: y\r\n\r\n")), "folded_line 400");
    EXPECT_EQ(refused_with(chunked("0\r\nX: y\n\r\n")), "bad_line_end 400");
    EXPECT_EQ(refused_with(chunked("0\r\nnocolon\r\n\r\n")), "bad_header_line 400");
}

TEST(RequestParser, AuthorityIsDecidedHere) {
    EXPECT_EQ(refused_with("GET / HTTP/1.1\r\n\r\n"), "missing_authority 400");
    EXPECT_EQ(refused_with("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
              "repeated_authority 400");
    EXPECT_EQ(refused_with("GET https://b/ HTTP/1.1\r\nHost: a\r\n\r\n"),
              "conflicting_authority 400");
    EXPECT_EQ(refused_with("GET / HTTP/1.1\r\nHost: a b\r\n\r\n"), "bad_authority 400");
    EXPECT_EQ(refused_with("GET / HTTP/1.1\r\nHost:\r\n\r\n"), "bad_authority 400");
}

TEST(RequestParser, EveryDimensionHasItsLimitAndStatus) {
    const std::string host = "Host: a\r\n";
    const std::string start = "GET /" + std::string(kMaxStartLineBytes - 16, 'x') + " HTTP/1.1\r\n";
    ASSERT_EQ(start.size(), kMaxStartLineBytes);
    EXPECT_EQ(parse(start + host + "\r\n").messages.size(), 1u);
    EXPECT_EQ(refused_with("GET /x" + start.substr(5) + host), "target_too_long 414");
    EXPECT_EQ(refused_with(std::string(kMaxStartLineBytes + 1, 'x')), "target_too_long 414");

    const std::string get = "GET / HTTP/1.1\r\n" + host;
    EXPECT_EQ(
        parse(get + "X: " + std::string(kMaxHeaderValueBytes, 'v') + "\r\n\r\n").messages.size(),
        1u);
    EXPECT_EQ(refused_with(get + "X: " + std::string(kMaxHeaderValueBytes + 1, 'v') + "\r\n\r\n"),
              "headers_too_large 431");
    EXPECT_EQ(refused_with(get + std::string(kMaxHeaderNameBytes + 1, 'n') + ": v\r\n\r\n"),
              "headers_too_large 431");
    EXPECT_EQ(refused_with(get + "X:" + std::string(20000, ' ')), "headers_too_large 431");
    std::string fields;
    for (std::size_t i = 1; i < kMaxHeaderCount; ++i) fields += "a: b\r\n";
    EXPECT_EQ(parse(get + fields + "\r\n").messages.size(), 1u);
    EXPECT_EQ(refused_with(get + fields + "a: b\r\n\r\n"), "headers_too_large 431");
    std::string large;
    for (int i = 0; i < 5; ++i) large += "x: " + std::string(4000, 'v') + "\r\n";
    EXPECT_EQ(refused_with(get + large + "\r\n"), "headers_too_large 431");
    std::string blanks;
    for (int i = 0; i < 50; ++i) blanks += "x:" + std::string(400, ' ') + "v\r\n";
    EXPECT_EQ(refused_with(get + blanks + "\r\n"), "headers_too_large 431");

    EXPECT_EQ(parse(with_line("Content-Length: 5") + "hello", 5).messages.at(0).body, "hello");
    EXPECT_EQ(refused_with(with_line("Content-Length: 5") + "hello", 4), "body_too_large 413");
    EXPECT_EQ(parse(chunked("3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"), 5).messages.at(0).body, "abcde");
    EXPECT_EQ(refused_with(chunked("3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n"), 5), "body_too_large 413");
    EXPECT_EQ(refused_with(chunked("ffffffffffffffff\r\n"), 5), "body_too_large 413");
    EXPECT_EQ(refused_with(chunked("1;" + std::string(kMaxChunkLineBytes, 'e') + "\r\n")),
              "bad_chunk 400");
    EXPECT_EQ(refused_with(chunked(std::string(kMaxChunkLineBytes, '0') + "1\r\n")),
              "bad_chunk 400");
    std::string trailers = "0\r\n";
    for (int i = 0; i < 100; ++i) trailers += "x: " + std::string(50, 'v') + "\r\n";
    EXPECT_EQ(refused_with(chunked(trailers)), "headers_too_large 431");
}

TEST(RequestParser, TrailersMaySayOnlyWhatComesTooLateForNothing) {
    const Outcome out = parse(chunked("1\r\nx\r\n0\r\nGrpc-Status: 0\r\nX:  y \r\n\r\n"));
    ASSERT_EQ(out.messages.size(), 1u);
    ASSERT_EQ(out.messages[0].trailers.count(), 2u);
    EXPECT_EQ(out.messages[0].trailers.first("grpc-status"), "0");
    EXPECT_EQ(out.messages[0].trailers.first("x"), "y");
    for (const char* name : {"Content-Length", "Host", "Authorization", "Content-Type",
                             "If-None-Match", "Trailer", "Set-Cookie"}) {
        const std::string body = "0\r\n" + std::string(name) + ": 1\r\n\r\n";
        EXPECT_EQ(refused_with(chunked(body)), "forbidden_trailer 400") << name;
    }
}

TEST(RequestParser, ATunnelIsAskedForOnlyByTheWholeUpgrade) {
    const auto protocol = [](std::string_view text) {
        const Outcome out = parse(text);
        return out.messages.empty() ? std::string("refused") : out.messages[0].head.protocol;
    };
    const std::string upgrade =
        "Host: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n";
    EXPECT_EQ(protocol("GET / HTTP/1.1\r\n" + upgrade + "\r\n"), "websocket");
    EXPECT_EQ(protocol("POST / HTTP/1.1\r\n" + upgrade + "\r\n"), "");
    EXPECT_EQ(protocol("GET / HTTP/1.0\r\n" + upgrade + "\r\n"), "");
    EXPECT_EQ(protocol("GET / HTTP/1.1\r\n" + upgrade + "Content-Length: 0\r\n\r\n"), "");
    EXPECT_EQ(protocol("GET / HTTP/1.1\r\n" + upgrade + "Upgrade: h2c\r\n\r\n"), "");
    EXPECT_EQ(protocol("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n"), "");
    EXPECT_EQ(protocol("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n"),
              "");
    EXPECT_EQ(protocol("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\n"
                       "Upgrade: websocket, h2c\r\n\r\n"),
              "");
    EXPECT_EQ(parse("CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n").error->code(), unknown_method);
}

TEST(RequestParser, BodiesThatAreAlmostAllExtensionAreRefused) {
    std::string plain;
    std::string padded;
    for (int i = 0; i < 1000; ++i) {
        plain += "1\r\nx\r\n";
        padded += "1;" + std::string(100, 'e') + "\r\nx\r\n";
    }
    EXPECT_EQ(parse(chunked(plain + "0\r\n\r\n")).messages.at(0).body.size(), 1000u);
    EXPECT_EQ(refused_with(chunked(padded + "0\r\n\r\n")), "bad_chunk 400");
}

TEST(RequestParser, ABodyLimitHoldsForOneRequestOnly) {
    RequestParser parser;
    const std::string post = with_line("Content-Length: 1") + "x";
    Step step = parser.feed(as_bytes(post)).value();
    parser.set_body_limit(1);
    ByteView rest = as_bytes(post).subspan(step.consumed);
    EXPECT_EQ(parser.feed(rest).value().event, Event::kBody);
    EXPECT_EQ(parser.feed({}).value().event, Event::kComplete);
    step = parser.feed(as_bytes(post)).value();
    EXPECT_EQ(step.event, Event::kHead);
    EXPECT_EQ(parser.feed(as_bytes(post).subspan(step.consumed)).error().code(), body_too_large);
}

}  // namespace
}  // namespace eos::http
