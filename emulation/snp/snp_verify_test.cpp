// SPDX-License-Identifier: AGPL-3.0-only
// Verification of SEV-SNP where published evidence is missing: revocation, roles, mixed evidence,
// other products. Everything here is signed by an AMD of this test's own.
#include "common/oid/registry.h"
#include "common/x509/crl.h"
#include "common/x509/pem.h"
#include "emulation/snp/snp_scene_test.h"

namespace eos::emulation::snp {
namespace {

using attestation::evidence::SnpTableKind;
using attestation::verify::find_check;
using attestation::verify::SnpClaims;
using attestation::verify::Verdict;
using attestation::verify::Verification;
using snp_arch::Product;
using snp_arch::SigningKey;
using snp_arch::Tcb;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::keys;
using testing::kNow;
using testing::Scene;

TEST(SnpEmulated, EveryProductAndKeyVerifies) {
    for (Product product : {Product::milan, Product::genoa, Product::turin}) {
        for (SigningKey kind : {SigningKey::vcek, SigningKey::vlek}) {
            Scene scene(product);
            scene.amd.set_kind(kind);
            Verification verification = scene.verify();
            EXPECT_THAT(summarise(verification.tree()).failed, IsEmpty())
                << render_text(verification.tree());
            EXPECT_THAT(summarise(verification.tree()).not_evaluated, IsEmpty());
            ASSERT_NE(verification.evidence(), nullptr);
            const auto& claims = std::get<SnpClaims>(verification.evidence()->claims());
            EXPECT_EQ(claims.product, product);
            EXPECT_EQ(claims.reported.microcode, 219);
            EXPECT_EQ(verification.evidence()->root().kind, attestation::verify::RootKind::test);
        }
    }
}

TEST(SnpEmulated, AMemoHoldsSignaturesAndNothingElse) {
    Scene scene;
    attestation::verify::BoundedSignatureMemo memo(2);
    auto failures = [&](const Bytes& evidence, UnixTime time) {
        return summarise(attestation::verify::verify_quote(evidence, scene.endorsements,
                                                           scene.roots(), time, &memo)
                             .tree())
            .failed;
    };
    const Bytes evidence = scene.amd.evidence();
    EXPECT_THAT(failures(evidence, kNow), IsEmpty());
    EXPECT_THAT(failures(evidence, kNow), IsEmpty());
    EXPECT_EQ(memo.size(), 1U);
    EXPECT_THAT(failures(evidence, kNow + 10 * 365 * kSecondsPerDay),
                ::testing::Contains("crl.ark"));
    // One bit of the report is other evidence.
    Bytes altered = evidence;
    altered.at(0x50) ^= std::byte{1};
    EXPECT_THAT(failures(altered, kNow), ElementsAre("report.signature"));
    EXPECT_THAT(failures(altered, kNow), ElementsAre("report.signature"));
}

TEST(SnpEmulated, IsNotOfAmd) {
    Scene scene;
    Verification verification = attestation::verify::verify_quote(
        scene.amd.evidence(), scene.endorsements, attestation::verify::Roots::amd(), kNow);
    // Names and critical marker of an emulated chain are refused before its root is.
    EXPECT_THAT(summarise(verification.tree()).failed, ElementsAre("vek.chain", "vek.root"));
}

// C01: the right names and another key.
TEST(SnpEmulated, ARootOfTheSameNameIsNotTheRoot) {
    AuthorityKeys others = AuthorityKeys::generate(2048);
    Scene scene;
    SyntheticAmd fake(others, Product::genoa, kNow);
    EXPECT_THAT(summarise(scene.verify(fake.evidence()).tree()).failed,
                ElementsAre("vek.root", "crl.ark"));
    // Only the report, with certificates of the other AMD beside it.
    EXPECT_THAT(summarise(scene.verify(fake.signed_report()).tree()).failed,
                ElementsAre("vek.certificates"));
}

// K05.
TEST(SnpEmulated, RevokedCertificatesAreRefused) {
    Scene scene;
    scene.amd.ark_revoked = {scene.amd.ask_recipe.serial};
    scene.endorsements.amd.ark_crl = scene.amd.ark_crl();
    EXPECT_THAT(scene.failures(), ElementsAre("crl.ark"));
    scene.amd.set_kind(SigningKey::vlek);
    EXPECT_THAT(scene.failures(), IsEmpty());
    scene.amd.ark_revoked = {scene.amd.asvk_recipe.serial};
    scene.endorsements.amd.ark_crl = scene.amd.ark_crl();
    EXPECT_THAT(scene.failures(), ElementsAre("crl.ark"));

    Scene chip;
    chip.amd.vek_recipe.serial = x509::Serial::random();
    chip.endorsements.amd.ask_crl = chip.amd.ask_crl();
    EXPECT_THAT(chip.failures(), IsEmpty());
    chip.amd.ask_revoked = {chip.amd.vek_recipe.serial};
    chip.endorsements.amd.ask_crl = chip.amd.ask_crl();
    EXPECT_THAT(chip.failures(), ElementsAre("crl.ask"));
}

// K04: missing, out of its window, of another CA, altered.
TEST(SnpEmulated, RevocationListsMustBeGenuineAndCurrent) {
    Scene scene;
    scene.endorsements.amd.ark_crl.reset();
    Verification without = scene.verify();
    EXPECT_THAT(summarise(without.tree()).failed, IsEmpty());
    EXPECT_THAT(summarise(without.tree()).not_evaluated, ElementsAre("crl.ark"));

    scene.endorsements.amd.ark_crl = scene.amd.ask_crl();
    EXPECT_THAT(scene.failures(), ElementsAre("crl.ark"));
    scene.endorsements.amd.ark_crl = scene.amd.ark_crl();
    scene.endorsements.amd.ark_crl->back() ^= std::byte{1};
    EXPECT_THAT(scene.failures(), ElementsAre("crl.ark"));
    scene.endorsements.amd.ark_crl = to_bytes("not a list");
    EXPECT_THAT(scene.failures(), ElementsAre("crl.ark"));
    scene.endorsements.amd.ark_crl = scene.amd.ark_crl();
    scene.time = scene.amd.crl_validity.not_after + 1;
    EXPECT_THAT(scene.failures(), ElementsAre("crl.ark"));
    scene.time = scene.amd.crl_validity.not_before - 1;
    EXPECT_THAT(scene.failures(), ElementsAre("crl.ark"));
}

TEST(SnpEmulated, TheCertificateMustBeOfThisTcb) {
    for (std::uint8_t Tcb::* part :
         {&Tcb::fmc, &Tcb::boot_loader, &Tcb::tee, &Tcb::snp, &Tcb::microcode}) {
        Scene scene(Product::turin);
        scene.amd.vek.tcb.*part = static_cast<std::uint8_t>(scene.amd.vek.tcb.*part + 1);
        EXPECT_THAT(scene.failures(), ElementsAre("report.tcb"));
    }
    // Of the current TCB, where the report says an older one.
    Scene scene;
    Tcb newer = scene.amd.vek.tcb;
    newer.microcode = 220;
    scene.amd.vek.tcb = newer;
    scene.amd.report.current_tcb = join_tcb(newer, Product::genoa);
    EXPECT_THAT(scene.failures(), ElementsAre("report.tcb"));
    // SPLs from 128 on take two bytes as an INTEGER.
    scene.amd.set_tcb({0, 255, 128, 127, 1});
    EXPECT_THAT(scene.failures(), IsEmpty());
}

TEST(SnpEmulated, NothingRunsOrCommitsLessThanItReports) {
    Scene scene;
    scene.amd.report.current_tcb = join_tcb({0, 3, 0, 24, 219}, Product::genoa);
    EXPECT_THAT(scene.failures(), ElementsAre("report.tcb_order"));
    scene = Scene();
    scene.amd.report.committed_tcb = join_tcb({0, 4, 0, 24, 218}, Product::genoa);
    EXPECT_THAT(scene.failures(), ElementsAre("report.tcb_order"));
    // A higher microcode does not make up for an older boot loader.
    scene.amd.report.committed_tcb = join_tcb({0, 3, 0, 255, 255}, Product::genoa);
    EXPECT_THAT(scene.failures(), ElementsAre("report.tcb_order"));
    scene = Scene();
    scene.amd.report.current_tcb = join_tcb({0, 5, 0, 25, 220}, Product::genoa);
    EXPECT_THAT(scene.failures(), IsEmpty());
    // The layout of another product.
    scene.amd.report.launch_tcb[3] = std::byte{1};
    EXPECT_THAT(scene.failures(), ElementsAre("report.tcb_order"));
}

TEST(SnpEmulated, TheCertificateMustBeOfThisChipAndProduct) {
    Scene scene;
    scene.amd.report.chip_id[63] ^= std::byte{1};
    EXPECT_THAT(scene.failures(), ElementsAre("report.chip_id"));
    scene.amd.report.chip_id = {};  // masked by the host
    EXPECT_THAT(scene.failures(), ElementsAre("report.chip_id"));
    Scene turin(Product::turin);
    turin.amd.report.chip_id[8] = std::byte{1};  // behind the eight bytes that are certified
    EXPECT_THAT(turin.failures(), ElementsAre("report.chip_id"));

    Scene product(Product::milan);
    product.amd.report.cpuid = snp_arch::Cpuid{25, 17, 1};
    EXPECT_THAT(product.failures(), ElementsAre("report.product"));
    // A report of version 2 names no product.
    Scene old(Product::milan);
    old.amd.report.version = 2;
    old.amd.report.cpuid.reset();
    EXPECT_THAT(old.failures(), IsEmpty());
}

// C12, C04: each CA signs what it is for, and nothing else signs at all.
TEST(SnpEmulated, OfSeveralCertificatesTheOneThatFitsIsTaken) {
    Scene scene;
    auto with = [&](const x509::Certificate& more) {
        scene.endorsements.amd.certificates = {to_bytes(more.der())};
        return scene.failures();
    };
    // The chip's authority again, for another certificate of it.
    SyntheticAmd again(keys(), snp_arch::Product::genoa, kNow);
    again.vek = scene.amd.vek;
    auto of_another_key = [&] { return with(again.vek_certificate()); };
    EXPECT_THAT(of_another_key(), ElementsAre("vek.certificates"));
    again.vek.chip_id->at(0) ^= std::byte{1};
    EXPECT_THAT(of_another_key(), IsEmpty());
    again.vek = scene.amd.vek;
    again.vek.tcb.snp ^= 1;
    EXPECT_THAT(of_another_key(), IsEmpty());

    // AMD certifies one key as often as it is asked: the oldest is taken.
    const x509::Certificate first = scene.amd.vek_certificate();
    const x509::Validity validity = scene.amd.vek_recipe.validity;
    scene.amd.vek_recipe.serial = x509::Serial::random();
    EXPECT_THAT(with(first), IsEmpty());
    scene.amd.vek_recipe.validity.not_before = kNow + 1;
    EXPECT_THAT(with(first), IsEmpty());
    scene.amd.vek_recipe.validity = {validity.not_before - 2, kNow - 1};
    EXPECT_THAT(with(first), ElementsAre("vek.validity"));
    scene.amd.vek_recipe.validity.not_after = validity.not_after;

    // Where none fits, none is taken for the one that was meant.
    scene.amd.report.chip_id.at(0) ^= std::byte{2};
    EXPECT_THAT(of_another_key(), ElementsAre("vek.certificates"));
}

TEST(SnpEmulated, RolesAreNotConfused) {
    Scene scene;
    scene.amd.issuer = Issuer::asvk;  // an ASVK over a VCEK
    EXPECT_THAT(scene.failures(), ElementsAre("vek.chain"));
    scene.amd.issuer = Issuer::ark;  // no CA in between
    EXPECT_THAT(scene.failures(), ElementsAre("vek.chain"));
    scene.amd.issuer = Issuer::ask;  // an ASK over a VLEK
    scene.amd.set_kind(SigningKey::vlek);
    EXPECT_THAT(scene.failures(), ElementsAre("vek.chain"));
    // A VCEK that the report calls a VLEK.
    scene = Scene();
    scene.amd.report.signing_key = SigningKey::vlek;
    EXPECT_THAT(scene.failures(), ElementsAre("vek.kind"));
    // The CA itself in place of the chip's certificate.
    scene = Scene();
    scene.amd.vek_recipe.extensions = {
        x509::make_basic_constraints({.is_ca = true, .path_length = 0})};
    EXPECT_THAT(scene.failures(), ElementsAre("vek.certificates"));
    // Names of two products in one chain.
    scene = Scene();
    scene.amd.ask_recipe.cn = "EMULATED SEV-Milan";
    EXPECT_THAT(scene.failures(), ElementsAre("vek.chain"));
    scene = Scene();
    scene.amd.vek_recipe.cn = "EMULATED VCEK";
    EXPECT_THAT(scene.failures(), ElementsAre("vek.chain"));
}

// C05.
TEST(SnpEmulated, CasMustBeCas) {
    auto with_ask = [](std::vector<x509::Extension> extensions) {
        Scene scene;
        scene.amd.ask_recipe.extensions = std::move(extensions);
        return scene.failures();
    };
    const x509::Extension sign = x509::make_key_usage(x509::kKeyCertSign);
    const x509::Extension ca = x509::make_basic_constraints({.is_ca = true, .path_length = 0});
    EXPECT_THAT(with_ask({sign, ca}), IsEmpty());
    EXPECT_THAT(with_ask({ca}), ElementsAre("vek.chain"));
    EXPECT_THAT(with_ask({x509::make_key_usage(x509::kCrlSign), ca}), ElementsAre("vek.chain"));
    EXPECT_THAT(with_ask({sign, ca, {oid::kVekCspId, x509::Critical::kYes, {}}}),
                ElementsAre("vek.chain"));
    EXPECT_FALSE(with_ask({sign}).empty());
    Scene scene;
    scene.amd.ark_recipe.extensions[1] =
        x509::make_basic_constraints({.is_ca = true, .path_length = 0});
    EXPECT_THAT(scene.failures(), ElementsAre("vek.chain"));
}

// C11.
TEST(SnpEmulated, EveryCertificateMustBeValidAtTheTime) {
    for (CertificateRecipe SyntheticAmd::* recipe :
         {&SyntheticAmd::ark_recipe, &SyntheticAmd::ask_recipe, &SyntheticAmd::vek_recipe}) {
        Scene early;
        (early.amd.*recipe).validity.not_before = kNow + 1;
        EXPECT_THAT(early.failures(), ElementsAre("vek.validity"));
        Scene late;
        (late.amd.*recipe).validity.not_after = kNow - 1;
        EXPECT_THAT(late.failures(), ElementsAre("vek.validity"));
        (late.amd.*recipe).validity.not_after = kNow;
        if (recipe == &SyntheticAmd::ark_recipe) continue;  // made once
        EXPECT_THAT(late.failures(), IsEmpty());
    }
}

TEST(SnpEmulated, TheExtensionsMustDescribeAChip) {
    auto failures_with = [](auto alter) {
        Scene scene;
        alter(scene.amd.vek);
        return scene.failures();
    };
    using attestation::endorsements::VekExtension;
    EXPECT_THAT(failures_with([](VekExtension& vek) { vek.product_name = "Rome"; }),
                ElementsAre("vek.extension"));
    EXPECT_THAT(failures_with([](VekExtension& vek) { vek.chip_id.reset(); }),
                ElementsAre("vek.extension"));
    EXPECT_THAT(failures_with([](VekExtension& vek) { vek.csp_id = "CN=both"; }),
                ElementsAre("vek.extension"));
    // Turin's extensions in a Genoa certificate: FMC and a short HWID.
    EXPECT_THAT(failures_with([](VekExtension& vek) {
                    vek.product = Product::turin;
                    vek.product_name = "Genoa";
                }),
                ElementsAre("vek.extension"));
    EXPECT_THAT(failures_with([](VekExtension& vek) { vek.product_name = "Genoa-B1"; }), IsEmpty());
}

// C07: a report of one chip with the certificates of another.
TEST(SnpEmulated, EvidenceIsNotPutTogetherFromTwo) {
    Scene scene;
    SyntheticAmd other(keys(), Product::genoa, kNow);
    other.vek_key = crypto::P384PrivateKey::generate();
    Bytes der = to_bytes(other.vek_certificate().der());
    scene.endorsements.amd.certificates = {der, to_bytes(scene.amd.ask().der())};
    EXPECT_THAT(summarise(scene.verify(scene.amd.signed_report()).tree()).failed,
                ElementsAre("report.signature"));
    scene.endorsements.amd.certificates[0] = to_bytes(scene.amd.vek_certificate().der());
    EXPECT_THAT(summarise(scene.verify(scene.amd.signed_report()).tree()).failed, IsEmpty());
}

// Endorsements out of a bundle: the VCEK by chip and TCB, its issuers and list by product.
TEST(SnpEmulated, BundlesServeManyChips) {
    using attestation::endorsements::Piece;
    using attestation::endorsements::PieceKind;
    Scene scene;
    SyntheticAmd older(keys(), Product::genoa, kNow);
    older.set_tcb({0, 4, 0, 24, 200});
    SyntheticAmd other(keys(), Product::genoa, kNow);
    other.vek.chip_id->front() = std::byte{1};
    auto piece = [](PieceKind kind, const char* key, ByteView content) {
        Piece out;
        out.kind = kind;
        out.key = key;
        out.content = to_bytes(content);
        return out;
    };
    const std::string issuers = x509::encode_pem("CERTIFICATE", scene.amd.ask().der()) +
                                x509::encode_pem("CERTIFICATE", scene.amd.ark().der());
    scene.endorsements = {};
    scene.endorsements.pieces = {piece(PieceKind::amd_vcek, "a", older.vek_certificate().der()),
                                 piece(PieceKind::amd_vcek, "b", other.vek_certificate().der()),
                                 piece(PieceKind::amd_vcek, "c", scene.amd.vek_certificate().der()),
                                 piece(PieceKind::amd_vcek_issuers, "genoa", as_bytes(issuers)),
                                 piece(PieceKind::amd_crl, "genoa", scene.amd.ark_crl())};
    Verification verification = scene.verify(scene.amd.signed_report());
    EXPECT_THAT(summarise(verification.tree()).failed, IsEmpty())
        << render_text(verification.tree());
    EXPECT_THAT(summarise(verification.tree()).not_evaluated, IsEmpty());
    // Whose list it is stands in the list, not in its key.
    scene.endorsements.pieces[4].key = "milan";
    EXPECT_THAT(summarise(scene.verify(scene.amd.signed_report()).tree()).not_evaluated, IsEmpty());
    SyntheticAmd milan(keys(), Product::milan, kNow);
    scene.endorsements.pieces[4].content = milan.ark_crl();
    EXPECT_THAT(summarise(scene.verify(scene.amd.signed_report()).tree()).not_evaluated,
                ElementsAre("crl.ark"));
    // A bundle without this chip says so.
    scene.endorsements.pieces.erase(scene.endorsements.pieces.begin() + 2);
    EXPECT_THAT(summarise(scene.verify(scene.amd.signed_report()).tree()).failed,
                ElementsAre("vek.certificates"));
}

// Somebody else's pieces behind one's own: an older list under a key that one's own bundle lacks,
// and a certificate of that product which verification has no use for.
TEST(SnpEmulated, AnOlderListUnderAnotherKeyDoesNotHideOnesOwn) {
    using attestation::endorsements::Piece;
    using attestation::endorsements::PieceKind;
    Scene scene;
    SyntheticAmd decoy(keys(), Product::turin, kNow);
    decoy.set_kind(SigningKey::vlek);
    auto list = [](const char* key, Bytes content) {
        Piece out;
        out.kind = PieceKind::amd_crl;
        out.key = key;
        out.content = std::move(content);
        return out;
    };
    const Bytes older = scene.amd.ark_crl();
    scene.amd.ark_revoked = {scene.amd.ask_recipe.serial};
    scene.endorsements = {};
    scene.endorsements.amd.certificates = {to_bytes(decoy.vek_certificate().der()),
                                           to_bytes(scene.amd.vek_certificate().der()),
                                           to_bytes(scene.amd.ask().der())};
    scene.endorsements.pieces = {list("genoa", scene.amd.ark_crl()), list("turin", older)};
    EXPECT_THAT(summarise(scene.verify(scene.amd.signed_report()).tree()).failed,
                ElementsAre("crl.ark"));
    // That list alone is taken: it is genuine and current, and nothing contradicts it.
    scene.endorsements.pieces.erase(scene.endorsements.pieces.begin());
    EXPECT_THAT(summarise(scene.verify(scene.amd.signed_report()).tree()).failed, IsEmpty());
}

// M22: r or s of zero, or beyond the group's order.
TEST(SnpEmulated, ImpossibleSignaturesAreRefused) {
    Scene scene;
    for (std::byte value : {std::byte{0}, std::byte{0xff}}) {
        for (std::size_t at : {0x2a0u, 0x2e8u}) {
            Bytes report = scene.amd.evidence();
            std::fill_n(report.begin() + static_cast<std::ptrdiff_t>(at), 48, value);
            EXPECT_THAT(summarise(scene.verify(report).tree()).failed,
                        ElementsAre("report.signature"));
        }
    }
}

}  // namespace
}  // namespace eos::emulation::snp
