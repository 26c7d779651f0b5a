// SPDX-License-Identifier: AGPL-3.0-only
// Mode C as it is served: who may ask, what is signed, and what is not.
#include <gtest/gtest.h>

#include "common/base/encoding.h"
#include "common/ratls/attest_message.h"
#include "trusted/mini/api/testing.h"

namespace eos::mini {
namespace {

using ratls::AttestMode;
using ratls::AttestRequest;
using ratls::AttestResponse;
using testing::body_json;
using testing::Caller;

constexpr std::string_view kStart = "POST /__privasys/attest";

class AttestRoute : public ::testing::Test, protected testing::ApiRig {
  protected:
    void SetUp() override { start_owned(); }

    AttestRequest request(const runtime::ConnectionInfo& info) const {
        AttestRequest out;
        out.leaf = info.channel->leaf_key().spki_hash();
        out.context.emplace().fill(std::byte{3});
        return out;
    }
    runtime::ReadResponse post(const runtime::ConnectionInfo& info, const std::string& body) {
        return ask(info, kStart, "", body);
    }
};

TEST_F(AttestRoute, AnswersOnEveryNameWithEvidenceForThisConnection) {
    ASSERT_EQ(load_app("hello", testing::idle_module()).status, 201);
    for (const auto& info : {attested(to_platform(Caller::kNobody)), attested(to_app("hello"))}) {
        std::size_t before = evidence.asked.size();
        runtime::ReadResponse response = post(info, to_text(request(info)));
        ASSERT_EQ(response.status, 200) << response.body;
        Result<AttestResponse> parsed = ratls::parse_attest_response(as_bytes(response.body));
        ASSERT_TRUE(parsed) << parsed.error().message();
        EXPECT_EQ(parsed->mode, AttestMode::kChallenge);
        EXPECT_EQ(parsed->tee, "sgx");
        ASSERT_EQ(evidence.asked.size(), before + 1);
        ratls::ChannelBinding channel;
        channel.context.fill(std::byte{3});
        channel.exporter.fill(std::byte{7});
        EXPECT_EQ(evidence.asked.back(),
                  ratls::ReportData::v2_challenge(info.channel->leaf_key(), channel));
    }
}

TEST_F(AttestRoute, TheDeterministicFormIsTheCachedEvidenceAndSignsNothing) {
    runtime::ConnectionInfo info = attested(to_platform(Caller::kNobody));
    AttestRequest asked = request(info);
    asked.mode = AttestMode::kDeterministic;
    asked.context.reset();
    std::size_t before = evidence.asked.size();
    runtime::ReadResponse response = post(info, to_text(asked));
    ASSERT_EQ(response.status, 200) << response.body;
    Result<AttestResponse> parsed = ratls::parse_attest_response(as_bytes(response.body));
    ASSERT_TRUE(parsed);
    EXPECT_EQ(parsed->quote, info.channel->cached_evidence());
    EXPECT_EQ(parsed->quote_time, info.channel->cached_at());
    EXPECT_EQ(evidence.asked.size(), before);
    EXPECT_FALSE(info.is_challenged());
}

TEST_F(AttestRoute, WhatIsRefusedIsNeverSigned) {
    runtime::ConnectionInfo info = attested(to_platform(Caller::kOwner));
    AttestRequest other_leaf = request(info);
    other_leaf.leaf[0] ^= std::byte{1};
    runtime::ConnectionInfo mode_b = to_platform(Caller::kOwner);
    std::string good = to_text(request(info));
    std::string present = good;
    present.replace(present.find("challenge"), 9, "present");
    std::size_t before = evidence.asked.size();
    EXPECT_EQ(post(info, to_text(other_leaf)).status, 404);
    EXPECT_EQ(post(mode_b, good).status, 404);
    EXPECT_EQ(post(info, present).status, 403);
    EXPECT_EQ(post(info, good.substr(1)).status, 400);
    EXPECT_EQ(post(info, R"({"v":2,"mode":"challenge","report_data":"AAAA"})").status, 400);
    EXPECT_EQ(post(info, std::string(ratls::kMaxAttestRequestBytes + 1, ' ')).status, 413);
    EXPECT_EQ(ask(info, "GET /__privasys/attest").status, 405);
    EXPECT_EQ(evidence.asked.size(), before);
    EXPECT_FALSE(info.is_challenged());
}

TEST_F(AttestRoute, LimitsAreAnsweredWithATimeToComeBack) {
    runtime::ConnectionInfo info = attested(to_platform(Caller::kNobody));
    pending_in_all = runtime::BoundMinter::kMaxPendingInAll;
    runtime::ReadResponse response = post(info, to_text(request(info)));
    EXPECT_EQ(response.status, 503);
    EXPECT_EQ(response.headers.first("retry-after"), "2");
    EXPECT_FALSE(info.is_challenged());
}

TEST_F(AttestRoute, NothingIsHeldUpByAQuoteAndALateOneGoesNowhere) {
    runtime::ConnectionInfo info = attested(to_platform(Caller::kNobody));
    evidence.is_held = true;
    auto peer = connect(info);
    peer->send(kStart, "", to_text(request(info)));
    settle(*peer);
    EXPECT_TRUE(peer->sink.written.empty());
    EXPECT_EQ(minter.pending(), 1);
    EXPECT_EQ(ask(info, "GET /healthz").status, 200);  // another connection of the same worker
    peer->hang_up();
    evidence.release();
    EXPECT_EQ(minter.pending(), 0);
    EXPECT_EQ(pending_in_all, 0);
    evidence.is_down = true;
    EXPECT_EQ(post(info, to_text(request(info))).status, 503);
}

TEST_F(AttestRoute, OnlyAnAnswerOpensWhatNeedsAChallenge) {
    runtime::ConnectionInfo info = attested(to_platform(Caller::kOwner));
    const std::string time = R"({"time":"2026-01-01T00:00:00Z"})";
    EXPECT_EQ(ask(info, "POST /api/v1/confirm-time", "", time).status, 403);
    EXPECT_EQ(post(info, to_text(request(info))).status, 200);
    EXPECT_TRUE(info.is_challenged());
    EXPECT_NE(ask(info, "POST /api/v1/confirm-time", "", time).status, 403);
}

}  // namespace
}  // namespace eos::mini
