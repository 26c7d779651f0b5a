// SPDX-License-Identifier: AGPL-3.0-only
// The pieces of AMD's in a bundle: CAs, the certificate of a chip or provider, the root's list.
#include <array>

#include "common/attestation/verify/piece_checks.h"
#include "common/attestation/verify/snp_chain.h"
#include "common/base/encoding.h"
#include "common/x509/crl.h"
#include "common/x509/pem.h"

namespace eos::attestation::verify {
namespace {

using endorsements::Piece;
using endorsements::PieceKind;
using endorsements::VekExtension;
using snp_arch::Product;
using snp_arch::SigningKey;
using x509::Certificate;

SigningKey signing_key_of(PieceKind kind) {
    const bool vlek = kind == PieceKind::amd_vlek || kind == PieceKind::amd_vlek_issuers;
    return vlek ? SigningKey::vlek : SigningKey::vcek;
}

/// The product in the key: the bundle's parser took no other.
Result<Product> product_of(const Piece& piece) {
    std::optional<Product> product = endorsements::product_from_key(piece.key);
    if (!product) return fail(bad_chain, "no product of AMD's: " + printable(as_bytes(piece.key)));
    return *product;
}

Result<void> check_issuers(const Piece& piece, const PieceScope& scope) {
    const VekIssuerRole role{signing_key_of(piece.kind), EOS_TRY(product_of(piece))};
    std::vector<Certificate> chain = EOS_TRY(x509::parse_pem_certificates(as_chars(piece.content)));
    if (chain.size() != 2) return fail(bad_chain, "expected ASK or ASVK and then ARK");
    EOS_TRY(check_vek_issuer(chain[0], chain[1], role, scope.roots));
    return check_known_root(chain[1], scope);
}

/// The CAs that the bundle has for this certificate; none if it has none that can be read, which
/// is told about that piece.
VekCertificates issuers_of(const VekExtension& vek, const PieceScope& scope) {
    VekCertificates out;
    const PieceKind kind =
        vek.kind == SigningKey::vlek ? PieceKind::amd_vlek_issuers : PieceKind::amd_vcek_issuers;
    const Piece* piece = find_piece(scope.pieces, kind, endorsements::piece_key(vek.product));
    if (piece == nullptr) return out;
    Result<std::vector<Certificate>> chain = x509::parse_pem_certificates(as_chars(piece->content));
    if (!chain.has_value() || chain->size() != 2) return out;
    out.issuers.push_back(chain->front());
    out.roots.push_back(chain->back());
    return out;
}

Result<void> check_vek(const Certificate& leaf, const VekExtension& vek, const PieceScope& scope) {
    VekChain chain = EOS_TRY(complete_chain(leaf, issuers_of(vek, scope), scope.roots));
    EOS_TRY(check_vek_chain(chain, scope.roots));
    const std::array<const Certificate*, 2> above{&chain.issuer, &chain.root};
    Instant at(scope.time);
    EOS_TRY(check_validity(above, at));
    return check_known_root(chain.root, scope);
}

/// What the certificate says it is for, if that is what the piece is said to be.
Result<VekExtension> read_vek(const Certificate& leaf, PieceKind kind) {
    VekExtension vek = EOS_TRY(endorsements::parse_vek_extension(leaf));
    if (vek.kind == signing_key_of(kind)) return vek;
    return fail(bad_chain, vek.kind == SigningKey::vlek ? "is a VLEK" : "is a VCEK");
}

std::vector<Check> vek_checks(const std::string& id, const Piece& piece, const PieceScope& scope) {
    auto described = [&]() -> Result<VekExtension> {
        return read_vek(EOS_TRY(Certificate::parse(piece.content)), piece.kind);
    }();
    auto trusted = [&]() -> Result<void> {
        Certificate leaf = EOS_TRY(Certificate::parse(piece.content));
        return check_vek(leaf, EOS_TRY(endorsements::parse_vek_extension(leaf)), scope);
    }();
    return {from_result(piece_subject(id + ".chain"), trusted),
            from_result(piece_subject(id + ".dates"), check_dates(piece, scope)),
            from_result(piece_subject(id + ".platform"),
                        described.has_value() ? Result<void>() : fail(described.error()))};
}

/// Whether one of the product's roots signed the list. Its dates are a check of their own.
Result<void> check_list(const Piece& piece, const std::vector<Certificate>& arks) {
    x509::Crl crl = EOS_TRY(x509::Crl::parse(piece.content));
    Result<void> outcome = fail(x509::wrong_crl_issuer, crl.issuer().display());
    for (const Certificate& ark : arks) {
        if (!outcome.has_value()) outcome = crl.verify_issuer(ark);
    }
    return outcome;
}

std::vector<Check> list_checks(const std::string& id, const Piece& piece, const PieceScope& scope) {
    auto find_roots = [&]() -> Result<std::vector<Certificate>> {
        const Product product = EOS_TRY(product_of(piece));
        std::vector<Certificate> arks = arks_of(product, scope.roots);
        if (!arks.empty()) return arks;
        return fail(bad_chain, "none is the ARK of " + std::string(product_name(product)) + ": " +
                                   scope.roots.describe());
    };
    Result<std::vector<Certificate>> arks = find_roots();
    Result<void> trusted = arks.has_value() ? Result<void>() : fail(arks.error());
    Result<void> signature =
        arks.has_value() ? check_list(piece, *arks) : Result<void>(fail(arks.error()));
    return {from_result(piece_subject(id + ".chain"), trusted),
            after(trusted, piece_subject(id + ".signature"), signature),
            from_result(piece_subject(id + ".dates"), check_dates(piece, scope))};
}

}  // namespace

std::vector<Check> check_amd_piece(const std::string& id, const Piece& piece,
                                   const PieceScope& scope) {
    if (piece.kind == PieceKind::amd_crl) return list_checks(id, piece, scope);
    if (piece.kind == PieceKind::amd_vcek || piece.kind == PieceKind::amd_vlek)
        return vek_checks(id, piece, scope);
    return {from_result(piece_subject(id + ".chain"), check_issuers(piece, scope)),
            from_result(piece_subject(id + ".dates"), check_dates(piece, scope))};
}

}  // namespace eos::attestation::verify
