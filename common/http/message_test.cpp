// SPDX-License-Identifier: AGPL-3.0-only
#include "common/http/message.h"

#include <gtest/gtest.h>

namespace eos::http {
namespace {

TEST(Headers, KeepsOrderLowersNamesAndTrimsValues) {
    Headers headers;
    ASSERT_TRUE(headers.add("Set-Cookie", " a=1\t"));
    ASSERT_TRUE(headers.add("X-Empty", ""));
    ASSERT_TRUE(headers.add("SET-COOKIE", "b=2  c"));
    ASSERT_EQ(headers.count(), 3u);
    EXPECT_EQ(headers[0].name, "set-cookie");
    EXPECT_EQ(headers[0].value, "a=1");
    EXPECT_EQ(headers[1].value, "");
    EXPECT_EQ(headers.all("set-cookie"), (std::vector<std::string_view>{"a=1", "b=2  c"}));
    EXPECT_EQ(headers.first("set-cookie"), "a=1");
    EXPECT_EQ(headers.single("set-cookie").error().code(), repeated_header);
    EXPECT_EQ(headers.single("x-empty").value(), "");
    EXPECT_EQ(headers.single("absent").value(), std::nullopt);
    headers.clear();
    EXPECT_EQ(headers.count(), 0u);
}

TEST(Headers, RefusesWhatCouldSplitAMessage) {
    Headers headers;
    for (std::string_view name : {"", "a b", "a:", "a\r", "a\n", "\xc3\xa4"}) {
        EXPECT_EQ(headers.add(name, "v").error().code(), bad_header_name) << name;
    }
    EXPECT_EQ(headers.add(std::string_view("a\0b", 3), "v").error().code(), bad_header_name);
    using namespace std::string_view_literals;
    for (std::string_view value :
         {"a\r\nX: y"sv, "a\rb"sv, "a\nb"sv, "a\0b"sv, "\x7f"sv, "\x01"sv}) {
        EXPECT_EQ(headers.add("name", value).error().code(), bad_header_value);
    }
    EXPECT_EQ(headers.count(), 0u);
    EXPECT_TRUE(headers.add("name", "tab\tand \xc3\xa4"));
}

TEST(Headers, BoundsCountNameValueAndTotal) {
    Headers many;
    for (std::size_t i = 0; i < kMaxHeaderCount; ++i) ASSERT_TRUE(many.add("n", "v"));
    EXPECT_EQ(many.add("n", "v").error().code(), headers_too_large);

    Headers big;
    EXPECT_TRUE(big.add(std::string(kMaxHeaderNameBytes, 'n'), "v"));
    EXPECT_EQ(big.add(std::string(kMaxHeaderNameBytes + 1, 'n'), "v").error().code(),
              headers_too_large);
    EXPECT_TRUE(big.add("n", std::string(kMaxHeaderValueBytes, 'v')));
    EXPECT_EQ(big.add("n", std::string(kMaxHeaderValueBytes + 1, 'v')).error().code(),
              headers_too_large);
    const std::size_t left = kMaxHeaderBytes - kMaxHeaderNameBytes - 1 - kMaxHeaderValueBytes - 1;
    EXPECT_EQ(big.add("n", std::string(left, 'v')).error().code(), headers_too_large);
    EXPECT_TRUE(big.add("n", std::string(left - 1, 'v')));
}

TEST(Headers, HasRoomForOurOwnBehindAsManyAsAPeerMaySend) {
    Headers many;
    for (std::size_t i = 0; i < kMaxHeaderCount; ++i) ASSERT_TRUE(many.add("n", "v"));
    for (std::size_t i = 0; i < kMaxOwnHeaderCount; ++i) EXPECT_TRUE(many.add_own("o", "w"));
    EXPECT_EQ(many.add_own("o", "w").error().code(), headers_too_large);
    EXPECT_EQ(many.add("n", "v").error().code(), headers_too_large);
    EXPECT_EQ(many.all("o").size(), kMaxOwnHeaderCount);

    Headers big;
    for (std::size_t i = 0; i < 2; ++i) {
        ASSERT_TRUE(big.add("n", std::string(kMaxHeaderValueBytes - 1, 'v')));
    }
    EXPECT_EQ(big.add("n", "").error().code(), headers_too_large);
    EXPECT_TRUE(big.add_own("o", std::string(kMaxOwnHeaderBytes - 1, 'w')));
    EXPECT_EQ(big.add_own("o", "").error().code(), headers_too_large);
}

TEST(Headers, ListContainsLooksAtWholeTokens) {
    Headers headers;
    ASSERT_TRUE(headers.add("Connection", "keep-alive, Close"));
    ASSERT_TRUE(headers.add("Connection", "x,,upgrade "));
    EXPECT_TRUE(headers.list_contains("connection", "close"));
    EXPECT_TRUE(headers.list_contains("connection", "upgrade"));
    EXPECT_FALSE(headers.list_contains("connection", "clos"));
    EXPECT_FALSE(headers.list_contains("connection", "keep"));
    EXPECT_FALSE(headers.list_contains("other", "close"));
}

TEST(Method, NamesAreCaseSensitive) {
    for (std::size_t i = 0; i < kMethodCount; ++i) {
        const auto method = static_cast<Method>(i);
        if (method == Method::kConnect) continue;
        EXPECT_EQ(find_method(to_string(method)), method);
    }
    EXPECT_EQ(find_method("get"), std::nullopt);
    EXPECT_EQ(find_method("CONNECT"), std::nullopt);
    EXPECT_EQ(find_method(""), std::nullopt);
}

TEST(Message, WhatMustNotComeBehindTheBody) {
    for (const char* name :
         {"content-length", "transfer-encoding", "host", "authorization", "if-match", "set-cookie",
          "content-type", "trailer", "te", "proxy-authorization", "x-forwarded-for"}) {
        EXPECT_TRUE(is_forbidden_trailer(name)) << name;
    }
    for (const char* name : {"grpc-status", "grpc-message", "server-timing", "etag", "x", "iffy"}) {
        EXPECT_FALSE(is_forbidden_trailer(name)) << name;
    }
}

TEST(Message, ReasonPhrases) {
    EXPECT_EQ(reason_phrase(421), "Misdirected Request");
    EXPECT_EQ(reason_phrase(205), "Reset Content");
    EXPECT_EQ(reason_phrase(402), "Payment Required");
    EXPECT_EQ(reason_phrase(416), "Range Not Satisfiable");
    EXPECT_EQ(reason_phrase(451), "Unavailable For Legal Reasons");
    EXPECT_EQ(reason_phrase(511), "Network Authentication Required");
    for (int status = 400; status <= 426; ++status) {
        if (status >= 419 && status <= 420) continue;  // nobody's
        EXPECT_NE(reason_phrase(status), "Unknown") << status;
    }
    EXPECT_EQ(reason_phrase(599), "Unknown");
}

TEST(Headers, RemovesWhatIsUnwantedAndKeepsTheOrder) {
    Headers headers;
    for (std::string_view name : {"a", "b", "c", "b"}) ASSERT_TRUE(headers.add(name, name));
    headers.remove_if([](const HeaderView& field) { return field.name == "b"; });
    ASSERT_EQ(headers.count(), 2U);
    EXPECT_EQ(headers[0].value, "a");
    EXPECT_EQ(headers[1].value, "c");
    ASSERT_TRUE(headers.add("d", "4"));
    EXPECT_EQ(headers[2].value, "4");
}

}  // namespace
}  // namespace eos::http
