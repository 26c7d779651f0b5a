// SPDX-License-Identifier: AGPL-3.0-only
#include "common/attestation/endorsements/bundle.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "common/attestation/endorsements/endorsements.h"
#include "common/attestation/verify/synthetic_intel_test.h"
#include "common/base/encoding.h"

namespace eos::attestation::endorsements {
namespace {

using ::testing::HasSubstr;
using testing::kNow;
using testing::SyntheticIntel;

std::vector<Piece> pieces_of(const SyntheticIntel& intel) {
    return to_pieces(intel.endorsements(), kNow, "https://pcs.test/").value();
}

const crypto::P256PrivateKey& maker() {
    static const crypto::P256PrivateKey key = crypto::P256PrivateKey::generate();
    return key;
}

/// The bundle with a change made before its maker signed it.
std::string resigned(json::Value bundle, const std::function<void(json::Value&)>& change) {
    change(bundle);
    bundle["maker"].erase("signature");
    bundle["maker"]["signature"] = hex(maker().sign_raw(as_bytes(json::compact(bundle))));
    return json::compact(bundle);
}

TEST(Bundle, WhatIsWrittenIsRead) {
    SyntheticIntel intel;
    std::vector<Piece> pieces = pieces_of(intel);
    ASSERT_EQ(pieces.size(), 4u);
    std::string text = write_bundle(pieces, kNow, maker()).value();
    Bundle bundle = parse_bundle(as_bytes(text)).value();
    EXPECT_EQ(bundle.made, kNow);
    EXPECT_TRUE(equal(bundle.maker_spki, maker().public_key().spki()));
    EXPECT_EQ(bundle.pieces, pieces);  // to_pieces() gives them in the order of the file
    EXPECT_TRUE(looks_like_bundle(as_bytes(text)));
    EXPECT_FALSE(looks_like_bundle(as_bytes("{}")));
}

TEST(Bundle, EveryByteIsCoveredByTheMakersSignature) {
    SyntheticIntel intel;
    json::Value bundle = json::Value::parse(write_bundle(pieces_of(intel), kNow, maker()).value());
    for (const char* place : {"/made", "/pieces/0/source", "/pieces/0/fetched"}) {
        json::Value twin = bundle;
        json::Value& member = twin[json::Value::json_pointer(place)];
        member = member == "https://pcs.test/" ? "https://pcs.twin/" : "2026-01-01T00:00:00Z";
        EXPECT_EQ(parse_bundle(as_bytes(json::compact(twin))).error().code(), altered_bundle)
            << place;
    }
    json::Value other = bundle;
    other["maker"]["key"] = base64(crypto::P256PrivateKey::generate().public_key().spki());
    EXPECT_EQ(parse_bundle(as_bytes(json::compact(other))).error().code(), altered_bundle);
}

struct Twin {
    std::string name;
    std::function<void(json::Value&)> change;
    Code code;
};

TEST(Bundle, TwinsFailWithTheirCode) {
    SyntheticIntel intel;
    json::Value bundle = json::Value::parse(write_bundle(pieces_of(intel), kNow, maker()).value());
    ASSERT_TRUE(parse_bundle(as_bytes(resigned(bundle, [](json::Value&) {}))).has_value());
    const std::vector<Twin> twins{
        {"format", [](auto& b) { b["format"] = "another"; }, bad_bundle},
        {"version", [](auto& b) { b["version"] = 2; }, bad_bundle},
        {"version as text", [](auto& b) { b["version"] = "1"; }, json::wrong_type},
        {"unknown member", [](auto& b) { b["trust"] = true; }, json::unknown_member},
        {"unknown in piece", [](auto& b) { b["pieces"][0]["ok"] = 1; }, json::unknown_member},
        {"no pieces", [](auto& b) { b.erase("pieces"); }, json::missing_member},
        {"kind", [](auto& b) { b["pieces"][0]["kind"] = "intel-word"; }, bad_bundle},
        {"key of another form", [](auto& b) { b["pieces"][1]["key"] = "root"; }, bad_bundle},
        {"key in capitals", [](auto& b) { b["pieces"][2]["key"] = "00906ED50000"; }, bad_bundle},
        {"key where none is", [](auto& b) { b["pieces"][0]["key"] = ""; }, json::unknown_member},
        {"no key", [](auto& b) { b["pieces"][1].erase("key"); }, json::missing_member},
        {"signature on a list",
         [](auto& b) { b["pieces"][0]["signature"] = b["pieces"][2]["signature"]; },
         json::unknown_member},
        {"no signature", [](auto& b) { b["pieces"][2].erase("signature"); }, json::missing_member},
        {"short signature", [](auto& b) { b["pieces"][2]["signature"] = "00"; }, bad_encoding},
        {"content", [](auto& b) { b["pieces"][0]["content"] = "?"; }, bad_encoding},
        {"empty content", [](auto& b) { b["pieces"][0]["content"] = ""; }, bad_bundle},
        {"twice", [](auto& b) { b["pieces"][1] = b["pieces"][0]; }, bad_bundle},
        {"out of order", [](auto& b) { std::swap(b["pieces"][0], b["pieces"][1]); }, bad_bundle},
        {"time", [](auto& b) { b["made"] = "yesterday"; }, bad_time},
        {"maker's key", [](auto& b) { b["maker"]["key"] = "AAAA"; }, crypto::bad_key},
        {"too many",
         [](auto& b) { b["pieces"] = json::Value::array_t(kMaxPieces + 1, b["pieces"][0]); },
         json::out_of_range}};
    for (const Twin& twin : twins) {
        Result<Bundle> parsed = parse_bundle(as_bytes(resigned(bundle, twin.change)));
        ASSERT_FALSE(parsed.has_value()) << twin.name;
        EXPECT_EQ(parsed.error().code(), twin.code)
            << twin.name << ": " << parsed.error().message();
    }
}

TEST(Bundle, NothingIsWrittenThatIsNotRead) {
    SyntheticIntel intel;
    std::vector<Piece> pieces = pieces_of(intel);
    std::vector<Piece> twice = pieces;
    twice.push_back(pieces[0]);
    EXPECT_EQ(write_bundle(twice, kNow, maker()).error().code(), bad_bundle);
    std::vector<Piece> nameless = pieces;
    nameless[2].key = "";
    EXPECT_EQ(write_bundle(nameless, kNow, maker()).error().code(), bad_bundle);
    std::vector<Piece> certificate{
        {.kind = PieceKind::amd_vcek, .key = "00", .content = {std::byte{1}}}};
    EXPECT_EQ(write_bundle(certificate, kNow, maker()).error().code(), bad_bundle);
    certificate[0].key = hex(crypto::sha256(certificate[0].content));
    EXPECT_TRUE(write_bundle(certificate, kNow, maker()).has_value());
}

TEST(Bundle, PiecesSayFromWhenToWhenTheyHold) {
    SyntheticIntel intel;
    std::vector<Piece> pieces = pieces_of(intel);
    PieceDates crl = dates_of(pieces[0]).value();
    EXPECT_EQ(crl.issued, intel.crl_validity.not_before);
    EXPECT_EQ(crl.next_update, intel.crl_validity.not_after);
    EXPECT_FALSE(crl.evaluation_data_number.has_value());
    PieceDates tcb = dates_of(pieces[2]).value();
    EXPECT_EQ(rfc3339(tcb.issued), intel.tcb_info["issueDate"].get<std::string>());
    EXPECT_EQ(tcb.evaluation_data_number, intel.tcb_info["tcbEvaluationDataNumber"]);
    pieces[0].content.pop_back();
    EXPECT_FALSE(dates_of(pieces[0]).has_value());
}

TEST(Bundle, EveryKindHasItsName) {
    for (int i = 0; i <= static_cast<int>(PieceKind::amd_crl); ++i) {
        auto kind = static_cast<PieceKind>(i);
        EXPECT_EQ(piece_kind_from(piece_kind_name(kind)), kind);
    }
    EXPECT_FALSE(piece_kind_from("").has_value());
}

TEST(Bundle, OnlyWhatFitsThePlatformIsSelected) {
    SyntheticIntel intel;
    Endorsements all;
    all.pieces = pieces_of(intel);
    x509::Certificate ca = intel.ca();
    IntelPlatform platform{.tcb_info = PieceKind::sgx_tcb_info,
                           .qe_identity = PieceKind::sgx_qe_identity,
                           .fmspc = intel.platform.fmspc,
                           .pck_issuer = ca.subject_tlv()};
    Endorsements fitting = select(all, platform);
    // Whoever's pieces come first counts, under whatever key others file theirs.
    Endorsements more = all;
    more.pieces.push_back(all.pieces[1]);
    more.pieces.back().key = "platform";
    intel.pck_revoked = {x509::Serial::random()};
    more.pieces[1].key = "processor";
    more.pieces[1].content = intel.pck_crl();
    ASSERT_NE(more.pieces[1].content, more.pieces.back().content);
    EXPECT_EQ(select(more, platform).pck_crl, more.pieces[1].content);
    EXPECT_EQ(fitting.tcb_info->body, all.pieces[2].content);
    EXPECT_EQ(fitting.qe_identity->body, all.pieces[3].content);
    EXPECT_EQ(fitting.pck_crl, all.pieces[1].content);
    EXPECT_TRUE(fitting.root_ca_crl.has_value());

    IntelPlatform other = platform;
    other.fmspc[0] ^= std::byte{1};
    EXPECT_FALSE(select(all, other).tcb_info.has_value());
    other = platform;
    other.pck_issuer = intel.root().subject_tlv();
    EXPECT_FALSE(select(all, other).pck_crl.has_value());
    other = platform;
    other.tcb_info = PieceKind::tdx_tcb_info;
    EXPECT_FALSE(select(all, other).tcb_info.has_value());
}

}  // namespace
}  // namespace eos::attestation::endorsements
