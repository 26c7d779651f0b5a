// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/attestd/request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "trusted/attestd/testing.h"

namespace eos::attestd {
namespace {

using testing::body_for;
using ::testing::ElementsAre;
using testing::parse;

json::Value good() {
    return body_for(Bytes(100, std::byte{7}));
}

Code refusal(const json::Value& body) {
    Result<VerifyRequest> request = parse(body);
    EXPECT_FALSE(request.has_value()) << body.dump();
    return request ? Code{} : request.error().code();
}

json::Value with(const char* name, const json::Value& value) {
    json::Value out = good();
    out[name] = value;
    return out;
}

TEST(Request, TheQuoteAloneIsEnough) {
    VerifyRequest request = parse(good()).value();
    EXPECT_EQ(request.quote, Bytes(100, std::byte{7}));
    EXPECT_FALSE(request.policy || request.event_log || request.report_data || request.token);
    EXPECT_FALSE(request.collateral.has_value());
}

TEST(Request, MembersThatStockClientsLeaveEmptyAreAbsent) {
    json::Value body = good();
    for (const char* name : {"type", "eventLog", "collateral", "reportData", "gpuQuote"})
        body[name] = "";
    for (const char* name : {"policy", "includeEventLog", "allowedPlatformIds", "token"})
        body[name] = nullptr;
    VerifyRequest request = parse(body).value();
    EXPECT_FALSE(request.policy || request.event_log || request.report_data || request.token);
}

TEST(Request, EveryMemberIsRead) {
    json::Value body = good();
    body["type"] = "tdx";
    body["eventLog"] = base64(as_bytes("[]"));
    body["includeEventLog"] = true;
    body["reportData"] = base64(Bytes(64, std::byte{9}));
    body["allowedPlatformIds"] = {"AB01", "02"};
    body["token"] = {{"audience", "them"}, {"nonce", "12345678"}};
    VerifyRequest request = parse(body).value();
    EXPECT_EQ(request.tee, "tdx");
    ASSERT_TRUE(request.event_log && request.event_log->has_value());
    EXPECT_TRUE((*request.event_log)->events.empty());
    EXPECT_TRUE(request.include_event_log);
    EXPECT_EQ(request.report_data->back(), std::byte{9});
    EXPECT_THAT(request.platform_ids, ElementsAre("ab01", "02"));
    EXPECT_EQ(request.token->nonce, "12345678");
    body.erase("token");
    body["policy"] = {{"version", 1},
                      {"name", "mine"},
                      {"roots", {{"vendor", {"intel"}}}},
                      {"allow_any_identity", "i-understand-any-enclave-is-accepted"}};
    EXPECT_EQ(parse(body).value().policy->name, "mine");
}

TEST(Request, AnEventLogThatDoesNotParseIsAVerdict) {
    VerifyRequest request = parse(with("eventLog", base64(as_bytes("no log")))).value();
    ASSERT_TRUE(request.event_log.has_value());
    EXPECT_FALSE(request.event_log->has_value());
}

TEST(Request, WhatIsMalformedIsRefused) {
    EXPECT_EQ(refusal(json::Value::object()), json::missing_member);
    EXPECT_EQ(refusal(json::Value::array()), json::wrong_type);
    EXPECT_EQ(refusal({{"quote", ""}}), json::missing_member);
    EXPECT_EQ(refusal({{"quote", 7}}), json::wrong_type);
    EXPECT_EQ(refusal({{"quote", "AAA"}}), bad_encoding);
    EXPECT_EQ(refusal({{"quote", "AA A="}}), bad_encoding);
    EXPECT_EQ(refusal(with("qoute", "AAAA")), json::unknown_member);
    EXPECT_EQ(refusal(with("gpuQuote", "AAAA")), bad_request);
    EXPECT_EQ(refusal(with("reportData", base64(Bytes(63)))), bad_request);
    EXPECT_EQ(refusal(with("reportData", base64(Bytes(67)))), json::out_of_range);
    EXPECT_EQ(refusal(with("includeEventLog", "yes")), json::wrong_type);
    EXPECT_EQ(refusal(with("collateral", base64(as_bytes("{\"x\":1}")))), json::unknown_member);
    EXPECT_EQ(refusal(with("policy", json::Value::object())), json::missing_member);
    EXPECT_EQ(refusal(with("allowedPlatformIds", "AB")), json::wrong_type);
    EXPECT_EQ(refusal(with("allowedPlatformIds", {"zz"})), bad_encoding);
    EXPECT_EQ(refusal(with("allowedPlatformIds", {""})), bad_request);
    EXPECT_EQ(refusal(with("allowedPlatformIds", std::vector<std::string>(257, "00"))),
              json::out_of_range);
    EXPECT_EQ(refusal(with("token", {{"audience", "x"}, {"nonce", "short"}})), bad_request);
    EXPECT_EQ(refusal(with("token", {{"audience", "x"}, {"nonce", "12345678"}, {"y", 1}})),
              json::unknown_member);
    std::string twice = R"({"quote":"AAAA","quote":"AAAA"})";
    EXPECT_EQ(parse_request(as_bytes(twice), 1000).error().code(), json::repeated_member);
    EXPECT_EQ(parse_request(as_bytes(twice), 10).error().code(), json::too_large);
}

// What is small as text and large as values, or is written out again, is refused before it costs.
TEST(Request, CostsNoMoreThanItsBytes) {
    json::Value list = json::Value::array();
    for (int i = 0; i < 17'000; ++i) list.push_back(json::Value::object());
    EXPECT_EQ(refusal(with("policy", list)), json::too_large);
    EXPECT_EQ(refusal(with("policy", {{"name", std::string(300'000, 'x')}})), json::too_large);
    EXPECT_EQ(refusal(with("policy", {{std::string(300'000, 'x'), 1}})), json::too_large);
}

// A token says that the service's policy decided: a caller's own would be passed off as that.
TEST(Request, NoTokenForACallersPolicy) {
    json::Value body = with("token", {{"audience", "them"}, {"nonce", "12345678"}});
    body["policy"] = {{"version", 1},
                      {"name", "mine"},
                      {"roots", {{"vendor", {"intel"}}}},
                      {"allow_any_identity", "i-understand-any-enclave-is-accepted"}};
    EXPECT_EQ(refusal(body), bad_request);
}

}  // namespace
}  // namespace eos::attestd
