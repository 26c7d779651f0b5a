// SPDX-License-Identifier: AGPL-3.0-only
// AMD's pieces of a bundle: each is verified up to the root, without any evidence.
#include "common/attestation/verify/bundle_checks.h"
#include "common/base/encoding.h"
#include "emulation/snp/snp_scene_test.h"

namespace eos::emulation::snp {
namespace {

using attestation::endorsements::AmdEndorsements;
using attestation::endorsements::Endorsements;
using attestation::endorsements::Piece;
using attestation::endorsements::PieceKind;
using attestation::endorsements::to_pieces;
using attestation::verify::Check;
using attestation::verify::check_pieces;
using attestation::verify::find_check;
using attestation::verify::Roots;
using attestation::verify::Vendor;
using attestation::verify::Verdict;
using snp_arch::Product;
using snp_arch::SigningKey;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::kNow;
using testing::Scene;
using ::testing::UnorderedElementsAre;

Bytes der(const x509::Certificate& certificate) {
    return to_bytes(certificate.der());
}

/// CAs, list and the certificate of the key that signs.
std::vector<Piece> pieces_of(const SyntheticAmd& amd) {
    Endorsements single;
    const bool vlek = amd.vek.kind == SigningKey::vlek;
    single.amd.certificates = {der(amd.vek_certificate()), der(vlek ? amd.asvk() : amd.ask()),
                               der(amd.ark())};
    single.amd.ark_crl = amd.ark_crl();
    return to_pieces(single, kNow, "test").value();
}

Piece& piece(std::vector<Piece>& pieces, PieceKind kind) {
    return *std::ranges::find(pieces, kind, &Piece::kind);
}

std::vector<std::string> failures(const std::vector<Piece>& pieces, const Roots& roots,
                                  UnixTime time = kNow) {
    return summarise(check_pieces(pieces, roots, {time})).failed;
}

TEST(SnpBundle, GenuinePiecesOfEveryProductPass) {
    for (Product product : {Product::milan, Product::genoa, Product::turin}) {
        for (SigningKey kind : {SigningKey::vcek, SigningKey::vlek}) {
            Scene scene(product);
            scene.amd.set_kind(kind);
            Check tree = check_pieces(pieces_of(scene.amd), scene.roots(), {kNow});
            EXPECT_EQ(summarise(tree).verdict, Verdict::pass) << render_text(tree);
            EXPECT_THAT(summarise(tree).waived, IsEmpty());
            const std::string key = attestation::endorsements::piece_key(product);
            const std::string name = kind == SigningKey::vcek ? "vcek" : "vlek";
            for (const std::string& id : {"bundle.amd-" + name + "-issuers." + key + ".chain",
                                          "bundle.amd-crl." + key + ".signature"})
                EXPECT_NE(find_check(tree, id), nullptr) << id;
        }
    }
}

// The pieces give a report without a table the verdict that it has with one.
TEST(SnpBundle, AReportIsVerifiedWithABundle) {
    Scene scene;
    scene.endorsements = {};
    scene.endorsements.pieces = pieces_of(scene.amd);
    auto verification = scene.verify(scene.amd.signed_report());
    EXPECT_THAT(summarise(verification.tree()).failed, IsEmpty())
        << render_text(verification.tree());
    EXPECT_THAT(summarise(verification.tree()).not_evaluated, IsEmpty());
}

TEST(SnpBundle, AnAlteredPieceIsNamed) {
    Scene scene;
    const std::vector<Piece> good = pieces_of(scene.amd);
    std::vector<Piece> pieces = good;
    piece(pieces, PieceKind::amd_crl).content.back() ^= std::byte{1};
    EXPECT_THAT(failures(pieces, scene.roots()), ElementsAre("bundle.amd-crl.genoa.signature"));
    pieces = good;
    Piece& vcek = piece(pieces, PieceKind::amd_vcek);
    vcek.content.back() ^= std::byte{1};
    EXPECT_THAT(failures(pieces, scene.roots()),
                ElementsAre("bundle.amd-vcek." + vcek.key + ".chain"));
}

TEST(SnpBundle, RolesProductsAndKeysAreNotMixed) {
    Scene scene;
    Scene turin(Product::turin);
    const std::vector<Piece> good = pieces_of(scene.amd);
    const Roots roots = Roots::test({{"lab", scene.amd.ark()}, {"other", turin.amd.ark()}}).value();
    EXPECT_THAT(failures(good, roots), IsEmpty());

    std::vector<Piece> pieces = good;
    piece(pieces, PieceKind::amd_crl).content = turin.amd.ark_crl();
    EXPECT_THAT(failures(pieces, roots), ElementsAre("bundle.amd-crl.genoa.signature"));

    pieces = good;
    std::vector<Piece> others = pieces_of(turin.amd);
    piece(pieces, PieceKind::amd_vcek_issuers).content =
        piece(others, PieceKind::amd_vcek_issuers).content;
    const std::string vcek = "bundle.amd-vcek." + piece(pieces, PieceKind::amd_vcek).key;
    EXPECT_THAT(failures(pieces, roots),
                UnorderedElementsAre("bundle.amd-vcek-issuers.genoa.chain", vcek + ".chain"));

    // An ASVK as the CA of VCEKs, and a VLEK as a VCEK.
    scene.amd.set_kind(SigningKey::vlek);
    others = pieces_of(scene.amd);
    pieces = good;
    piece(pieces, PieceKind::amd_vcek_issuers).content =
        piece(others, PieceKind::amd_vlek_issuers).content;
    EXPECT_THAT(failures(pieces, roots),
                UnorderedElementsAre("bundle.amd-vcek-issuers.genoa.chain", vcek + ".chain"));
    piece(others, PieceKind::amd_vlek).kind = PieceKind::amd_vcek;
    EXPECT_THAT(
        failures(others, roots),
        ElementsAre("bundle.amd-vcek." + piece(others, PieceKind::amd_vcek).key + ".platform"));
}

TEST(SnpBundle, AnotherRootIsRefused) {
    Scene scene, other;
    other.amd.ark_recipe.serial = x509::Serial::random();  // the same names and keys
    const std::vector<Piece> pieces = pieces_of(scene.amd);
    const std::string vcek =
        "bundle.amd-vcek." + std::ranges::find(pieces, PieceKind::amd_vcek, &Piece::kind)->key;
    EXPECT_THAT(failures(pieces, other.roots()),
                UnorderedElementsAre("bundle.amd-vcek-issuers.genoa.chain", vcek + ".chain"));
    EXPECT_THAT(failures(pieces, Roots::of({Vendor::intel, Vendor::amd})),
                UnorderedElementsAre("bundle.amd-vcek-issuers.genoa.chain", vcek + ".chain",
                                     "bundle.amd-crl.genoa.signature"));
    EXPECT_THAT(failures(pieces, Roots::intel()),
                UnorderedElementsAre("bundle.amd-vcek-issuers.genoa.chain", vcek + ".chain",
                                     "bundle.amd-crl.genoa.chain"));
}

TEST(SnpBundle, EndedAndOldPiecesAreNamed) {
    Scene scene;
    const std::vector<Piece> pieces = pieces_of(scene.amd);
    const UnixTime later = scene.amd.crl_validity.not_after + 1;
    EXPECT_THAT(failures(pieces, scene.roots(), later), ElementsAre("bundle.amd-crl.genoa.dates"));
    auto old = check_pieces(pieces, scene.roots(), {kNow, kSecondsPerDay - 1});
    EXPECT_THAT(summarise(old).failed, ElementsAre("bundle.amd-crl.genoa.dates"));
    auto young = check_pieces(pieces, scene.roots(), {kNow, kSecondsPerDay});
    EXPECT_THAT(summarise(young).failed, IsEmpty());
}

TEST(SnpBundle, WhatNoPieceIsForIsNotDroppedSilently) {
    Scene scene;
    Endorsements single;
    single.amd.ask_crl = scene.amd.ask_crl();
    auto refused = to_pieces(single, kNow, "test");
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code(), attestation::endorsements::bad_bundle);
    // Two CAs for one place; one CA twice is one piece.
    single.amd.ask_crl.reset();
    single.amd.certificates = {der(scene.amd.ask()), der(scene.amd.ark())};
    SyntheticAmd other(testing::keys(), Product::genoa, kNow);
    single.amd.certificates.push_back(der(other.ask()));
    EXPECT_FALSE(to_pieces(single, kNow, "test").has_value());
    single.amd.certificates.back() = single.amd.certificates.front();
    EXPECT_EQ(to_pieces(single, kNow, "test")->size(), 1u);
}

}  // namespace
}  // namespace eos::emulation::snp
