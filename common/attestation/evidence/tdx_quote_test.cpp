// SPDX-License-Identifier: AGPL-3.0-only
// Quotes of versions 4 and 5: bodies, descriptors, and the two nested certification data.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "common/attestation/evidence/quote.h"
#include "common/base/codec.h"
#include "common/base/encoding.h"

namespace eos::attestation::evidence {
namespace {

/// The pieces of a quote; a test alters what it is about.
struct Parts {
    std::uint16_t version = 4;
    std::uint16_t key_type = 2;
    std::uint32_t tee_type = 0x81;
    std::optional<std::uint16_t> body_type;  ///< version 5 writes a descriptor
    std::optional<std::uint32_t> body_size;
    Bytes body = {};
    std::uint16_t outer_type = 6;
    std::uint16_t inner_type = 5;
    std::string chain = "-----BEGIN CERTIFICATE-----\n";
};

TdReport make_report(TdReportKind kind) {
    TdReport out;
    int value = 1;
    auto fill = [&value](auto& field) { field.fill(static_cast<std::byte>(value++)); };
    fill(out.tee_tcb_svn);
    fill(out.mr_seam);
    fill(out.mr_signer_seam);
    fill(out.seam_attributes);
    out.td_attributes = 0x8000000010000001;
    out.xfam = 0x00061ae7;
    fill(out.mr_td);
    fill(out.mr_config_id);
    fill(out.mr_owner);
    fill(out.mr_owner_config);
    for (TdMeasurement& rtmr : out.rtmr) fill(rtmr);
    fill(out.report_data);
    if (kind == TdReportKind::tdx10) return out;
    out.td15.emplace();
    fill(out.td15->tee_tcb_svn_2);
    fill(out.td15->mr_service_td);
    if (kind == TdReportKind::tdx15) return out;
    out.extended.emplace();
    out.extended->vm_id = 3;
    fill(out.extended->td_id);
    fill(out.extended->device_info);
    fill(out.extended->initial_service_td_hash);
    fill(out.extended->initial_service_td_attributes);
    fill(out.extended->initial_cpu_svn);
    fill(out.extended->initial_tee_tcb_svn);
    fill(out.extended->initial_fmspc);
    fill(out.extended->current_service_td_hash);
    fill(out.extended->current_service_td_attributes);
    return out;
}

Bytes sgx_body() {
    sgx_arch::ReportBody body;
    body.mr_enclave.fill(std::byte{0x66});
    return to_bytes(encode(body));
}

Parts td_parts(std::uint16_t version, TdReportKind kind) {
    Parts out{.version = version, .body = encode(make_report(kind))};
    if (version == 5) out.body_type = static_cast<std::uint16_t>(kind);
    return out;
}

Bytes build(const Parts& parts) {
    auto filled = [](std::size_t size, int value) {
        return Bytes(size, static_cast<std::byte>(value));
    };
    Writer inner;
    inner.bytes(encode(sgx_arch::ReportBody{.isv_svn = 6})).bytes(filled(64, 0x44));
    inner.u16le(32).bytes(filled(32, 0x55));
    inner.u16le(parts.inner_type).u32le(static_cast<std::uint32_t>(parts.chain.size()));
    inner.text(parts.chain);
    Writer auth;
    auth.bytes(filled(64, 0x11)).bytes(filled(64, 0x22));
    auth.u16le(parts.outer_type).u32le(static_cast<std::uint32_t>(inner.size()));
    auth.bytes(inner.view());

    Writer out;
    out.u16le(parts.version).u16le(parts.key_type).u32le(parts.tee_type).zeros(4);
    out.bytes(kIntelQeVendorId).bytes(filled(20, 0x77));
    if (parts.body_type.has_value()) {
        const auto size = static_cast<std::uint32_t>(parts.body.size());
        out.u16le(*parts.body_type).u32le(parts.body_size.value_or(size));
    }
    out.bytes(parts.body).u32le(static_cast<std::uint32_t>(auth.size())).bytes(auth.view());
    return std::move(out).take();
}

std::string code_of(ByteView bytes) {
    Result<Evidence> evidence = parse_quote(bytes);
    return evidence ? "accepted" : std::string(evidence.error().code().name);
}

struct Shape {
    std::uint16_t version;
    TdReportKind kind;
};
constexpr std::array<Shape, 4> kShapes{{{4, TdReportKind::tdx10},
                                        {5, TdReportKind::tdx10},
                                        {5, TdReportKind::tdx15},
                                        {5, TdReportKind::tdx15_extended}}};

TEST(TdReport, EveryKindSurvivesItsCodec) {
    for (TdReportKind kind :
         {TdReportKind::tdx10, TdReportKind::tdx15, TdReportKind::tdx15_extended}) {
        const TdReport report = make_report(kind);
        EXPECT_EQ(report.kind(), kind);
        const Bytes bytes = encode(report);
        ASSERT_EQ(bytes.size(), td_report_size_bytes(kind));
        EXPECT_EQ(parse_td_report(bytes, kind).value(), report);
        EXPECT_EQ(parse_td_report(ByteView(bytes).first(bytes.size() - 1), kind).error().code(),
                  wrong_td_report_size);
    }
}

/// The offsets of Intel's structure, and not only those of our own encoder.
TEST(TdReport, FieldsAreWhereTheSpecificationHasThem) {
    Bytes bytes(kTd15ReportBytes);
    for (std::size_t i = 0; i < bytes.size(); ++i)
        bytes[i] = static_cast<std::byte>(i * 7 + i / 251);
    const TdReport report = parse_td_report(bytes, TdReportKind::tdx15).value();
    auto at = [&](std::size_t offset, std::size_t size) {
        return hex(ByteView(bytes).subspan(offset, size));
    };
    EXPECT_EQ(hex(report.tee_tcb_svn), at(0, 16));
    EXPECT_EQ(hex(report.mr_seam), at(16, 48));
    EXPECT_EQ(hex(report.mr_signer_seam), at(64, 48));
    EXPECT_EQ(hex(report.seam_attributes), at(112, 8));
    EXPECT_EQ(hex(report.mr_td), at(136, 48));
    EXPECT_EQ(hex(report.mr_config_id), at(184, 48));
    EXPECT_EQ(hex(report.mr_owner), at(232, 48));
    EXPECT_EQ(hex(report.mr_owner_config), at(280, 48));
    for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(hex(report.rtmr[i]), at(328 + 48 * i, 48));
    EXPECT_EQ(hex(report.report_data), at(520, 64));
    EXPECT_EQ(hex(report.td15->tee_tcb_svn_2), at(584, 16));
    EXPECT_EQ(hex(report.td15->mr_service_td), at(600, 48));
    EXPECT_EQ(report.td_attributes & 0xff, std::to_integer<std::uint64_t>(bytes[120]));
    EXPECT_EQ(report.xfam >> 56, std::to_integer<std::uint64_t>(bytes[135]));
}

TEST(ParseTdxQuote, GivesEveryField) {
    for (const Shape& shape : kShapes) {
        const Bytes bytes = build(td_parts(shape.version, shape.kind));
        Result<Evidence> evidence = parse_quote(bytes);
        ASSERT_TRUE(evidence.has_value()) << evidence.error().message();
        const auto& quote = std::get<TdxQuote>(evidence->quote());
        EXPECT_EQ(quote.version, shape.version);
        EXPECT_EQ(quote.report, make_report(shape.kind));
        const std::size_t head = shape.version == 5 ? 54 : 48;
        const std::size_t signed_size = head + td_report_size_bytes(shape.kind);
        EXPECT_TRUE(equal(quote.signed_bytes, ByteView(bytes).first(signed_size)));
        EXPECT_EQ(quote.qe_report.isv_svn, 6);
        EXPECT_EQ(hex(quote.qe_auth_data), hex(Bytes(32, std::byte{0x55})));
        EXPECT_EQ(quote.pck_chain_pem, "-----BEGIN CERTIFICATE-----\n");
    }
}

TEST(ParseTdxQuote, SgxBodiesOfVersions4And5) {
    const Bytes v4 = build({.version = 4, .tee_type = 0, .body = sgx_body()});
    const Bytes v5 = build({.version = 5, .tee_type = 0, .body_type = 1, .body = sgx_body()});
    for (const Bytes& bytes : {v4, v5}) {
        Result<Evidence> evidence = parse_quote(bytes);
        ASSERT_TRUE(evidence.has_value()) << evidence.error().message();
        const auto& quote = std::get<SgxQuote>(evidence->quote());
        EXPECT_EQ(quote.report.mr_enclave[0], std::byte{0x66});
        EXPECT_TRUE(equal(quote.report_bytes(), sgx_body()));
    }
}

TEST(ParseTdxQuote, EveryTruncationAndExtensionIsRefused) {
    for (const Shape& shape : kShapes) {
        Bytes bytes = build(td_parts(shape.version, shape.kind));
        for (std::size_t size = 0; size < bytes.size(); ++size)
            ASSERT_EQ(code_of(ByteView(bytes).first(size)), "quote_truncated") << size;
        bytes.push_back(std::byte{0});
        EXPECT_EQ(code_of(bytes), "quote_trailing_bytes");
        const std::size_t whole = bytes.size() - 1;
        bytes.resize(8000);
        EXPECT_EQ(code_of(bytes), "quote_trailing_bytes");
        EXPECT_EQ(code_of(without_padding(bytes)), "accepted");
        EXPECT_EQ(without_padding(bytes).size(), whole);
    }
}

/// Every bit of every length and type that no signature covers.
TEST(ParseTdxQuote, EveryBitOfTheFrameCounts) {
    for (const Shape& shape : kShapes) {
        const Bytes good = build(td_parts(shape.version, shape.kind));
        const std::size_t head = shape.version == 5 ? 54 : 48;
        const std::size_t auth = head + td_report_size_bytes(shape.kind);
        const std::size_t outer = auth + 4 + 128;
        const std::size_t inner = outer + 6 + 384 + 64 + 2 + 32;
        std::vector<std::size_t> places;
        for (std::size_t i = 0; i < 8; ++i) places.push_back(i);
        for (std::size_t i = 12; i < 28; ++i) places.push_back(i);
        for (std::size_t i = 48; i < head; ++i) places.push_back(i);
        for (std::size_t i = 0; i < 4; ++i) places.push_back(auth + i);
        for (std::size_t i = 0; i < 6; ++i) places.push_back(outer + i);
        for (std::size_t i = 0; i < 6; ++i) places.push_back(inner + i);
        for (std::size_t at : places) {
            for (int bit = 0; bit < 8; ++bit) {
                Bytes bytes = good;
                bytes[at] ^= static_cast<std::byte>(1 << bit);
                EXPECT_NE(code_of(bytes), "accepted") << "byte " << at << " bit " << bit;
            }
        }
    }
}

TEST(ParseTdxQuote, LengthsMustNestExactly) {
    const Bytes good = build(td_parts(5, TdReportKind::tdx15));
    const std::size_t auth = 54 + kTd15ReportBytes;
    const std::size_t outer_size = auth + 4 + 128 + 2;
    const std::size_t qe_auth_size = outer_size + 4 + 384 + 64;
    const std::size_t inner_size = qe_auth_size + 2 + 32 + 2;
    for (std::size_t at : {auth, outer_size, inner_size}) {
        for (std::uint32_t value : {0u, 0x80000000u, 0xffffffffu}) {
            Bytes bytes = good;
            for (std::size_t i = 0; i < 4; ++i)
                bytes[at + i] = static_cast<std::byte>(value >> 8 * i);
            EXPECT_EQ(code_of(bytes), value == 0 ? "quote_trailing_bytes" : "quote_truncated");
        }
    }
    Bytes bytes = good;
    bytes[qe_auth_size] = bytes[qe_auth_size + 1] = std::byte{0xff};
    EXPECT_EQ(code_of(bytes), "quote_truncated");
    bytes[qe_auth_size] = bytes[qe_auth_size + 1] = std::byte{0};
    EXPECT_NE(code_of(bytes), "accepted");
}

TEST(ParseTdxQuote, VersionTeeAndBodyMustAgree) {
    const Bytes td10 = encode(make_report(TdReportKind::tdx10));
    const Bytes td15 = encode(make_report(TdReportKind::tdx15));
    EXPECT_EQ(code_of(build({.version = 3, .body = td10})), "unsupported_tee_type");
    EXPECT_EQ(code_of(build({.version = 4, .tee_type = 0x80, .body = td10})),
              "unsupported_tee_type");
    // A body of TDX 1.5 has no place in version 4: what follows is not what the lengths say.
    EXPECT_NE(code_of(build({.version = 4, .body = td15})), "accepted");
    for (std::uint16_t type : std::to_array<std::uint16_t>({0, 5, 6, 0x0100, 0xffff})) {
        EXPECT_EQ(code_of(build({.version = 5, .body_type = type, .body = td10})),
                  "unsupported_body");
    }
    for (std::uint16_t type : std::to_array<std::uint16_t>({1, 2, 3, 4})) {
        for (std::uint32_t size : {0u, 384u, 584u, 648u, 885u, 0xffffffffu}) {
            Parts parts{.version = 5, .body_type = type, .body_size = size};
            parts.tee_type = type == 1 ? 0 : 0x81;
            parts.body = Bytes(std::min<std::uint32_t>(size, 1000));
            constexpr std::array<std::uint32_t, 5> kSizes{0, 384, 584, 648, 885};
            const bool fits = kSizes[type] == size;
            EXPECT_EQ(code_of(build(parts)), fits ? "accepted" : "unsupported_body")
                << type << ", " << size;
        }
    }
    EXPECT_EQ(code_of(build({.version = 5, .tee_type = 0, .body_type = 3, .body = td15})),
              "unsupported_tee_type");
    EXPECT_EQ(code_of(build({.version = 5, .tee_type = 0x81, .body_type = 1, .body = sgx_body()})),
              "unsupported_tee_type");
}

TEST(ParseTdxQuote, P384IsRefusedByName) {
    Parts parts = td_parts(4, TdReportKind::tdx10);
    parts.key_type = 3;
    Result<Evidence> result = parse_quote(build(parts));
    ASSERT_FALSE(result.has_value());
    EXPECT_EQ(result.error().code(), unsupported_attestation_key_type);
    EXPECT_EQ(result.error().detail(), "type 3 (ECDSA P-384), expected 2 (ECDSA P-256)");
}

TEST(ParseTdxQuote, CertificationDataIsType6Around5) {
    for (std::uint16_t type : std::to_array<std::uint16_t>({0, 1, 2, 3, 4, 5, 7, 0x0600})) {
        Parts parts = td_parts(4, TdReportKind::tdx10);
        parts.outer_type = type;
        EXPECT_EQ(code_of(build(parts)), "certification_data_unsupported") << type;
    }
    for (std::uint16_t type :
         std::to_array<std::uint16_t>({0, 1, 2, 3, 4, 6, 7, 0x0500})) {  // 6: never nested in 6
        Parts parts = td_parts(4, TdReportKind::tdx10);
        parts.inner_type = type;
        EXPECT_EQ(code_of(build(parts)), "certification_data_unsupported") << type;
    }
}

}  // namespace
}  // namespace eos::attestation::evidence
