// SPDX-License-Identifier: AGPL-3.0-only
// No certificate of Constellation's has been published: these are made here, over synthetic TDX
// evidence and over real SNP evidence that was made for something else. SNP evidence that fits is
// in emulation/snp/snp_constellation_test.cpp.
#include "common/ratls/foreign_constellation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/attestation/verify/corpus_test.h"
#include "common/attestation/verify/synthetic_intel_test.h"
#include "common/ratls/foreign_constellation_test.h"
#include "common/ratls/leaf.h"

namespace eos::ratls {
namespace {

using attestation::testing::corpus;
using attestation::testing::kNow;
using attestation::testing::SyntheticIntel;
using attestation::verify::Verdict;
using attestation::verify::VtpmVerification;
using testing::bound;
using testing::certificate;
using ::testing::ElementsAre;
using testing::fake_tpm;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::key_hash;
using testing::leaf_key;
using testing::read;
using testing::report_data;
using testing::the_nonce;

using Ids = std::vector<std::string>;

/// A trust domain whose quotes have this report data.
SyntheticIntel trust_domain(const ByteArray<64>& report_data) {
    SyntheticIntel intel;
    intel.make_tdx(attestation::evidence::TdReportKind::tdx10);
    intel.td->report_data = report_data;
    return intel;
}

std::string qemu_document(const Bytes& quote) {
    return json::compact({{"RawQuote", base64(quote)}, {"UserData", base64(key_hash())}});
}

VtpmVerification run(const SyntheticIntel& intel, const oid::Oid& variant,
                     std::string_view document,
                     const std::optional<ConstellationNonce>& nonce = the_nonce()) {
    Result<ConstellationLeaf> leaf = read(variant, document);
    EXPECT_TRUE(leaf.has_value()) << leaf.error().message();
    return verify_constellation_leaf(*leaf, intel.endorsements(), intel.roots(), nonce, kNow);
}

Ids failures(const VtpmVerification& verification) {
    Ids out = summarise(verification.tree).failed;
    EXPECT_EQ(verification.is_genuine, out.empty());
    return out;
}

Ids qemu_failures(const SyntheticIntel& intel,
                  const std::optional<ConstellationNonce>& nonce = the_nonce()) {
    return failures(run(intel, oid::kConstellationQemuTdx, qemu_document(intel.quote()), nonce));
}

Code refusal(const oid::Oid& variant, std::string_view document) {
    Result<ConstellationLeaf> leaf = read(variant, document);
    return leaf.has_value() ? Code{} : leaf.error().code();
}

TEST(Constellation, QuoteBindsKeyAndNonce) {
    const SyntheticIntel intel = trust_domain(report_data(bound()));
    const VtpmVerification verification =
        run(intel, oid::kConstellationQemuTdx, qemu_document(intel.quote()));
    EXPECT_THAT(failures(verification), IsEmpty()) << render_text(verification.tree);
    EXPECT_EQ(summarise(verification.tree).verdict, Verdict::pass);
    EXPECT_EQ(find_check(verification.tree, "report_data")->verdict, Verdict::pass);
    EXPECT_NE(verification.hardware->evidence(), nullptr);
}

TEST(Constellation, QuoteForAnotherKeyOrNonceFails) {
    const SyntheticIntel good = trust_domain(report_data(bound()));
    ConstellationNonce other = the_nonce();
    other[31] ^= std::byte{1};
    EXPECT_THAT(qemu_failures(good, other), ElementsAre("report_data"));
    const crypto::Digest32 stranger = crypto::sha256(as_bytes("another key"));
    for (const crypto::Digest32& digest :
         {crypto::sha256({the_nonce(), key_hash()}), crypto::sha256({key_hash()}), key_hash(),
          crypto::sha256({stranger, the_nonce()})}) {
        EXPECT_THAT(qemu_failures(trust_domain(report_data(digest))), ElementsAre("report_data"));
    }
    // All 64 bytes count.
    ByteArray<64> longer = report_data(bound());
    longer[63] = std::byte{1};
    EXPECT_THAT(qemu_failures(trust_domain(longer)), ElementsAre("report_data"));
}

TEST(Constellation, WithoutTheNonceNothingIsBound) {
    const SyntheticIntel intel = trust_domain(report_data(bound()));
    const VtpmVerification verification =
        run(intel, oid::kConstellationQemuTdx, qemu_document(intel.quote()), std::nullopt);
    EXPECT_THAT(failures(verification), ElementsAre("nonce"));
    EXPECT_EQ(find_check(verification.tree, "report_data")->verdict, Verdict::not_evaluated);
    EXPECT_THAT(find_check(verification.tree, "nonce")->remedy, HasSubstr("connect anew"));
}

TEST(Constellation, EvidenceIsVerifiedAndOfTheVariantsKind) {
    SyntheticIntel altered = trust_domain(report_data(bound()));
    altered.alter_quote = [](Bytes& quote) { quote[100] ^= std::byte{1}; };
    EXPECT_THAT(qemu_failures(altered), ElementsAre("quote.signature"));
    // An enclave is no trust domain, whatever it says.
    SyntheticIntel enclave;
    enclave.report.report_data = report_data(bound());
    EXPECT_THAT(qemu_failures(enclave), ElementsAre("report_data"));
    EXPECT_THAT(failures(run(altered, oid::kConstellationQemuTdx, qemu_document({}))),
                ElementsAre("quote.syntax"));
}

TEST(Constellation, DocumentsAreReadStrictly) {
    const oid::Oid variant = oid::kConstellationQemuTdx;
    const std::string key = base64(key_hash());
    EXPECT_EQ(refusal(variant, qemu_document({})), Code{});
    const std::string another = base64(crypto::sha256(as_bytes("another key")));
    for (const std::string& document :
         {std::string(), std::string("null"), std::string("[]"), std::string("{}"),
          R"({"RawQuote":"","UserData":")" + another + R"("})",
          R"({"RawQuote":"","UserData":""})" + std::string(),
          R"({"RawQuote":"","UserData":")" + key + R"(","Nonce":""})",
          R"({"RawQuote":"","RawQuote":"","UserData":")" + key + R"("})",
          R"({"rawQuote":"","UserData":")" + key + R"("})",
          R"({"RawQuote":null,"UserData":")" + key + R"("})",
          R"({"RawQuote":"AA","UserData":")" + key + R"("})",
          R"({"RawQuote":"AB==","UserData":")" + key + R"("})", qemu_document({}) + "{}"}) {
        EXPECT_EQ(refusal(variant, document), bad_foreign_leaf) << document;
    }
    for (const oid::Oid& azure :
         {oid::kConstellationAzureTdx, oid::kConstellationAzureSnp, oid::kConstellationGcpSnp}) {
        EXPECT_EQ(refusal(azure, qemu_document({})), bad_foreign_leaf);
    }
}

TEST(Constellation, OtherVariantsAreRefusedByName) {
    for (const auto& [oid, name] :
         {std::pair{oid::kConstellationDummy, "dummy"},
          std::pair{oid::kConstellationAwsNitroTpm, "aws_nitro_tpm (1.3.9900.2.1): not read: only"},
          std::pair{oid::kConstellationAwsSnp, "aws_sev_snp"},
          std::pair{oid::kConstellationGcpEs, "gcp_sev_es"},
          std::pair{oid::kConstellationAzureLaunch, "azure_trustedlaunch"},
          std::pair{oid::kConstellationQemuTpm, "qemu_vtpm"},
          std::pair{oid::kConstellationArc.child(4).child(9), "1.3.9900.4.9: not known"},
          std::pair{oid::kConstellationQemuTdx.child(1), "1.3.9900.5.99.1: not known"}}) {
        Result<ConstellationLeaf> leaf = read(oid, qemu_document({}));
        ASSERT_FALSE(leaf.has_value()) << name;
        EXPECT_EQ(leaf.error().code(), refused_variant);
        EXPECT_THAT(leaf.error().message(), HasSubstr(name));
    }
}

// Our own numbers begin with 1.3.9900 as well.
TEST(Constellation, IsNeverTakenForOurs) {
    for (const oid::Oid& ours :
         {oid::kOwnArc, oid::kLeafBinding, oid::kAssurance, oid::kOwnArc.child(99),
          oid::kConstellationArc, oid::kConstellationArc.child(5),
          oid::kConstellationArc.child(6).child(1)}) {
        EXPECT_EQ(refusal(ours, qemu_document({})), no_foreign_evidence) << ours.dotted();
    }
    const x509::Certificate foreign = certificate(
        {{oid::kConstellationQemuTdx, x509::Critical::kNo, to_bytes(qemu_document({}))}});
    for (LeafScheme scheme : {LeafScheme::kV1, LeafScheme::kV2}) {
        const LeafClaimsView claims = read_leaf(foreign, scheme).value();
        EXPECT_FALSE(claims.evidence.has_value());
        EXPECT_FALSE(claims.policy_root || claims.instance || claims.assurance);
        EXPECT_THAT(claims.values, IsEmpty());
    }
    EXPECT_EQ(check_leaf_binding(foreign).error().code(), leaf_binding_missing);
    EXPECT_EQ(read_foreign_leaf(foreign).error().code(), no_foreign_evidence);
}

TEST(Constellation, OneExtensionHasTheEvidence) {
    const Bytes document = to_bytes(qemu_document({}));
    const x509::Extension good{oid::kConstellationQemuTdx, x509::Critical::kNo, document};
    for (const oid::Oid& second :
         {oid::kConstellationQemuTpm, oid::kConstellationAzureTdx, oid::kGramineLegacy}) {
        const auto leaf =
            read_constellation_leaf(certificate({good, {second, x509::Critical::kNo, document}}));
        ASSERT_FALSE(leaf.has_value()) << second.dotted();
        EXPECT_EQ(leaf.error().code(), bad_foreign_leaf);
    }
}

/// A guest on Azure with TDX, where the TPM binds the key.
struct AzureTdx {
    AzureTdx() {
        intel = trust_domain(report_data(crypto::sha256(as_bytes(fake_tpm().runtime_data()))));
        Bytes quote = intel.quote();
        quote.resize(quote.size() + 100);  // as Azure's service pads it
        info = {{"AttestationReport", base64(quote)},
                {"RuntimeData", base64(as_bytes(fake_tpm().runtime_data()))}};
        document = fake_tpm().document(info);
    }

