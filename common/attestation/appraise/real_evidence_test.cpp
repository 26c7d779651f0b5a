// SPDX-License-Identifier: AGPL-3.0-only
// Real evidence under policies for real hardware: the only way to `accepted`.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/attestation/appraise/appraise.h"
#include "common/attestation/verify/corpus_test.h"
#include "common/oid/registry.h"

namespace eos::attestation::appraise {
namespace {

using ::testing::ElementsAre;
using testing::Row;
using ::testing::StartsWith;
using verify::passed;

class RealEvidence : public testing::Corpus {
  protected:
    /// A policy made for this row: its enclave, its status, its advisories.
    static Policy policy_for(const Row& row) {
        const verify::Verification verification = run(row);
        const auto& claims = std::get<verify::SgxClaims>(verification.evidence()->claims());
        const verify::TcbResult& tcb = verification.evidence()->tcb().value();
        Policy policy;
        policy.name = row.text("id");
        policy.identity = {{MrEnclavePin{claims.report.mr_enclave}, {}}};
        policy.tcb.statuses.insert(tcb.status);
        policy.tcb.advisories.insert(tcb.advisories.begin(), tcb.advisories.end());
        return policy;
    }

    static verify::Verification run(const Row& row) {
        return verify::verify_quote(row.quote, row.endorsements, verify::Roots::intel(), row.time);
    }

    static LeafClaims leaf() {
        LeafClaims out;
        out.extensions[oid::kAssurance] = to_bytes("production");
        out.binding = BindingClaim{.format = std::string(kBindingV1Challenge),
                                   .report_data = passed({"report_data", "test"}),
                                   .level = passed({"binding.level", "test"})};
        out.leaf_binding = passed({"leaf_binding", "test"});
        return out;
    }
};

TEST_F(RealEvidence, IsAcceptedByAPolicyThatFits) {
    const Row& good = row("sgx-automata-evalnum17");
    AttestationResult result = appraise(run(good), leaf(), policy_for(good));
    EXPECT_EQ(result.outcome(), Outcome::accepted) << result.text();
    EXPECT_EQ(result.exit_code(), kExitAccepted);
    EXPECT_EQ(result.summary(), "accepted");
    EXPECT_THAT(result.text(), StartsWith("accepted\n"));
    EXPECT_EQ(result.claims()["emulated"], false);
    EXPECT_EQ(result.claims()["tcb"]["status"], "SWHardeningNeeded");
}

TEST_F(RealEvidence, StatusAndAdvisoriesMustBeAllowed) {
    const Row& good = row("sgx-automata-evalnum17");
    Policy no_advisories = policy_for(good);
    no_advisories.tcb.advisories.clear();
    EXPECT_THAT(summarise(appraise(run(good), leaf(), no_advisories).tree()).failed,
                ElementsAre("tcb.status"));
    // The same quote on the same day, with the statement of the next evaluation number.
    EXPECT_THAT(
        summarise(appraise(run(row("sgx-automata-evalnum18")), leaf(), policy_for(good)).tree())
            .failed,
        ElementsAre("tcb.status"));
    Policy newest = policy_for(good);
    newest.tcb.min_evaluation_data_number = 18;
    EXPECT_THAT(summarise(appraise(run(good), leaf(), newest).tree()).failed,
                ElementsAre("tcb.evaluation_data_number"));
}

TEST_F(RealEvidence, DebugEnclavesAreRefused) {
    for (const char* id : {"sgx-oe-evidence-debug", "sgx-trustee-occlum-debug"}) {
        Policy policy = policy_for(row(id));
        policy.debug = DebugRule::allow_emulated;  // the parser refuses it; appraise() ignores it
        LeafClaims claims = leaf();
        claims.extensions[oid::kAssurance] = to_bytes("debug");
        policy.assurance = {"debug"};
        EXPECT_THAT(summarise(appraise(run(row(id)), claims, policy).tree()).failed,
                    ElementsAre("attributes.debug"))
            << id;
    }
}

}  // namespace
}  // namespace eos::attestation::appraise
