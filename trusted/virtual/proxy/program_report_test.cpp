// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/virtual/proxy/program_report.h"

#include <gtest/gtest.h>

namespace eos::cvm::proxy {
namespace {

constexpr UnixTime kNow{1'800'000'000};

/// An owner's machine whose evidence was made now and whose CA ends in an hour.
MintedState owned_state() {
    MintedState out;
    out.state.is_owned = true;
    out.state.ca_not_after = kNow.seconds + 3600;
    out.state.time_trust = "confirmed";
    auto served = std::make_shared<runtime::Served>();
    served->names["vm.example"].epoch = std::make_shared<const runtime::KeyEpoch>(
        runtime::KeyEpoch{crypto::P256PrivateKey::generate(), kNow, {}});
    out.served = std::move(served);
    return out;
}

TEST(ProgramReport, ACaThatHasExpiredIsNotReady) {
    MintedState minted = owned_state();
    EXPECT_TRUE(unready_reasons(minted, kNow).empty());
    minted.state.ca_not_after = kNow.seconds - 1;
    EXPECT_EQ(unready_reasons(minted, kNow),
              std::vector<std::string>{"the CA certificate has expired"});
    minted.state.is_owned = false;  // and so without a CA
    EXPECT_TRUE(unready_reasons(minted, kNow).empty());
}

TEST(ProgramReport, OldEvidenceAndATimeThatJumpedAreNotReady) {
    MintedState minted = owned_state();
    minted.state.time_trust = "jumped";
    minted.state.ca_not_after = end_of_evidence(minted).seconds;
    EXPECT_EQ(unready_reasons(minted, end_of_evidence(minted) - 1).size(), 1U);
    EXPECT_EQ(unready_reasons(minted, end_of_evidence(minted)).size(), 2U);
}

TEST(ProgramReport, SaysWhenEvidenceAndCaEnd) {
    MintedState minted = owned_state();
    std::string text = program_metrics({.dropped_log_lines = 3}, minted);
    const auto has = [&](std::string_view line) { return text.find(line) != std::string::npos; };
    EXPECT_TRUE(has("proxy_log_lines_dropped_total 3\n")) << text;
    EXPECT_TRUE(has("# TYPE proxy_evidence_not_after_timestamp_seconds gauge\n")) << text;
    EXPECT_TRUE(has("proxy_evidence_not_after_timestamp_seconds " +
                    std::to_string(end_of_evidence(minted).seconds) + "\n"))
        << text;
    EXPECT_TRUE(has("proxy_ca_not_after_timestamp_seconds 1800003600\n")) << text;
    EXPECT_FALSE(has("proxy_minter")) << "there is none";
    minted.state.is_owned = false;
    text = program_metrics({}, minted);
    EXPECT_FALSE(has("proxy_ca_")) << text;
}

TEST(ProgramReport, SaysWhetherTheMinterAnswers) {
    MinterStatistics minter;
    minter.is_connected.set(1);
    minter.requests.set(7);
    minter.unanswered.set(2);
    minter.refused.set(1);
    const std::string text = program_metrics({.minter = &minter}, owned_state());
    for (std::string_view line : {"proxy_minter_up 1\n", "proxy_minter_requests_total 7\n",
                                  "proxy_minter_requests_failed_total{reason=\"unanswered\"} 2\n",
                                  "proxy_minter_requests_failed_total{reason=\"refused\"} 1\n"}) {
        EXPECT_NE(text.find(line), std::string::npos) << line << text;
    }
}

}  // namespace
}  // namespace eos::cvm::proxy
