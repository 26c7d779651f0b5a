// SPDX-License-Identifier: AGPL-3.0-only
// Certificates of other projects. Ours are rehearsed in tests/e2e, with what emulated platforms
// drill.
#include "client/rehearsal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/foreign_evidence.h"
#include "common/attestation/verify/synthetic_intel_test.h"
#include "common/ratls/foreign_constellation_test.h"
#include "common/ratls/foreign_leaf.h"

namespace eos::client {
namespace {

namespace appraise = attestation::appraise;
using attestation::testing::kNow;
using attestation::testing::SyntheticIntel;
using ::testing::HasSubstr;

class RehearsedForeign : public ::testing::Test {
  protected:
    NamedPolicy policy(std::string_view binding = appraise::kBindingReportData) const {
        appraise::Policy out;
        out.allow_any_identity = true;
        out.roots = intel_.roots();
        out.tees = {"sgx", "tdx"};
        out.bindings = {std::string(binding)};
        out.leaf_binding = appraise::LeafBindingRule::optional;
        out.waivers = {"assurance"};
        return {"policy", out};
    }
    /// As Gramine made certificates before 1.8: the quote as it is.
    Exhibit gramine() {
        intel_.report.report_data = ratls::testing::report_data(ratls::testing::key_hash());
        return exhibit({oid::kGramineLegacy, x509::Critical::kNo, intel_.quote()});
    }
    Exhibit constellation() {
        intel_.make_tdx(attestation::evidence::TdReportKind::tdx10);
        intel_.td->report_data = ratls::testing::report_data(ratls::testing::bound());
        const json::Value document{{"RawQuote", base64(intel_.quote())},
                                   {"UserData", base64(ratls::testing::key_hash())}};
        return exhibit(
            {oid::kConstellationQemuTdx, x509::Critical::kNo, to_bytes(json::compact(document))});
    }
    /// The summary of each event of real collateral.
    std::map<std::string, std::string> summaries(const Exhibit& exhibit, const NamedPolicy& by) {
        const auto events = events_of_real_collateral(intel_.endorsements(), kNow);
        std::map<std::string, std::string> out;
        const Result<std::vector<Rehearsed>> cells = rehearse(events, {exhibit}, {by});
        for (const Rehearsed& cell : cells.value()) out[cell.event] = cell.result.summary();
        return out;
    }

    SyntheticIntel intel_;

  private:
    static Exhibit exhibit(const x509::Extension& extension) {
        const std::vector<x509::Extension> extensions(1, extension);
        return {.name = "leaf.pem",
                .chain = {},
                .handshake = {},
                .server_name = "",
                .anchors = {},
                .foreign = ratls::testing::certificate(extensions)};
    }
};

TEST_F(RehearsedForeign, ACertificateIsJudgedByItsFormatAtEachEvent) {
    auto found = summaries(gramine(), policy());
    EXPECT_EQ(found["unchanged"], "accepted, EMULATED: protects nothing");
    EXPECT_THAT(found["collateral-expired"], HasSubstr("tcb_info.dates"));
    EXPECT_THAT(found["evaluation-number-raised"], HasSubstr("rejected: "));
    EXPECT_THAT(found["collateral-unavailable"], HasSubstr("not evaluated: "));
}

TEST_F(RehearsedForeign, NothingIsTakenThatVerifyWouldNotTake) {
    EXPECT_EQ(summaries(gramine(), policy(appraise::kBindingV1Challenge))["unchanged"],
              "rejected: binding.format");
    Exhibit under_a_root = gramine();
    under_a_root.anchors = {intel_.root()};
    EXPECT_EQ(summaries(under_a_root, policy())["unchanged"],
              "rejected: not evaluated: certificate.chain");
    Exhibit other_name = gramine();
    other_name.server_name = "other.example.test";
    EXPECT_EQ(summaries(other_name, policy())["unchanged"], "rejected: certificate.name");
    const Exhibit bound = gramine();
    intel_.report.report_data = {};
    Exhibit unbound = bound;
    unbound.foreign =
        ratls::testing::certificate({{oid::kGramineLegacy, x509::Critical::kNo, intel_.quote()}});
    EXPECT_EQ(summaries(unbound, policy())["unchanged"], "rejected: report_data");
}

TEST_F(RehearsedForeign, ConstellationsNeedsItsNonce) {
    Exhibit exhibit = constellation();
    EXPECT_EQ(summaries(exhibit, policy())["unchanged"],
              "rejected: nonce; not evaluated: report_data");
    exhibit.nonce = to_bytes(ratls::testing::the_nonce());
    EXPECT_EQ(summaries(exhibit, policy())["unchanged"], "accepted, EMULATED: protects nothing");
    exhibit.nonce = Bytes(31);
    const auto events = events_of_real_collateral(intel_.endorsements(), kNow);
    EXPECT_EQ(rehearse(events, {exhibit}, {policy()}).error().code(), bad_nonce);
}

}  // namespace
}  // namespace eos::client
