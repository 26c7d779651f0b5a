// SPDX-License-Identifier: AGPL-3.0-only
// The platform is synthetic, and so are the certificates around its quotes.
#include "client/foreign_evidence.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/attestation/verify/corpus_test.h"
#include "common/attestation/verify/synthetic_intel_test.h"
#include "common/ratls/foreign_constellation_test.h"
#include "common/ratls/foreign_leaf.h"

namespace eos::client {
namespace {

namespace appraise = attestation::appraise;
namespace verify = attestation::verify;
using attestation::testing::kNow;
using attestation::testing::SyntheticIntel;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

const verify::Check& node(const appraise::AttestationResult& result, const char* id) {
    const verify::Check* found = find_check(result.tree(), id);
    EXPECT_NE(found, nullptr) << id;
    static const verify::Check none;
    return found != nullptr ? *found : none;
}

class ForeignLeaves : public ::testing::Test {
  protected:
    /// A policy of whoever has read docs/evidence.md.
    appraise::Policy policy() const {
        appraise::Policy out;
        out.allow_any_identity = true;
        out.roots = intel_.roots();
        out.tees = {"sgx", "tdx"};
        out.bindings = {std::string(appraise::kBindingReportData)};
        out.leaf_binding = appraise::LeafBindingRule::optional;
        out.waivers = {"assurance"};
        return out;
    }
    /// As Gramine made certificates before 1.8: the quote as it is.
    x509::Certificate gramine() const {
        return ratls::testing::certificate(
            {{oid::kGramineLegacy, x509::Critical::kNo, intel_.quote()}});
    }
    x509::Certificate constellation() {
        const json::Value document{{"RawQuote", base64(intel_.quote())},
                                   {"UserData", base64(ratls::testing::key_hash())}};
        return ratls::testing::certificate(
            {{oid::kConstellationQemuTdx, x509::Critical::kNo, to_bytes(json::compact(document))}});
    }
    Result<ForeignVerification> verify(const x509::Certificate& leaf,
                                       const std::optional<Bytes>& nonce = {}) const {
        const verify::Roots roots = intel_.roots();
        return verify_foreign_leaf(leaf, nonce, {intel_.endorsements(), roots, kNow});
    }
    appraise::AttestationResult judge(const x509::Certificate& leaf, const appraise::Policy& policy,
                                      const ForeignContext& context = {}) const {
        return appraise_foreign(verify(leaf).value(), context, policy);
    }
    std::vector<std::string> failed(const appraise::AttestationResult& result) const {
        return summarise(result.tree()).failed;
    }
    void bind(const ByteArray<64>& report_data) { intel_.report.report_data = report_data; }

