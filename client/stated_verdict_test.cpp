// SPDX-License-Identifier: AGPL-3.0-only
// Stated reasons against the nodes that fail, on evidence that the tests make and damage.
#include <gtest/gtest.h>

#include <functional>

#include "client/case_outcomes.h"
#include "common/attestation/verify/synthetic_intel_test.h"
#include "common/attestation/verify/verify.h"

namespace eos::client {
namespace {

using attestation::testing::kNow;
using attestation::testing::pem;
using attestation::testing::SyntheticIntel;

CaseResult outcome(const SyntheticIntel& intel) {
    CaseResult out;
    describe_outcome(
        attestation::verify::verify_quote(intel.quote(), intel.endorsements(), intel.roots(), kNow),
        out);
    return out;
}

/// Offsets in a quote of version 3.
constexpr std::size_t kBody = 48;
constexpr std::size_t kSignature = 48 + 384 + 4;
constexpr std::size_t kAttestationKey = kSignature + 64;
constexpr std::size_t kQeReport = kAttestationKey + 64;
constexpr std::size_t kQeReportSignature = kQeReport + 384;
constexpr std::size_t kQeAuthData = kQeReportSignature + 64 + 2;

CaseResult flipped(std::size_t at) {
    SyntheticIntel intel;
    intel.alter_quote = [at](Bytes& quote) { quote[at] ^= std::byte{1}; };
    return outcome(intel);
}

void expect_only(const CaseResult& result, const std::vector<const char*>& right,
                 const std::vector<const char*>& wrong) {
    EXPECT_EQ(result.found, "REJECT") << right.front();
    for (const char* reason : right) {
        EXPECT_TRUE(agrees(std::string("REJECT: ") + reason, result))
            << reason << ", found " << result.deciding_node;
    }
    for (const char* reason : wrong) {
        EXPECT_FALSE(agrees(std::string("REJECT: ") + reason, result))
            << reason << ", found " << result.deciding_node;
    }
}

TEST(StatedVerdict, AQuoteThatWasDamagedHasTheReasonOfItsRegion) {
    expect_only(flipped(kQeReport + 64),
                {"QE report signature", "qe report signature (M14)", "qe.report_signature"},
                {"quote signature", "report signature", "QE report binding", "PCK chain", "CRL"});
    expect_only(flipped(kQeReportSignature), {"QE report signature"},
                {"report signature", "quote signature", "QE identity"});
    expect_only(flipped(kQeAuthData), {"QE report-data binding", "QE report binding"},
                {"QE report signature", "quote signature", "report data"});
    expect_only(flipped(kAttestationKey), {"attestation key hash", "attestation key"},
                {"QE report signature", "PCK chain"});
    expect_only(
        flipped(kBody + 64),
        {"quote signature", "Quote signature", "quote signature (RTMR3, PCK chain)", "report data"},
        {"QE report signature", "QE report binding", "report signature", "untrusted root"});
    expect_only(flipped(12), {"vendor id"}, {"quote signature"});
    expect_only(flipped(2), {"unsupported key type"}, {"quote signature"});
}

TEST(StatedVerdict, ADamagedChainIsAboutThePck) {
    SyntheticIntel intel;
    intel.chain_pem = [](const SyntheticIntel& from) {
        std::string ca = pem(from.ca());
        ca[ca.find('\n') + 2] ^= 4;  // the sequence's length
        return pem(from.pck()) + ca + pem(from.root());
    };
    const CaseResult result = outcome(intel);
    EXPECT_EQ(result.deciding_node, "pck.certificates");
    expect_only(result, {"PCK chain", "PCK chain does not parse", "damaged intermediate"},
                {"untrusted root", "QE report signature", "CRL"});

    SyntheticIntel other;
    other.chain_pem = [](const SyntheticIntel& from) {
        SyntheticIntel forged;
        return pem(from.pck()) + pem(forged.ca()) + pem(from.root());
    };
    expect_only(outcome(other), {"PCK chain", "PCK certificate signature"},
                {"quote signature", "no PCK chain"});
}

TEST(StatedVerdict, CollateralHasItsReasons) {
    SyntheticIntel intel;
    intel.pck_revoked.push_back(intel.pck_recipe.serial);
    expect_only(outcome(intel), {"PCK certificate revoked", "PCK CRL", "revoked"},
                {"quote signature", "PCK chain", "TCB info signature"});

    intel = {};
    const auto rejected =
        [&](const std::function<void(attestation::endorsements::Endorsements&)>& alter) {
            attestation::endorsements::Endorsements all = intel.endorsements();
            alter(all);
            CaseResult out;
            describe_outcome(
                attestation::verify::verify_quote(intel.quote(), all, intel.roots(), kNow), out);
            return out;
        };
    expect_only(rejected([](auto& all) { all.tcb_info->signature[5] ^= std::byte{1}; }),
                {"TCB info signature", "TCB info"},
                {"QE identity signature", "TCB info expired", "quote signature"});
    expect_only(rejected([](auto& all) { all.qe_identity->signature[5] ^= std::byte{1}; }),
                {"QE identity signature", "QE identity"},
                {"TCB info signature", "QE report signature"});
    intel.tcb_info["issueDate"] = "2026-04-01T00:00:00Z";
    intel.tcb_info["nextUpdate"] = "2026-05-01T00:00:00Z";
    expect_only(outcome(intel), {"TCB info expired", "expired collateral"},
                {"TCB info signature", "CRL expired"});
    intel = {};
    intel.tcb_info["fmspc"] = "00906ED5FFFF";
    expect_only(outcome(intel), {"FMSPC", "TCB info of another FMSPC"}, {"TCB info signature"});
    intel = {};
    for (auto& level : intel.tcb_info["tcbLevels"]) level["tcb"]["pcesvn"] = 65535;
    expect_only(outcome(intel), {"no matching TCB level (TCB_NOT_SUPPORTED)"},
                {"revoked certificate", "QE identity"});
}

TEST(StatedVerdict, TheNonceThatIsGivenIsNoReason) {
    CaseResult result{.id = {}, .found = "REJECT", .failed = {"tpm.signature"}};
    EXPECT_TRUE(agrees("REJECT (nonce \"debug pcr\")", result));
    EXPECT_TRUE(agrees("REJECT: quote signature (nonce \"x\")", result));
    EXPECT_FALSE(agrees("REJECT: nonce (nonce \"x\")", result));
    EXPECT_FALSE(agrees("REJECT: nonce (nonce \"unended", result));
    EXPECT_TRUE(agrees("REJECT: words that nobody knows", result));
    EXPECT_TRUE(agrees("REJECT: words that nobody knows (TPM signature)", result));
    EXPECT_FALSE(agrees("REJECT: words that nobody knows (CRL)", result));
    result.failed = {"tpm.nonce"};
    EXPECT_TRUE(agrees("REJECT: nonce (nonce \"x\")", result));
    EXPECT_FALSE(agrees("VALID", result));
}

}  // namespace
}  // namespace eos::client
