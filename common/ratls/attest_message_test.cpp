// SPDX-License-Identifier: AGPL-3.0-only
#include "common/ratls/attest_message.h"

#include <gtest/gtest.h>

#include "common/base/encoding.h"
#include "common/json/json.h"

namespace eos::ratls {
namespace {

constexpr UnixTime kMinute{1'788'516'900};  // 2026-09-04T10:15Z

AttestRequest request() {
    AttestRequest out;
    out.leaf.fill(std::byte{1});
    out.context.emplace().fill(std::byte{2});
    return out;
}

AttestResponse response() {
    return {AttestMode::kChallenge, "sgx", Bytes(4000, std::byte{3}), kMinute};
}

/// The message with one member changed; null takes it away.
std::string with(const std::string& text, const char* member, json::Value value) {
    json::Value object = *json::parse(as_bytes(text), {});
    object.erase(member);
    if (!value.is_null()) object[member] = std::move(value);
    return json::compact(object);
}

TEST(AttestRequest, WireFormIsThatOfTheProtocol) {
    EXPECT_EQ(to_text(request()),
              R"({"context":"AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI",)"
              R"("leaf":"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE","mode":"challenge","v":2})");
    Result<AttestRequest> back = parse_attest_request(as_bytes(to_text(request())));
    ASSERT_TRUE(back) << back.error().message();
    EXPECT_EQ(back->leaf, request().leaf);
    EXPECT_EQ(back->context, request().context);
}

TEST(AttestRequest, PaddingAndMembersOfOthersArePassedOver) {
    std::string text = with(to_text(request()), "future", {{"a", 1}});
    text = with(text, "leaf", base64url(request().leaf) + "=");
    ASSERT_TRUE(parse_attest_request(as_bytes(text)));
}

TEST(AttestRequest, DeterministicHasNoContext) {
    AttestRequest in = request();
    in.mode = AttestMode::kDeterministic;
    EXPECT_EQ(parse_attest_request(as_bytes(to_text(in))).error().code(), bad_attest_message);
    in.context.reset();
    Result<AttestRequest> back = parse_attest_request(as_bytes(to_text(in)));
    ASSERT_TRUE(back);
    EXPECT_EQ(back->mode, AttestMode::kDeterministic);
    EXPECT_FALSE(back->context);
}

TEST(AttestRequest, MutatedTwinsAreRefused) {
    struct Twin {
        const char* member;
        json::Value value;
        Code code;
    };
    std::string short_context = base64url(Bytes(31)), long_context = base64url(Bytes(33));
    const Twin twins[] = {{"v", nullptr, json::missing_member},
                          {"v", 1, bad_attest_message},
                          {"v", "2", json::wrong_type},
                          {"mode", nullptr, json::missing_member},
                          {"mode", "none", bad_attest_message},
                          {"mode", "present", client_evidence_unwanted},
                          {"leaf", nullptr, json::missing_member},
                          {"leaf", short_context, bad_attest_message},
                          {"leaf", 7, json::wrong_type},
                          {"context", nullptr, json::missing_member},
                          {"context", short_context, bad_attest_message},
                          {"context", long_context, bad_attest_message},
                          {"context", std::string(43, '+'), bad_attest_message},
                          {"context", "AA=A", bad_attest_message},
                          {"context", std::string(100, 'A'), json::out_of_range}};
    for (const Twin& twin : twins) {
        std::string text = with(to_text(request()), twin.member, twin.value);
        Result<AttestRequest> parsed = parse_attest_request(as_bytes(text));
        ASSERT_FALSE(parsed) << text;
        EXPECT_EQ(parsed.error().code(), twin.code) << text;
    }
    std::string text = to_text(request());
    for (std::size_t size = 0; size < text.size(); ++size)
        EXPECT_FALSE(parse_attest_request(as_bytes(text.substr(0, size)))) << size;
    EXPECT_EQ(parse_attest_request(as_bytes(text + text)).error().code(), json::bad_syntax);
    EXPECT_EQ(parse_attest_request(Bytes(kMaxAttestRequestBytes + 1)).error().code(),
              json::too_large);
}

TEST(AttestResponse, ComesBackAsItWas) {
    Result<AttestResponse> back = parse_attest_response(as_bytes(to_text(response())));
    ASSERT_TRUE(back) << back.error().message();
    EXPECT_EQ(back->mode, AttestMode::kChallenge);
    EXPECT_EQ(back->tee, "sgx");
    EXPECT_EQ(back->quote, response().quote);
    EXPECT_EQ(back->quote_time, kMinute);
    json::Value object = *json::parse(as_bytes(to_text(response())), {});
    EXPECT_EQ(object["quote_time"], "2026-09-04T10:15Z");
    EXPECT_EQ(object["client_evidence"], "none");
}

TEST(AttestResponse, MutatedTwinsAreRefused) {
    struct Twin {
        const char* member;
        json::Value value;
        Code code;
    };
    const Twin twins[] = {{"v", 3, bad_attest_message},
                          {"mode", "present", bad_attest_message},
                          {"mode", nullptr, json::missing_member},
                          {"tee", "tdx-gpu", bad_attest_message},
                          {"tee", "mock", bad_attest_message},
                          {"quote", "", bad_attest_message},
                          {"quote", nullptr, json::missing_member},
                          {"quote", "a b", bad_attest_message},
                          {"quote_time", nullptr, json::missing_member},
                          {"quote_time", "2026-09-04T10:15:00Z", json::out_of_range},
                          {"quote_time", "2026-09-04T10:15", bad_attest_message},
                          {"quote_time", "2026-13-04T10:15Z", bad_attest_message},
                          {"gpu_evidence", "AAAA", bad_attest_message},
                          {"client_evidence", "required", bad_attest_message},
                          {"client_evidence", 1, bad_attest_message}};
    for (const Twin& twin : twins) {
        std::string text = with(to_text(response()), twin.member, twin.value);
        Result<AttestResponse> parsed = parse_attest_response(as_bytes(text));
        ASSERT_FALSE(parsed) << text;
        EXPECT_EQ(parsed.error().code(), twin.code) << text.substr(0, 200);
    }
    std::string text = to_text(response());
    EXPECT_FALSE(parse_attest_response(as_bytes(text.substr(0, text.size() - 1))));
    text.insert(1, R"("mode":"challenge",)");
    EXPECT_EQ(parse_attest_response(as_bytes(text)).error().code(), json::repeated_member);
}

}  // namespace
}  // namespace eos::ratls