    SyntheticIntel intel_;
};

TEST_F(ForeignLeaves, ABoundQuoteIsAcceptedAndTheVerdictSaysWhatIsNotShown) {
    bind(ratls::testing::report_data(ratls::testing::key_hash()));
    const auto result = judge(gramine(), policy());
    EXPECT_EQ(result.outcome(), appraise::Outcome::accepted_emulated) << result.text();
    EXPECT_THAT(node(result, "report_data").notes, ElementsAre("gramine-legacy"));
    EXPECT_THAT(node(result, "binding.format").notes, ElementsAre("report-data"));
    EXPECT_THAT(node(result, "binding.level").notes,
                ElementsAre("bound to the certificate's key; a file shows neither that a peer "
                            "holds that key nor how old the evidence is"));
    EXPECT_EQ(node(result, "leaf_binding").verdict, verify::Verdict::not_evaluated);
}

TEST_F(ForeignLeaves, AQuoteForAnotherKeyIsNotBound) {
    for (const ByteArray<64>& other :
         {ByteArray<64>{}, ratls::testing::report_data(crypto::sha256(to_bytes("other")))}) {
        bind(other);
        const auto result = judge(gramine(), policy());
        EXPECT_EQ(result.exit_code(), appraise::kExitNotBound);
        EXPECT_THAT(failed(result), ElementsAre("report_data"));
    }
    // All 64 bytes count.
    ByteArray<64> data = ratls::testing::report_data(ratls::testing::key_hash());
    data[63] = std::byte{1};
    bind(data);
    EXPECT_THAT(failed(judge(gramine(), policy())), ElementsAre("report_data"));
}

TEST_F(ForeignLeaves, WithoutGenuineEvidenceNothingIsSaidOfTheKey) {
    bind(ratls::testing::report_data(ratls::testing::key_hash()));
    intel_.alter_quote = [](Bytes& quote) { quote[48 + 64] ^= std::byte{1}; };
    const auto result = judge(gramine(), policy());
    EXPECT_EQ(result.exit_code(), appraise::kExitNotGenuine);
    EXPECT_EQ(node(result, "report_data").verdict, verify::Verdict::not_evaluated);
}

TEST_F(ForeignLeaves, TheCertificateMustBeOfThisTimeAndNameAndAsItWasSigned) {
    bind(ratls::testing::report_data(ratls::testing::key_hash()));
    const x509::Certificate leaf = gramine();
    const verify::Roots roots = intel_.roots();
    const auto judged = [&](const x509::Certificate& one, UnixTime time, std::string_view name) {
        const attestation::endorsements::Endorsements all = intel_.endorsements();
        return failed(appraise_foreign(
            verify_foreign_leaf(one, {}, {all, roots, time, name}).value(), {}, policy()));
    };
    EXPECT_THAT(judged(leaf, kNow, ""), ::testing::IsEmpty());
    EXPECT_THAT(judged(leaf, kNow, "other.example.test"), ElementsAre("certificate.name"));
    EXPECT_THAT(judged(leaf, leaf.validity().not_after + 1, ""), Contains("certificate.validity"));
    Bytes der = to_bytes(leaf.der());
    der.back() ^= std::byte{1};
    EXPECT_THAT(judged(x509::Certificate::parse(der).value(), kNow, ""),
                ElementsAre("certificate.signature"));
}

TEST_F(ForeignLeaves, APolicyForServersOfOursTakesNone) {
    bind(ratls::testing::report_data(ratls::testing::key_hash()));
    appraise::Policy strict = policy();
    strict.bindings = appraise::Policy().bindings;
    EXPECT_THAT(failed(judge(gramine(), strict)), ElementsAre("binding.format"));
    strict = policy();
    strict.leaf_binding = appraise::LeafBindingRule::required;
    EXPECT_EQ(judge(gramine(), strict).exit_code(), appraise::kExitIncomplete);
    strict = policy();
    strict.waivers.clear();
    EXPECT_EQ(judge(gramine(), strict).exit_code(), appraise::kExitIncomplete);
    // A CA that was demanded is not passed over.
    const auto result = judge(gramine(), policy(), {.event_log = nullptr, .has_anchors = true});
    EXPECT_EQ(result.exit_code(), appraise::kExitIncomplete);
    EXPECT_THAT(summarise(result.tree()).not_evaluated, ElementsAre("certificate.chain"));
}

TEST_F(ForeignLeaves, ConstellationsKeyIsBoundTogetherWithTheNonce) {
    intel_.make_tdx(attestation::evidence::TdReportKind::tdx10);
    intel_.td->report_data = ratls::testing::report_data(ratls::testing::bound());
    const x509::Certificate leaf = constellation();
    const auto judged = [&](const std::optional<Bytes>& nonce) {
        return appraise_foreign(verify(leaf, nonce).value(), {}, policy());
    };
    const Bytes nonce = to_bytes(ratls::testing::the_nonce());
    const auto result = judged(nonce);
    EXPECT_EQ(node(result, "report_data").verdict, verify::Verdict::pass) << result.text();
    EXPECT_EQ(node(result, "nonce").verdict, verify::Verdict::pass);
    EXPECT_THAT(node(result, "binding.level").notes.front(), HasSubstr("the certificate's key"));
    EXPECT_THAT(failed(judged(Bytes(32))), ElementsAre("report_data"));
    EXPECT_THAT(failed(judged({})), ElementsAre("nonce"));
    EXPECT_EQ(judged({}).exit_code(), appraise::kExitNotBound);
    EXPECT_EQ(verify(leaf, Bytes(31)).error().code(), bad_nonce);
}

TEST_F(ForeignLeaves, WhatCannotBeReadIsAnError) {
    EXPECT_EQ(verify(gramine(), Bytes(32)).error().code(), bad_nonce);
    EXPECT_EQ(verify(ratls::testing::certificate({})).error().code(), ratls::no_foreign_evidence);
    EXPECT_EQ(verify(ratls::testing::certificate(
                         {{oid::kConstellationGcpEs, x509::Critical::kNo, to_bytes("{}")}}))
                  .error()
                  .code(),
              ratls::refused_variant);
    EXPECT_TRUE(is_foreign(gramine()));
    EXPECT_FALSE(is_foreign(ratls::testing::certificate({})));
}

class VtpmVerdicts : public ::testing::Test {
  protected:
    void SetUp() override {
        const auto file =
            attestation::testing::corpus() / "trustee/vtpm" / "az-snp-vtpm__evidence-v1.json";
        if (!std::filesystem::exists(file)) GTEST_SKIP() << "skipped: no corpus (EOS_EVIDENCE_DIR)";
        evidence_ = attestation::evidence::parse_azure_vtpm(attestation::testing::read_file(file));
    }
    appraise::AttestationResult judge(const verify::TpmDemands& demands) const {
        appraise::Policy policy;
        policy.allow_any_identity = true;
        policy.tees = {"snp"};
        policy.roots = verify::Roots::amd();
        policy.bindings = {std::string(appraise::kBindingReportData)};
        policy.leaf_binding = appraise::LeafBindingRule::optional;
        policy.waivers = {"assurance", "crl.ark"};
        policy.snp.products = {snp_arch::Product::milan};
        const auto verified =
            verify_vtpm(evidence_.value(), demands,
                        {{}, policy.roots, parse_rfc3339("2025-06-01T00:00:00Z").value()});
        return appraise_foreign(verified, {}, policy);
    }

