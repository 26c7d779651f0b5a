// SPDX-License-Identifier: AGPL-3.0-only
#include "client/vtpm_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/files.h"
#include "client/testing.h"
#include "common/attestation/verify/corpus_test.h"

namespace eos::client {
namespace {

using attestation::evidence::bad_vtpm_evidence;
using ::testing::HasSubstr;

class VtpmPieces : public ::testing::Test {
  protected:
    void SetUp() override {
        folder_ = attestation::testing::corpus() / "trustee/vtpm";
        if (!std::filesystem::exists(folder_)) {
            GTEST_SKIP() << "skipped: no corpus (EOS_EVIDENCE_DIR)";
        }
    }
    Result<attestation::evidence::AzureVtpmEvidence> read(
        const std::vector<std::string>& names) const {
        std::vector<std::filesystem::path> files;
        for (const std::string& name : names) files.push_back(folder_ / name);
        return read_vtpm_files(files);
    }
    std::string refusal_of(const std::vector<std::string>& names) const {
        const auto out = read(names);
        if (out) return "";
        EXPECT_EQ(out.error().code(), bad_vtpm_evidence);
        return out.error().detail();
    }

    const std::string hcl_ = "az-snp-vtpm__hcl-report.bin";
    const std::string quote_ = "az-snp-vtpm__tpm-quote-v1.json";
    const std::string vcek_ = "az-snp-vtpm__vcek.pem";
    const std::string whole_ = "az-snp-vtpm__evidence-v1.json";
    std::filesystem::path folder_;
};

TEST_F(VtpmPieces, GoTogetherInAnyOrder) {
    for (const auto& names : {std::vector{hcl_, quote_, vcek_}, std::vector{vcek_, quote_, hcl_}}) {
        const auto out = read(names);
        ASSERT_TRUE(out.has_value()) << out.error().message();
        EXPECT_EQ(out->certificates.size(), 1u);
        EXPECT_FALSE(out->quote.signature.empty());
    }
    EXPECT_TRUE(read({whole_}).has_value());
    EXPECT_EQ(read({whole_, vcek_}).value().certificates.size(), 2u);
    EXPECT_TRUE(read({"az-tdx-vtpm__evidence-v1.json"}).has_value());
}

TEST_F(VtpmPieces, WhatIsMissingOrTooMuchIsNamed) {
    EXPECT_EQ(refusal_of({hcl_}), "no TPM quote");
    EXPECT_EQ(refusal_of({quote_, vcek_}), "no HCL report");
    EXPECT_THAT(refusal_of({hcl_, quote_, quote_}), HasSubstr("a second TPM quote"));
    EXPECT_THAT(refusal_of({hcl_, hcl_}), HasSubstr(hcl_ + ": a second HCL report"));
    EXPECT_THAT(refusal_of({whole_, whole_}), HasSubstr("a second JSON object"));
    EXPECT_THAT(refusal_of({whole_, hcl_}), HasSubstr("only certificates go with it"));
    const TestFolder own;
    ASSERT_TRUE(write_file(own / "note", as_bytes(std::string_view("a note")), {}).has_value());
    EXPECT_THAT(refusal_of({hcl_, quote_, (own / "note").string()}), HasSubstr("neither an HCL"));
    EXPECT_THAT(refusal_of({"az-tdx-vtpm__hcl-report.bin", quote_}), HasSubstr("no TD quote"));
    EXPECT_EQ(read({"gone"}).error().code(), file_unreadable);
}

TEST_F(VtpmPieces, AQuoteThatNothingVouchesForIsSaidToBeOne) {
    const auto out = read({"tpm_evidence.json"});
    ASSERT_FALSE(out.has_value());
    EXPECT_EQ(out.error().code(), tpm_alone);
    EXPECT_THAT(out.error().detail(), HasSubstr("evidence show"));
    EXPECT_TRUE(is_plain_tpm(attestation::testing::read_file(folder_ / "tpm_evidence.json")));
    EXPECT_FALSE(is_plain_tpm(attestation::testing::read_file(folder_ / whole_)));
}

TEST(VtpmFile, IsToldByItsBeginning) {
    const auto is_one = [](std::string_view text) { return is_vtpm_file(as_bytes(text)); };
    EXPECT_TRUE(is_one("{}"));
    EXPECT_TRUE(is_one(" \n{"));
    EXPECT_TRUE(is_one("HCLA\1"));
    EXPECT_FALSE(is_one(""));
    EXPECT_FALSE(is_one("-----BEGIN CERTIFICATE-----"));
    EXPECT_FALSE(is_one("0\x82"));
    EXPECT_FALSE(is_one("[{}]"));
    EXPECT_FALSE(is_plain_tpm(as_bytes(std::string_view("{\"ak_public\""))));
}

}  // namespace
}  // namespace eos::client