    VtpmVerification verify(const std::optional<ConstellationNonce>& nonce = the_nonce()) const {
        return run(intel, oid::kConstellationAzureTdx, json::compact(document), nonce);
    }
    Code refusal() const {
        return ratls::refusal(oid::kConstellationAzureTdx, json::compact(document));
    }
    json::Value& quote() { return document["Attestation"]["quotes"][1]; }

    SyntheticIntel intel;
    json::Value info;
    json::Value document;
};

TEST(Constellation, TpmOnAzureBindsKeyAndNonce) {
    const AzureTdx azure;
    const VtpmVerification verification = azure.verify();
    EXPECT_THAT(failures(verification), IsEmpty()) << render_text(verification.tree);
    EXPECT_EQ(find_check(verification.tree, "tpm.nonce")->verdict, Verdict::pass);
    EXPECT_THAT(failures(azure.verify(std::nullopt)), ElementsAre("nonce"));
    ConstellationNonce other = the_nonce();
    other[0] ^= std::byte{1};
    EXPECT_THAT(failures(azure.verify(other)), ElementsAre("tpm.nonce"));
}

TEST(Constellation, EveryLinkOfAzuresChainCounts) {
    AzureTdx altered;
    altered.document["InstanceInfo"] = base64(as_bytes(json::compact(altered.info) + " "));
    EXPECT_THAT(failures(altered.verify()), ElementsAre("tpm.nonce"));

    altered = AzureTdx();
    altered.quote()["pcrs"]["pcrs"]["7"] = base64(key_hash());
    EXPECT_THAT(failures(altered.verify()), ElementsAre("tpm.pcr_digest"));

    // The key of another TPM: it signed, but the hardware does not vouch for it.
    const testing::FakeTpm other;
    altered = AzureTdx();
    altered.info["RuntimeData"] = base64(as_bytes(other.runtime_data()));
    altered.document = other.document(altered.info);
    EXPECT_THAT(failures(altered.verify()), ElementsAre("hcl.report_data", "hcl.td_report"));
    altered = AzureTdx();
    altered.document = other.document(altered.info);
    EXPECT_THAT(failures(altered.verify()), ElementsAre("tpm.signature"));
}

TEST(Constellation, TpmDocumentsAreReadStrictly) {
    using Alter = void (*)(AzureTdx&);
    for (Alter alter : std::initializer_list<Alter>{
             [](AzureTdx& a) { a.document.erase("Attestation"); },
             [](AzureTdx& a) { a.document["Nonce"] = ""; },
             [](AzureTdx& a) { a.document["InstanceInfo"] = ""; },
             [](AzureTdx& a) { a.document["InstanceInfo"] = base64(as_bytes("{}")); },
             [](AzureTdx& a) { a.document["Attestation"]["quotes"].erase(1); },
             [](AzureTdx& a) { a.document["Attestation"]["quotes"].push_back(a.quote()); },
             [](AzureTdx& a) { a.quote()["pcrs"]["pcrs"].erase("23"); },
             [](AzureTdx& a) { a.quote()["pcrs"]["pcrs"]["24"] = base64(key_hash()); },
             [](AzureTdx& a) { a.quote()["pcrs"]["pcrs"]["0"] = ""; },
             [](AzureTdx& a) { a.quote()["pcrs"]["hash"] = "11"; },
             [](AzureTdx& a) { a.quote()["quote"] = ""; },
             [](AzureTdx& a) { a.quote()["raw_sig"] = "ABQADAAA"; },  // SHA-384
             [](AzureTdx& a) { a.quote()["raw_sig"] = "ABQACwAB"; },  // a byte too few
             [](AzureTdx& a) { a.quote()["more"] = ""; }}) {
        AzureTdx azure;
        alter(azure);
        EXPECT_EQ(azure.refusal(), bad_foreign_leaf) << json::compact(azure.document);
    }
    AzureTdx more;
    more.info["Quote"] = "";
    more.document = fake_tpm().document(more.info);
    EXPECT_EQ(more.refusal(), bad_foreign_leaf);
}

/// A real report and quote of Azure's, in a document of Constellation's.
json::Value real_azure_document(json::Value& info) {
    const std::filesystem::path folder = corpus() / "trustee/vtpm";
    const auto file = [&](const char* name) {
        return attestation::testing::read_file(folder / name);
    };
    const auto hcl =
        attestation::evidence::parse_hcl_report(file("az-snp-vtpm__hcl-report.bin")).value();
    const auto quote =
        attestation::evidence::parse_azure_tpm_quote(file("az-snp-vtpm__tpm-quote-v1.json"))
            .value();
    info = {{"ReportSigner", base64(file("az-snp-vtpm__vcek.pem"))},
            {"CertChain", nullptr},
            {"AttestationReport", base64(hcl.hardware_report)},
            {"Azure", {{"RuntimeData", base64(hcl.runtime_data)}, {"MAAToken", ""}}},
            {"GCP", nullptr}};
    testing::FakeTpm tpm;
    std::ranges::copy(quote.pcrs, tpm.pcrs.begin());
    json::Value document = tpm.document(info);
    Writer signature;
    signature.u32be(0x0014000b).u16be(256).bytes(quote.signature);
    document["Attestation"]["quotes"][1]["quote"] = base64(quote.message);
    document["Attestation"]["quotes"][1]["raw_sig"] = base64(signature.view());
    return document;
}

TEST(Constellation, RealEvidenceForSomethingElseFailsAtTheBindingAlone) {
    if (!std::filesystem::exists(corpus() / "index.json")) {
        GTEST_SKIP() << "skipped: no corpus (EOS_EVIDENCE_DIR)";
    }
    json::Value info;
    const std::string document = json::compact(real_azure_document(info));
    const auto verify = [&](const oid::Oid& variant) {
        const ConstellationLeaf leaf = read(variant, document).value();
        return verify_constellation_leaf(leaf, {}, attestation::verify::Roots::amd(), the_nonce(),
                                         parse_rfc3339("2025-06-19T09:35:34Z").value());
    };
    EXPECT_THAT(failures(verify(oid::kConstellationAzureSnp)), ElementsAre("tpm.nonce"));
    EXPECT_THAT(failures(verify(oid::kConstellationGcpSnp)), ElementsAre("report_data"));
}

}  // namespace
}  // namespace eos::ratls