    Result<attestation::evidence::AzureVtpmEvidence> evidence_ = fail(bad_nonce);
};

TEST_F(VtpmVerdicts, TheHardwareDecidesAndTheTpmWithIt) {
    const auto result = judge({.nonce = to_bytes("challenge"), .pcrs = {}, .selected = {}});
    EXPECT_EQ(result.exit_code(), 0) << result.text();
    EXPECT_EQ(node(result, "tpm.nonce").verdict, verify::Verdict::pass);
    EXPECT_EQ(node(result, "hcl.report_data").verdict, verify::Verdict::pass);
    EXPECT_THAT(node(result, "binding.level").notes.front(), HasSubstr("the virtual TPM's key"));
}

TEST_F(VtpmVerdicts, WhatTheTpmShouldHaveSaidCounts) {
    const auto other = judge({.nonce = to_bytes("other"), .pcrs = {}, .selected = {}});
    EXPECT_EQ(other.exit_code(), appraise::kExitNotBound);
    EXPECT_THAT(other.summary(), HasSubstr("tpm.nonce"));
    const auto pcr = judge({.nonce = {}, .pcrs = {{4, crypto::Digest32{}}}, .selected = {}});
    EXPECT_EQ(pcr.exit_code(), appraise::kExitNotBound);
    EXPECT_THAT(pcr.summary(), HasSubstr("tpm.pcrs"));
}

TEST_F(VtpmVerdicts, RuntimeDataOfAnotherGuestIsNotBound) {
    evidence_->hcl.runtime_data.push_back(std::byte{' '});
    const auto result = judge({});
    EXPECT_EQ(result.exit_code(), appraise::kExitNotBound);
    EXPECT_EQ(node(result, "report_data").verdict, verify::Verdict::fail);
}

}  // namespace
}  // namespace eos::client
