// SPDX-License-Identifier: AGPL-3.0-only
#include "common/attestation/evidence/quote.h"

#include <gtest/gtest.h>

#include <concepts>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "common/base/codec.h"
#include "common/base/encoding.h"

namespace eos::attestation::evidence {
namespace {

// Where things are in the quote that Parts{} makes.
constexpr std::size_t kAuthSizeAt = 432;
constexpr std::size_t kQeAuthSizeAt = 436 + 64 + 64 + 384 + 64;
constexpr std::size_t kCertificationTypeAt = kQeAuthSizeAt + 2 + 32;
constexpr std::size_t kCertificationSizeAt = kCertificationTypeAt + 2;
constexpr std::size_t kChainAt = kCertificationSizeAt + 4;

/// The pieces of a quote; a test alters what it is about.
struct Parts {
    std::uint16_t version = 3;
    std::uint16_t key_type = 2;
    std::uint32_t tee_type = 0;
    std::string vendor = "939a7233f79c4ca9940a0db3957f0607";
    Bytes qe_auth = Bytes(32, std::byte{0x55});
    std::uint16_t certification_type = 5;
    std::string chain = "-----BEGIN CERTIFICATE-----\n";
};

ByteArray<64> filled(int value) {
    ByteArray<64> out;
    out.fill(static_cast<std::byte>(value));
    return out;
}

sgx_arch::ReportBody body(int seed) {
    sgx_arch::ReportBody out;
    out.mr_enclave.fill(static_cast<std::byte>(seed));
    out.isv_svn = static_cast<std::uint16_t>(seed);
    out.report_data = filled(seed + 1);
    return out;
}

Bytes build(const Parts& parts) {
    Writer auth;
    auth.bytes(filled(0x11)).bytes(filled(0x22)).bytes(encode(body(0x33))).bytes(filled(0x44));
    auth.u16le(static_cast<std::uint16_t>(parts.qe_auth.size())).bytes(parts.qe_auth);
    auth.u16le(parts.certification_type).u32le(static_cast<std::uint32_t>(parts.chain.size()));
    auth.text(parts.chain);

    Writer out;
    out.u16le(parts.version).u16le(parts.key_type).u32le(parts.tee_type).u16le(8).u16le(13);
    out.bytes(from_hex(parts.vendor).value()).zeros(4).bytes(Bytes(16, std::byte{0x77}));
    out.bytes(encode(body(0x66))).u32le(static_cast<std::uint32_t>(auth.size()));
    out.bytes(auth.view());
    return std::move(out).take();
}

SgxQuote parsed(ByteView bytes) {
    Result<Evidence> evidence = parse_quote(bytes);
    EXPECT_TRUE(evidence.has_value()) << evidence.error().message();
    return std::get<SgxQuote>(evidence->quote());
}

std::string code_of(ByteView bytes) {
    Result<Evidence> evidence = parse_quote(bytes);
    return evidence ? "accepted" : std::string(evidence.error().code().name);
}

void put_u32(Bytes& bytes, std::size_t at, std::uint32_t value) {
    for (std::size_t i = 0; i < 4; ++i) bytes[at + i] = static_cast<std::byte>(value >> 8 * i);
}

TEST(ParseQuote, GivesEveryField) {
    const Bytes bytes = build({});
    const SgxQuote quote = parsed(bytes);
    EXPECT_EQ(quote.qe_svn, 8);
    EXPECT_EQ(quote.pce_svn, 13);
    EXPECT_EQ(hex(quote.user_data), "00000000" + std::string(32, '7'));
    EXPECT_EQ(quote.report, body(0x66));
    EXPECT_EQ(quote.signature, filled(0x11));
    EXPECT_EQ(quote.attestation_key, filled(0x22));
    EXPECT_EQ(quote.qe_report, body(0x33));
    EXPECT_EQ(quote.qe_report_signature, filled(0x44));
    EXPECT_EQ(quote.qe_auth_data, Bytes(32, std::byte{0x55}));
    EXPECT_EQ(quote.pck_chain_pem, "-----BEGIN CERTIFICATE-----\n");
}

TEST(ParseQuote, KeepsTheSignedBytesAsSent) {
    Bytes bytes = build({});
    bytes[48 + 21] = std::byte{0xee};          // reserved in the report
    bytes[436 + 128 + 100] = std::byte{0xee};  // reserved in the QE report
    const Evidence evidence = parse_quote(bytes).value();
    const SgxQuote& quote = std::get<SgxQuote>(evidence.quote());
    EXPECT_TRUE(equal(quote.signed_bytes, ByteView(bytes).first(432)));
    EXPECT_TRUE(equal(quote.report_bytes(), ByteView(bytes).subspan(48, 384)));
    EXPECT_TRUE(equal(quote.qe_report_bytes, ByteView(bytes).subspan(564, 384)));
    EXPECT_TRUE(equal(evidence.bytes(), bytes));
}

TEST(ParseQuote, EvidenceComesFromParsingOnly) {
    EXPECT_FALSE((std::constructible_from<Evidence, Quote, Bytes>));
    EXPECT_FALSE(std::default_initializable<Evidence>);
}

TEST(ParseQuote, DropsExactlyOneNulAfterTheChain) {
    EXPECT_EQ(parsed(build({.chain = std::string("pem\n\0", 5)})).pck_chain_pem, "pem\n");
    EXPECT_EQ(parsed(build({.chain = std::string("pem\0\0", 5)})).pck_chain_pem.size(), 4u);
    EXPECT_EQ(parsed(build({.chain = "pem"})).pck_chain_pem, "pem");
    EXPECT_EQ(parsed(build({.chain = ""})).pck_chain_pem, "");
}

TEST(ParseQuote, QeAuthDataMayHaveAnySizeThatFits) {
    EXPECT_TRUE(parsed(build({.qe_auth = {}})).qe_auth_data.empty());
    EXPECT_EQ(parsed(build({.qe_auth = Bytes(9000)})).qe_auth_data.size(), 9000u);
}

TEST(ParseQuote, EveryTruncationIsRefused) {
    const Bytes bytes = build({});
    for (std::size_t size = 0; size < bytes.size(); ++size)
        EXPECT_EQ(code_of(ByteView(bytes).first(size)), "quote_truncated") << size;
}

TEST(ParseQuote, TrailingBytesAreRefused) {
    for (std::size_t count : {1, 2, 70, 4096}) {
        Bytes bytes = build({});
        bytes.resize(bytes.size() + count);
        EXPECT_EQ(code_of(bytes), "quote_trailing_bytes") << count;
    }
}

TEST(WithoutPadding, TakesZerosBehindTheStatedEndOnly) {
    // The last byte of the quote is zero as well, and is the quote's.
    const Bytes quote = build({.chain = std::string("pem\0\0", 5)});
    for (std::size_t count : {0, 1, 70, 4096}) {
        Bytes padded = quote;
        padded.resize(padded.size() + count);
        EXPECT_TRUE(equal(without_padding(padded), quote)) << count;
        for (std::size_t at : {quote.size(), padded.size() - 1}) {
            if (count == 0) continue;
            Bytes altered = padded;
            altered[at] = std::byte{1};
            EXPECT_EQ(without_padding(altered).size(), altered.size()) << count;
        }
    }
}

TEST(WithoutPadding, WhatIsNoWholeQuoteStaysAsItIs) {
    const Bytes quote = build({});
    for (std::size_t size = 0; size < quote.size(); size += 5) {
        const ByteView cut = ByteView(quote).first(size);
        EXPECT_EQ(without_padding(cut).size(), size);
    }
    for (std::uint32_t announced : {0x80000000u, 0xffffffffu}) {
        Bytes altered = quote;
        put_u32(altered, kAuthSizeAt, announced);
        altered.resize(altered.size() + 70);
        EXPECT_EQ(without_padding(altered).size(), altered.size());
    }
    EXPECT_EQ(without_padding(Bytes(5000)).size(), 5000u);
}

TEST(ParseQuote, UnsignedLengthsMustNestExactly) {
    struct Case {
        std::size_t at;
        std::uint32_t value;
        std::string code;
    };
    const Bytes good = build({});
    const auto auth = static_cast<std::uint32_t>(good.size() - 436);
    const auto chain = static_cast<std::uint32_t>(good.size() - kChainAt);
    const std::vector<Case> cases = {
        {kAuthSizeAt, 0, "quote_trailing_bytes"},
        {kAuthSizeAt, auth - 1, "quote_trailing_bytes"},
        {kAuthSizeAt, auth + 1, "quote_truncated"},
        {kAuthSizeAt, 0x80000000, "quote_truncated"},
        {kAuthSizeAt, 0xffffffff, "quote_truncated"},
        {kCertificationSizeAt, 0, "quote_trailing_bytes"},
        {kCertificationSizeAt, chain - 1, "quote_trailing_bytes"},
        {kCertificationSizeAt, chain + 1, "quote_truncated"},
        {kCertificationSizeAt, 0x80000000, "quote_truncated"},
        {kCertificationSizeAt, 0xffffffff, "quote_truncated"},
    };
    for (const Case& c : cases) {
        Bytes bytes = good;
        put_u32(bytes, c.at, c.value);
        EXPECT_EQ(code_of(bytes), c.code) << c.at << " = " << c.value;
    }
    Bytes bytes = good;
    bytes[kQeAuthSizeAt] = bytes[kQeAuthSizeAt + 1] = std::byte{0xff};
    EXPECT_EQ(code_of(bytes), "quote_truncated");
}

TEST(ParseQuote, EveryBitOfTheLengthsAndTypesCounts) {
    const Bytes good = build({});
    std::vector<std::size_t> places;
    for (std::size_t i = 0; i < 8; ++i) places.push_back(i);    // version, key type, TEE
    for (std::size_t i = 12; i < 28; ++i) places.push_back(i);  // QE vendor
    for (std::size_t i = 0; i < 4; ++i) places.push_back(kAuthSizeAt + i);
    for (std::size_t i = 0; i < 6; ++i) places.push_back(kCertificationTypeAt + i);
    for (std::size_t at : places) {
        for (int bit = 0; bit < 8; ++bit) {
            Bytes bytes = good;
            bytes[at] ^= static_cast<std::byte>(1 << bit);
            EXPECT_NE(code_of(bytes), "accepted") << "byte " << at << " bit " << bit;
        }
    }
}

TEST(ParseQuote, HeaderIsChecked) {
    EXPECT_EQ(code_of(build({.key_type = 3})), "unsupported_attestation_key_type");
    EXPECT_EQ(code_of(build({.tee_type = 0x81})), "unsupported_tee_type");
    EXPECT_EQ(code_of(build({.tee_type = 0x10000})), "unsupported_tee_type");
    EXPECT_EQ(code_of(build({.vendor = "939a7233f79c4ca9940a0db3957f0608"})), "unknown_qe_vendor");
}

TEST(ParseQuote, OtherVersionsAreNamed) {
    for (int version : {0, 1, 2, 6, 0x0300, 0xffff}) {
        Result<Evidence> result =
            parse_quote(build({.version = static_cast<std::uint16_t>(version)}));
        ASSERT_FALSE(result.has_value());
        EXPECT_EQ(result.error().code(), unsupported_version);
        EXPECT_EQ(result.error().detail(),
                  "version " + std::to_string(version) + ", supported: 3, 4 and 5");
    }
}

TEST(ParseQuote, CertificationDataWithoutAChainIsNamed) {
    for (int type : {0, 1, 2, 3, 4, 6, 7, 8, 0x0500}) {
        Result<Evidence> result =
            parse_quote(build({.certification_type = static_cast<std::uint16_t>(type)}));
        ASSERT_FALSE(result.has_value());
        EXPECT_EQ(result.error().code(), certification_data_unsupported);
        EXPECT_TRUE(result.error().detail().starts_with("type " + std::to_string(type) + " ("));
    }
}

TEST(ParseQuote, SizeIsBounded) {
    const std::size_t rest = build({.chain = ""}).size();
    EXPECT_EQ(code_of(build({.chain = std::string(kMaxQuoteBytes - rest, 'x')})), "accepted");
    EXPECT_EQ(code_of(build({.chain = std::string(kMaxQuoteBytes - rest + 1, 'x')})),
              "quote_too_large");
}

}  // namespace
}  // namespace eos::attestation::evidence
