// SPDX-License-Identifier: AGPL-3.0-only
#include "common/http/uri.h"

#include <gtest/gtest.h>

#include "common/http/authority.h"

namespace eos::http {
namespace {

TEST(Target, OriginForm) {
    const Target target = parse_target(Method::kGet, "/a/b%20c?x=[1]&y=?/").value();
    EXPECT_EQ(target.scheme, std::nullopt);
    EXPECT_EQ(target.authority, std::nullopt);
    EXPECT_EQ(target.path, "/a/b%20c");
    EXPECT_EQ(target.query, "x=[1]&y=?/");
    EXPECT_EQ(parse_target(Method::kGet, "/?").value().query, "");
    EXPECT_EQ(parse_target(Method::kGet, "/").value().query, std::nullopt);
    EXPECT_EQ(parse_target(Method::kGet, "//a/b").value().path, "//a/b");
}

TEST(Target, WhatBrowsersDoNotEncodeStaysAsItIs) {
    const Target target = parse_target(Method::kGet, "/a[0]|b^c{d}?e[1]=f|g^{h}").value();
    EXPECT_EQ(target.path, "/a[0]|b^c{d}");
    EXPECT_EQ(target.query, "e[1]=f|g^{h}");
    EXPECT_EQ(split_path(target.path).value(), std::vector<std::string>{"a[0]|b^c{d}"});
}

TEST(Target, AbsoluteForm) {
    const Target target = parse_target(Method::kGet, "HTTPS://A.example:8443?q").value();
    EXPECT_EQ(target.scheme, Scheme::kHttps);
    EXPECT_EQ(to_string(*target.authority), "a.example:8443");
    EXPECT_EQ(target.path, "/");
    EXPECT_EQ(target.query, "q");
    EXPECT_EQ(parse_target(Method::kGet, "http://a:80/x").value().authority->port, std::nullopt);
}

TEST(Target, AsteriskIsForOptionsOnly) {
    EXPECT_EQ(parse_target(Method::kOptions, "*").value().path, "*");
    EXPECT_EQ(parse_target(Method::kGet, "*").error().code(), bad_target);
}

TEST(Target, MalformedIsRefused) {
    for (std::string_view text :
         {"",        "a",     "a.example:443", "/a b",   "/a#f",     "/?a#f",
          "/%",      "/%4",   "/%zz",          "/a\"",   "/<",       "/a\\b",
          "/a`b",    "/\x80", "/?\x80",        "/?\x7f", "ftp://a/", "https:/a",
          "https:a", "?q",    "/\x01",         "/a>",    "/[ ]"}) {
        EXPECT_EQ(parse_target(Method::kGet, text).error().code(), bad_target) << text;
    }
    for (std::string_view text : {"https://", "https:///x", "https://u@a/", "https://a:x/"}) {
        EXPECT_EQ(parse_target(Method::kGet, text).error().code(), bad_authority) << text;
    }
}

using Segments = std::vector<std::string>;

TEST(SplitPath, DecodesSegments) {
    EXPECT_EQ(split_path("/").value(), Segments{});
    EXPECT_EQ(split_path("/a").value(), Segments{"a"});
    EXPECT_EQ(split_path("/a%20b/%c3%a4/c+d").value(), (Segments{"a b", "\xc3\xa4", "c+d"}));
    EXPECT_EQ(split_path("/...").value(), Segments{"..."});
    EXPECT_EQ(split_path("/%252e").value(), Segments{"%2e"});  // decoded once only
}

TEST(SplitPath, AmbiguousIsRefused) {
    for (std::string_view path :
         {"",       "*",       "a",         "//",    "/a//b", "/a/",    "/.",
          "/..",    "/a/../b", "/%2e%2e/b", "/.%2E", "/%2e",  "/a%2fb", "/a%2Fb",
          "/a%5cb", "/a%00",   "/a%0a",     "/a%7f", "/a%",   "/a%1",   "/a%gg"}) {
        EXPECT_EQ(split_path(path).error().code(), bad_path) << path;
    }
    std::string deep;
    for (std::size_t i = 0; i < kMaxPathSegments; ++i) deep += "/a";
    EXPECT_TRUE(split_path(deep));
    EXPECT_EQ(split_path(deep + "/a").error().code(), bad_path);
}

TEST(PercentDecode, Strict) {
    EXPECT_EQ(percent_decode("a%2Fb%e4+").value(), "a/b\xe4+");
    for (std::string_view text : {"%", "a%2", "%x1", "%00"}) {
        EXPECT_EQ(percent_decode(text).error().code(), bad_path) << text;
    }
}

TEST(QueryParameter, IsTheFirstOfThatNameWithAValue) {
    RequestHead head;
    EXPECT_EQ(query_parameter(head, "a").value(), std::nullopt);
    head.query = "b=1&a&ab=2&a=x%20y&a=z&c=";
    EXPECT_EQ(query_parameter(head, "a").value(), "x y");
    EXPECT_EQ(query_parameter(head, "c").value(), "");
    EXPECT_EQ(query_parameter(head, "d").value(), std::nullopt);
    head.query = "a=%0";
    EXPECT_EQ(query_parameter(head, "a").error().code(), bad_path);
}

}  // namespace
}  // namespace eos::http
