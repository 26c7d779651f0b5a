// SPDX-License-Identifier: AGPL-3.0-only
#include "client/platform_needs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/files.h"
#include "common/attestation/verify/corpus_test.h"
#include "common/attestation/verify/synthetic_intel_test.h"
#include "common/ratls/foreign_constellation_test.h"
#include "common/ratls/foreign_leaf.h"

namespace eos::client {
namespace {

using attestation::endorsements::PieceKind;
using ::testing::ElementsAre;

/// A folder for one file.
class PlatformNeeds : public ::testing::Test {
  protected:
    void TearDown() override { std::filesystem::remove(file_); }
    Result<std::vector<Wanted>> needs_of(ByteView file,
                                         std::optional<snp_arch::Product> product = {}) const {
        EXPECT_TRUE(write_file(file_, file, {}).has_value());
        return needs_of_file(file_, product);
    }
    /// Of a certificate with this extension.
    Result<std::vector<Wanted>> needs_of(const oid::Oid& identifier, ByteView content,
                                         std::optional<snp_arch::Product> product = {}) const {
        const x509::Extension extension{identifier, x509::Critical::kNo, to_bytes(content)};
        return needs_of(ratls::testing::certificate({extension}).der(), product);
    }
    static std::vector<PieceKind> kinds(const std::vector<Wanted>& needs) {
        std::vector<PieceKind> out;
        for (const Wanted& one : needs) out.push_back(one.kind);
        return out;
    }

    const std::filesystem::path file_ =
        std::filesystem::path(::testing::TempDir()) / "platform-needs";
};

TEST_F(PlatformNeeds, AreReadFromAQuoteWhateverCarriesIt) {
    attestation::testing::SyntheticIntel intel;
    const auto needs = needs_of(intel.quote());
    ASSERT_TRUE(needs.has_value()) << needs.error().message();
    EXPECT_THAT(kinds(*needs), ElementsAre(PieceKind::sgx_tcb_info, PieceKind::sgx_qe_identity,
                                           PieceKind::intel_pck_crl, PieceKind::intel_root_crl));
    EXPECT_EQ(needs_of(oid::kGramineLegacy, intel.quote()).value(), *needs);
    const json::Value document{{"RawQuote", base64(intel.quote())},
                               {"UserData", base64(ratls::testing::key_hash())}};
    EXPECT_EQ(needs_of(oid::kConstellationQemuTdx, to_bytes(json::compact(document))).value(),
              *needs);
}

TEST_F(PlatformNeeds, NobodyKnowsOfACertificateWithoutReadableEvidence) {
    EXPECT_EQ(needs_of(ratls::testing::certificate({}).der()).error().code(), no_platform);
    EXPECT_EQ(needs_of(oid::kConstellationGcpEs, to_bytes("{}")).error().code(),
              ratls::refused_variant);
    EXPECT_EQ(needs_of(oid::kConstellationGcpSnp, to_bytes("{}")).error().code(),
              ratls::bad_foreign_leaf);
    EXPECT_EQ(needs_of(oid::kOeReport, to_bytes("?")).error().code(), ratls::bad_foreign_leaf);
}

/// A real report and its VCEK.
class ReportNeeds : public PlatformNeeds {
  protected:
    void SetUp() override {
        const auto file =
            attestation::testing::corpus() / "trustee/vtpm" / "az-snp-vtpm__evidence-v1.json";
        if (!std::filesystem::exists(file)) GTEST_SKIP() << "skipped: no corpus (EOS_EVIDENCE_DIR)";
        azure_ =
            attestation::evidence::parse_azure_vtpm(attestation::testing::read_file(file)).value();
    }
    /// As Constellation at Google has it, with this signer.
    Bytes document(ByteView signer) const {
        const json::Value info{{"ReportSigner", base64(signer)},
                               {"AttestationReport", base64(azure_->hcl.hardware_report)}};
        return to_bytes(json::compact({{"Attestation", ""},
                                       {"InstanceInfo", base64(as_bytes(json::compact(info)))},
                                       {"UserData", base64(ratls::testing::key_hash())}}));
    }

    std::optional<attestation::evidence::AzureVtpmEvidence> azure_;
};

TEST_F(ReportNeeds, TheKeyBesideAReportIsNotAskedFor) {
    const oid::Oid google = oid::kConstellationGcpSnp;
    const auto with_key = needs_of(google, document(azure_->certificates.front()));
    ASSERT_TRUE(with_key.has_value()) << with_key.error().message();
    EXPECT_THAT(kinds(*with_key), ElementsAre(PieceKind::amd_vcek_issuers, PieceKind::amd_crl));
    EXPECT_EQ(with_key->front().key, "milan");
    const auto without = needs_of(google, document({}), snp_arch::Product::milan);
    EXPECT_THAT(kinds(without.value()),
                ElementsAre(PieceKind::amd_vcek_issuers, PieceKind::amd_crl, PieceKind::amd_vcek));
}

}  // namespace
}  // namespace eos::client
