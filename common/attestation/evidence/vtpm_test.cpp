// SPDX-License-Identifier: AGPL-3.0-only
// Both ways to write Azure's evidence, over reports that no hardware made.
#include "common/attestation/evidence/vtpm.h"

#include <gtest/gtest.h>

#include "common/attestation/evidence/quote.h"
#include "common/base/codec.h"
#include "common/base/encoding.h"
#include "common/json/json.h"

namespace eos::attestation::evidence {
namespace {

constexpr std::size_t kHclBytes = 2600;  // as much as the TPM keeps

Bytes hcl(HclHardware hardware) {
    const json::Value key = {{"kid", "HCLAkPub"},
                             {"kty", "RSA"},
                             {"e", "AQAB"},
                             {"n", base64url(Bytes(256, std::byte{0xc1}))}};
    const std::string text = json::compact({{"keys", json::Value::array({key})}});
    const auto size = static_cast<std::uint32_t>(text.size());
    Writer out;
    out.text("HCLA").u32le(2).u32le(32 + 1184 + 20 + size).u32le(2).zeros(16 + 1184);
    out.u32le(20 + size).u32le(1).u32le(static_cast<std::uint32_t>(hardware)).u32le(1).u32le(size);
    out.text(text);
    Bytes bytes = std::move(out).take();
    bytes.resize(kHclBytes);
    return bytes;
}

Bytes attest() {
    Writer out;
    out.u32be(0xff544347).u16be(0x8018).u16be(2).u16be(0x000b).u16be(5).text("nonce").zeros(8);
    out.zeros(4 + 4).u8(1).zeros(8).u32be(1).u16be(0x000b).u8(3).u8(0xff).u8(0xff).u8(0xff);
    out.u16be(32).bytes(Bytes(32, std::byte{0x21}));
    return std::move(out).take();
}

Bytes pcr(std::size_t index) {
    return Bytes(32, static_cast<std::byte>(index));
}

json::Value numbers(ByteView bytes) {
    json::Value out = json::Value::array();
    for (std::byte byte : bytes) out.push_back(std::to_integer<unsigned>(byte));
    return out;
}

json::Value quote_in_numbers() {
    json::Value pcrs = json::Value::array();
    for (std::size_t i = 0; i < kPcrCount; ++i) pcrs.push_back(numbers(pcr(i)));
    return {{"message", numbers(attest())},
            {"signature", numbers(Bytes(256, std::byte{0x99}))},
            {"pcrs", pcrs}};
}

json::Value quote_in_hex() {
    json::Value pcrs = json::Value::array();
    for (std::size_t i = 0; i < kPcrCount; ++i) pcrs.push_back(hex(pcr(i)));
    return {{"message", hex(attest())},
            {"signature", hex(Bytes(256, std::byte{0x99}))},
            {"pcrs", pcrs}};
}

constexpr std::string_view kPem = "-----BEGIN CERTIFICATE-----\n";

json::Value snp_in_numbers() {
    return {{"report", numbers(hcl(HclHardware::snp_report))},
            {"quote", quote_in_numbers()},
            {"vcek", kPem}};
}

json::Value tdx_in_numbers() {
    return {{"hcl_report", numbers(hcl(HclHardware::td_report))},
            {"tpm_quote", quote_in_numbers()},
            {"td_quote", numbers(to_bytes("no quote, and all of it stays"))}};
}

Result<AzureVtpmEvidence> parsed(const json::Value& value) {
    return parse_azure_vtpm(as_bytes(json::compact(value)));
}

std::string code_of(const json::Value& value) {
    Result<AzureVtpmEvidence> out = parsed(value);
    return out ? "accepted" : std::string(out.error().code().name);
}

void expect_quote(const TpmQuote& quote) {
    EXPECT_EQ(quote.message, attest());
    EXPECT_EQ(quote.attest.extra_data, to_bytes("nonce"));
    EXPECT_EQ(quote.signature, Bytes(256, std::byte{0x99}));
    ASSERT_EQ(quote.pcrs.size(), kPcrCount);
    for (std::size_t i = 0; i < kPcrCount; ++i) EXPECT_TRUE(equal(quote.pcrs[i], pcr(i))) << i;
}

TEST(AzureVtpm, NumbersAndTextSayTheSame) {
    const Result<AzureVtpmEvidence> old = parsed(snp_in_numbers());
    ASSERT_TRUE(old.has_value()) << old.error().message();
    const Result<AzureVtpmEvidence> first =
        parsed({{"version", 1},
                {"hcl_report", base64url(hcl(HclHardware::snp_report))},
                {"tpm_quote", quote_in_hex()},
                {"vcek", base64url(as_bytes(kPem))}});
    ASSERT_TRUE(first.has_value()) << first.error().message();
    for (const AzureVtpmEvidence* one : {&*old, &*first}) {
        expect_quote(one->quote);
        EXPECT_EQ(one->hcl.hardware, HclHardware::snp_report);
        ASSERT_EQ(one->certificates.size(), 1u);
        EXPECT_EQ(one->certificates[0], to_bytes(kPem));
        EXPECT_TRUE(one->td_quote.empty());
    }
    EXPECT_EQ(old->hcl.runtime_data, first->hcl.runtime_data);

    const Result<AzureVtpmEvidence> tdx = parsed(tdx_in_numbers());
    ASSERT_TRUE(tdx.has_value()) << tdx.error().message();
    expect_quote(tdx->quote);
    EXPECT_EQ(tdx->hcl.hardware, HclHardware::td_report);
    EXPECT_EQ(tdx->td_quote, to_bytes("no quote, and all of it stays"));
    EXPECT_TRUE(tdx->certificates.empty());

    for (const json::Value& quote : {quote_in_numbers(), quote_in_hex()}) {
        const Result<TpmQuote> alone = parse_azure_tpm_quote(as_bytes(json::compact(quote)));
        ASSERT_TRUE(alone.has_value()) << alone.error().message();
        expect_quote(*alone);
    }
}

TEST(AzureVtpm, NumbersAreReadStrictly) {
    struct Case {
        const char* where;  // a JSON pointer into the evidence
        json::Value value;
        const char* code;
    };
    const json::Value short_pcr = numbers(Bytes(31));
    const std::vector<Case> cases{
        {"/report/0", 256, "out_of_range"},
        {"/report/0", -1, "out_of_range"},
        {"/report/0", 72.0, "out_of_range"},
        {"/report/0", "72", "wrong_type"},
        {"/report/0", 71, "bad_hcl_report"},
        {"/report", base64url(hcl(HclHardware::snp_report)), "wrong_type"},
        {"/report", numbers(hcl(HclHardware::td_report)), "bad_vtpm_evidence"},
        {"/quote/message/0", 0, "bad_tpm_quote"},
        {"/quote/message", hex(attest()), "wrong_type"},
        {"/quote/signature", hex(attest()), "wrong_type"},
        {"/quote/pcrs/23", short_pcr, "bad_vtpm_evidence"},
        {"/quote/pcrs/0", hex(pcr(0)), "wrong_type"},
        {"/quote/more", 1, "unknown_member"},
        {"/more", 1, "unknown_member"},
        {"/hcl_report", 1, "unknown_member"},
        {"/vcek", numbers(as_bytes(kPem)), "wrong_type"},
        {"/td_quote", json::Value::array(), "missing_member"},
        {"/version", 0, "bad_vtpm_evidence"},
        {"/version", 1, "missing_member"},
        {"/version", 3, "bad_vtpm_evidence"}};
    for (const Case& one : cases) {
        json::Value altered = snp_in_numbers();
        altered[json::Value::json_pointer(one.where)] = one.value;
        EXPECT_EQ(code_of(altered), one.code) << one.where << ": " << one.value.dump();
    }
    for (const char* name : {"report", "quote", "vcek"}) {
        json::Value altered = snp_in_numbers();
        altered.erase(name);
        EXPECT_EQ(code_of(altered), "missing_member") << name;
    }
    json::Value few = snp_in_numbers();
    few["quote"]["pcrs"].erase(0);
    EXPECT_EQ(code_of(few), "bad_vtpm_evidence");
    json::Value other = tdx_in_numbers();
    other["hcl_report"] = numbers(hcl(HclHardware::snp_report));
    EXPECT_EQ(code_of(other), "bad_vtpm_evidence");
}

}  // namespace
}  // namespace eos::attestation::evidence
