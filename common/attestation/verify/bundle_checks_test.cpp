// SPDX-License-Identifier: AGPL-3.0-only
#include "common/attestation/verify/bundle_checks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/attestation/verify/corpus_test.h"
#include "common/attestation/verify/synthetic_intel_test.h"
#include "common/base/encoding.h"
#include "common/x509/pem.h"

namespace eos::attestation::verify {
namespace {

using endorsements::Endorsements;
using endorsements::Piece;
using endorsements::PieceKind;
using endorsements::to_pieces;
using testing::Corpus;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::kNow;
using testing::pem;
using testing::SyntheticIntel;
using ::testing::UnorderedElementsAre;

std::vector<Piece> pieces_of(const SyntheticIntel& intel) {
    Endorsements single = intel.endorsements();
    single.pck_crl_issuer_chain_pem = pem(intel.ca()) + pem(intel.root());
    return to_pieces(single, kNow, "test").value();
}

std::vector<std::string> failures(const std::vector<Piece>& pieces, const Roots& roots,
                                  UnixTime time = kNow) {
    return summarise(check_pieces(pieces, roots, {time})).failed;
}

TEST(BundleChecks, GenuinePiecesPass) {
    SyntheticIntel intel;
    std::vector<Piece> pieces = pieces_of(intel);
    x509::Certificate pck = intel.pck();
    pieces.push_back({.kind = PieceKind::intel_pck,
                      .key = hex(crypto::sha256(pck.der())),
                      .content = to_bytes(pck.der()),
                      .issuer_chain_pem = pem(intel.ca()) + pem(intel.root())});
    Check tree = check_pieces(pieces, intel.roots(), {kNow});
    EXPECT_EQ(summarise(tree).verdict, Verdict::pass) << render_text(tree);
    EXPECT_NE(find_check(tree, "bundle.sgx-qe-identity.signature"), nullptr);
    EXPECT_EQ(summarise(check_pieces({}, intel.roots(), {kNow})).verdict, Verdict::not_evaluated);
}

TEST(BundleChecks, AnAlteredPieceIsNamed) {
    SyntheticIntel intel;
    const std::vector<Piece> good = pieces_of(intel);
    for (std::size_t i : {0u, 1u, 2u, 3u}) {
        std::vector<Piece> pieces = good;
        if (endorsements::is_signed_object(pieces[i].kind)) {
            pieces[i].signature[40] ^= std::byte{1};
        } else {
            pieces[i].content.back() ^= std::byte{1};  // of the list's signature
        }
        std::string id = "bundle." + std::string(piece_kind_name(pieces[i].kind));
        if (!pieces[i].key.empty()) id += "." + pieces[i].key;
        EXPECT_THAT(failures(pieces, intel.roots()), ElementsAre(id + ".signature"));
    }
}

TEST(BundleChecks, RolesAreNotMixed) {
    SyntheticIntel intel;
    std::vector<Piece> pieces = pieces_of(intel);
    std::string fmspc = pieces[2].key;
    // A statement by the PCK key, and a list by the root that names the signer as the PCK CA.
    pieces[2].issuer_chain_pem = pem(intel.pck()) + pem(intel.root());
    pieces[1].issuer_chain_pem = pem(intel.signer()) + pem(intel.root());
    EXPECT_THAT(failures(pieces, intel.roots()),
                UnorderedElementsAre("bundle.sgx-tcb-info." + fmspc + ".chain",
                                     "bundle.intel-pck-crl.platform.chain"));
    pieces = pieces_of(intel);
    pieces[2].key = "000000000000";
    EXPECT_THAT(failures(pieces, intel.roots()),
                ElementsAre("bundle.sgx-tcb-info.000000000000.platform"));
}

TEST(BundleChecks, AnotherRootIsRefused) {
    SyntheticIntel intel, other;
    std::vector<Piece> pieces = pieces_of(intel);
    std::string fmspc = pieces[2].key;
    for (const Roots& roots : {other.roots(), Roots::intel()}) {
        EXPECT_THAT(failures(pieces, roots),
                    UnorderedElementsAre(
                        "bundle.intel-root-crl.chain", "bundle.intel-pck-crl.platform.chain",
                        "bundle.sgx-tcb-info." + fmspc + ".chain", "bundle.sgx-qe-identity.chain"));
    }
}

TEST(BundleChecks, ExpiredAndFuturePiecesAreNamed) {
    SyntheticIntel intel;
    intel.crl_validity.not_after = kNow - 1;
    intel.qe_identity["issueDate"] = rfc3339(kNow + 1);
    EXPECT_THAT(
        failures(pieces_of(intel), intel.roots()),
        UnorderedElementsAre("bundle.intel-root-crl.dates", "bundle.intel-pck-crl.platform.dates",
                             "bundle.sgx-qe-identity.dates"));
}

TEST(BundleChecks, EvidenceIsVerifiedWithABundle) {
    SyntheticIntel intel;
    Endorsements all;
    all.pieces = pieces_of(intel);
    Verification verification = verify_quote(intel.quote(), all, intel.roots(), kNow);
    EXPECT_EQ(summarise(verification.tree()).verdict, Verdict::pass)
        << render_text(verification.tree());
    // Pieces of other platforms are not looked at, and not missed.
    all.pieces[2].key = "ffffffffffff";
    Verification other = verify_quote(intel.quote(), all, intel.roots(), kNow);
    EXPECT_THAT(summarise(other.tree()).not_evaluated, ElementsAre("tcb.level"));
    EXPECT_THAT(summarise(other.tree()).failed, IsEmpty());
}

// A bundle must not change a verdict: every row of the corpus, one by one and as one bundle piece.
TEST_F(Corpus, ABundleGivesTheSameVerdicts) {
    std::size_t compared = 0;
    for (const testing::Row& row : rows_) {
        Result<std::vector<Piece>> pieces = to_pieces(row.endorsements, row.time, "corpus");
        if (!pieces.has_value() || pieces->size() != 4) continue;
        Endorsements all;
        all.pieces = *pieces;
        Verification with_bundle = verify_quote(row.quote, all, Roots::intel(), row.time);
        Verification one_by_one =
            verify_quote(row.quote, row.endorsements, Roots::intel(), row.time);
        EXPECT_EQ(render_text(with_bundle.tree()), render_text(one_by_one.tree()))
            << row.text("id");
        ++compared;
        if (one_by_one.evidence() == nullptr) continue;
        Check tree = check_pieces(*pieces, Roots::intel(), {row.time});
        EXPECT_THAT(summarise(tree).failed, IsEmpty()) << row.text("id") << render_text(tree);
    }
    EXPECT_GE(compared, 10u);
}

}  // namespace
}  // namespace eos::attestation::verify
