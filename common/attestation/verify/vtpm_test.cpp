// SPDX-License-Identifier: AGPL-3.0-only
// Evidence of virtual TPMs that others published, and its twins: NEGATIVE-MUTATIONS, 9.
#include "common/attestation/verify/vtpm.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/attestation/verify/corpus_test.h"
#include "common/base/encoding.h"

namespace eos::attestation::verify {
namespace {

using evidence::AzureVtpmEvidence;
using ::testing::Contains;
using testing::corpus;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::read_file;

class Vtpm : public ::testing::Test {
  protected:
    void SetUp() override {
        if (!std::filesystem::exists(corpus() / "index.json")) {
            GTEST_SKIP() << "skipped: no corpus (EOS_EVIDENCE_DIR)";
        }
    }

    static Bytes file(const char* name) { return read_file(corpus() / "trustee/vtpm" / name); }
    static AzureVtpmEvidence azure(const char* name = "az-snp-vtpm__evidence-v1.json") {
        Result<AzureVtpmEvidence> out = evidence::parse_azure_vtpm(file(name));
        EXPECT_TRUE(out.has_value()) << out.error().message();
        return *std::move(out);
    }
    static VtpmVerification run(const AzureVtpmEvidence& evidence, const TpmDemands& demands = {}) {
        const UnixTime time = parse_rfc3339("2025-06-19T09:35:34Z").value();
        return verify_azure_vtpm(evidence, {}, Roots::of({Vendor::intel, Vendor::amd}), demands,
                                 time);
    }
    static std::vector<std::string> failures(const AzureVtpmEvidence& evidence,
                                             const TpmDemands& demands = {}) {
        VtpmVerification verification = run(evidence, demands);
        EXPECT_EQ(verification.is_genuine, summarise(verification.tree).failed.empty());
        return summarise(verification.tree).failed;
    }
};

TEST_F(Vtpm, AzureEvidenceIsGenuine) {
    TpmDemands challenge{.nonce = to_bytes("challenge"), .pcrs = {}, .selected = {0, 7, 23}};
    EXPECT_THAT(failures(azure(), challenge), IsEmpty());
    EXPECT_THAT(failures(azure("az-tdx-vtpm__evidence-v1.json"), challenge), IsEmpty());
    // Version 2: the nonce stands in the runtime data as well.
    AzureVtpmEvidence second = azure("az-snp-vtpm__evidence-v2.json");
    TpmDemands own{.nonce = second.quote.attest.extra_data, .pcrs = {}, .selected = {}};
    EXPECT_EQ(own.nonce->size(), 48u);
    EXPECT_TRUE(equal(*own.nonce, ByteView(second.hcl.user_data).first(48)));
    EXPECT_THAT(failures(second, own), IsEmpty());
}

TEST_F(Vtpm, PiecesGiveTheSame) {
    AzureVtpmEvidence out{
        .hcl = evidence::parse_hcl_report(file("az-snp-vtpm__hcl-report.bin")).value(),
        .quote = evidence::parse_azure_tpm_quote(file("az-snp-vtpm__tpm-quote-v1.json")).value(),
        .certificates = {file("az-snp-vtpm__vcek.pem")},
        .td_quote = {}};
    EXPECT_THAT(failures(out), IsEmpty());
    const VtpmVerification verification = run(out);
    const auto& claims = std::get<SnpClaims>(verification.hardware->evidence()->claims());
    EXPECT_EQ(claims.report.version, 2u);
}

// V01.
TEST_F(Vtpm, TheKeyOfAnotherGuestDidNotSign) {
    AzureVtpmEvidence mixed = azure();
    mixed.quote = azure("az-snp-vtpm__evidence-v2.json").quote;
    EXPECT_THAT(failures(mixed), ElementsAre("tpm.signature"));
    // And the whole HCL report of another guest: then the hardware does not vouch for the key.
    mixed = azure();
    AzureVtpmEvidence other = azure("az-snp-vtpm__evidence-v2.json");
    mixed.hcl.runtime_data = other.hcl.runtime_data;
    mixed.hcl.attestation_key = other.hcl.attestation_key;
    mixed.quote = other.quote;
    EXPECT_THAT(failures(mixed), ElementsAre("hcl.report_data"));
}

// V02.
TEST_F(Vtpm, EveryByteOfTheRuntimeDataIsBound) {
    AzureVtpmEvidence altered = azure();
    altered.hcl.runtime_data.back() = std::byte{' '};
    EXPECT_THAT(failures(altered), ElementsAre("hcl.report_data"));
    // TDX: the quote binds it, and the TD report beside is the quote's.
    altered = azure("az-tdx-vtpm__evidence-v1.json");
    altered.hcl.hardware_report[128] ^= std::byte{1};
    EXPECT_THAT(failures(altered), ElementsAre("hcl.td_report"));
    altered.hcl.runtime_data[5] ^= std::byte{1};
    EXPECT_THAT(failures(altered), ElementsAre("hcl.report_data", "hcl.td_report"));
}

// V03, V05, and demands that are not met.
TEST_F(Vtpm, PcrsAndNonceMustBeThoseOfTheQuote) {
    AzureVtpmEvidence altered = azure();
    altered.quote.pcrs[4][0] ^= std::byte{1};
    EXPECT_THAT(failures(altered), ElementsAre("tpm.pcr_digest"));
    for (const char* nonce : {"challengf", "challeng", "challenge1", ""}) {
        TpmDemands demands{.nonce = to_bytes(nonce), .pcrs = {}, .selected = {}};
        EXPECT_THAT(failures(azure(), demands), ElementsAre("tpm.nonce")) << nonce;
    }
    TpmDemands demands;
    demands.pcrs[4] = azure().quote.pcrs[4];
    EXPECT_THAT(failures(azure(), demands), IsEmpty());
    demands.pcrs[4][31] ^= std::byte{1};
    EXPECT_THAT(failures(azure(), demands), ElementsAre("tpm.pcrs"));
}

/// The message of a quote with one change; the signature then no longer fits, which is not what is
/// looked at here.
Result<evidence::TpmAttest> altered_attest(std::size_t at, std::byte value) {
    Bytes message = evidence::parse_azure_vtpm(
                        read_file(corpus() / "trustee/vtpm/az-snp-vtpm__evidence-v1.json"))
                        ->quote.message;
    EXPECT_LT(at, message.size());
    message[at] = value;
    return evidence::parse_tpm_attest(message);
}

// V04, V06: selection, bank, magic, type.
TEST_F(Vtpm, QuotesAreParsedStrictly) {
    const Bytes message = azure().quote.message;
    const std::size_t selection = message.size() - 34 - 10;  // count, bank, size, bits
    EXPECT_EQ(altered_attest(0, std::byte{0xfe}).error().code(), evidence::bad_tpm_quote);
    EXPECT_EQ(altered_attest(5, std::byte{0x17}).error().code(), evidence::bad_tpm_quote);
    EXPECT_EQ(altered_attest(selection + 3, std::byte{2}).error().code(), evidence::bad_tpm_quote);
    EXPECT_EQ(altered_attest(selection + 5, std::byte{4}).error().code(), evidence::bad_tpm_quote);
    EXPECT_EQ(altered_attest(selection + 6, std::byte{2}).error().code(), evidence::bad_tpm_quote);
    for (std::size_t size = 0; size < message.size(); ++size) {
        EXPECT_EQ(evidence::parse_tpm_attest(ByteView(message).first(size)).error().code(),
                  evidence::bad_tpm_quote);
    }
    Bytes longer = message;
    longer.push_back({});
    EXPECT_EQ(evidence::parse_tpm_attest(longer).error().code(), evidence::bad_tpm_quote);

    AzureVtpmEvidence narrow = azure();
    narrow.quote.attest = altered_attest(selection + 7, std::byte{0xfe}).value();  // not PCR 0
    TpmDemands demands{.nonce = {}, .pcrs = {}, .selected = {0}};
    EXPECT_THAT(failures(narrow, demands), Contains("tpm.selection"));
}

// V07.
TEST_F(Vtpm, HclReportsAreParsedStrictly) {
    const Bytes good = file("az-snp-vtpm__hcl-report.bin");
    ASSERT_TRUE(evidence::parse_hcl_report(good).has_value());
    const std::size_t used = 0x92a;
    for (std::size_t size = 0; size < used; size += 7) {
        EXPECT_FALSE(evidence::parse_hcl_report(ByteView(good).first(size)).has_value()) << size;
    }
    EXPECT_TRUE(evidence::parse_hcl_report(ByteView(good).first(used)).has_value());
    // Magic, version, counted size, request, reserved; then sizes, version, kind, hash.
    for (std::size_t at : {0, 4, 8, 11, 12, 20, 1216, 1219, 1220, 1224, 1228, 1232, 1235}) {
        for (std::byte value : {std::byte{0x7f}, std::byte{0xff}}) {
            Bytes altered = good;
            altered[at] ^= value;
            EXPECT_EQ(evidence::parse_hcl_report(altered).error().code(), evidence::bad_hcl_report)
                << at;
        }
    }
    Bytes longer = good;
    longer[used] = std::byte{1};
    EXPECT_EQ(evidence::parse_hcl_report(longer).error().code(), evidence::bad_hcl_report);
}

TEST_F(Vtpm, APlainTpmSaysOnlyThatItsKeySigned) {
    evidence::PlainTpmEvidence plain = evidence::parse_plain_tpm(file("tpm_evidence.json")).value();
    VtpmVerification verification = verify_plain_tpm(plain, {});
    EXPECT_THAT(summarise(verification.tree).failed, IsEmpty()) << render_text(verification.tree);
    EXPECT_EQ(find_check(verification.tree, "tpm.endorsement")->verdict, Verdict::not_evaluated);
    EXPECT_FALSE(verification.hardware.has_value());
    plain.quote.message.back() ^= std::byte{1};
    EXPECT_THAT(summarise(verify_plain_tpm(plain, {}).tree).failed, Contains("tpm.signature"));
}

}  // namespace
}  // namespace eos::attestation::verify
