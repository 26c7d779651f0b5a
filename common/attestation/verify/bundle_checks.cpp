// SPDX-License-Identifier: AGPL-3.0-only
#include "common/attestation/verify/bundle_checks.h"

#include <array>

#include "common/attestation/endorsements/tcb.h"
#include "common/attestation/verify/pck_chain.h"
#include "common/attestation/verify/piece_checks.h"
#include "common/base/encoding.h"
#include "common/x509/crl.h"
#include "common/x509/pem.h"

namespace eos::attestation::verify {
namespace {

using endorsements::Piece;
using endorsements::PieceKind;
using x509::Certificate;

Result<SignerChain> trusted_signer(const Piece& piece, const PieceScope& scope) {
    SignerChain chain = EOS_TRY(parse_signer_chain(piece.issuer_chain_pem));
    EOS_TRY(check_signer_chain(chain, scope.roots));
    const std::array<const Certificate*, 2> all{&chain.signer, &chain.root};
    Instant at(scope.time);
    EOS_TRY(check_validity(all, at));
    EOS_TRY(check_known_root(chain.root, scope));
    return chain;
}

Result<void> check_signature(const Piece& piece, const SignerChain& chain) {
    return EOS_TRY(chain.signer.p256_key()).verify_raw(piece.content, piece.signature);
}

Result<void> check_tee(endorsements::IntelTee found, endorsements::IntelTee expected) {
    if (found == expected) return {};
    return fail(bad_chain, "is about " + std::string(intel_tee_name(found)));
}

/// Whether a statement is about what its kind and key in the bundle say.
Result<void> check_platform(const Piece& piece) {
    using endorsements::IntelTee;
    if (piece.kind == PieceKind::sgx_qe_identity || piece.kind == PieceKind::tdx_qe_identity) {
        endorsements::QeIdentity identity = EOS_TRY(endorsements::parse_qe_identity(piece.content));
        return check_tee(identity.tee,
                         piece.kind == PieceKind::tdx_qe_identity ? IntelTee::tdx : IntelTee::sgx);
    }
    endorsements::TcbInfo info = EOS_TRY(endorsements::parse_tcb_info(piece.content));
    if (hex(info.fmspc) != piece.key) return fail(bad_chain, "is about FMSPC " + hex(info.fmspc));
    return check_tee(info.tee,
                     piece.kind == PieceKind::tdx_tcb_info ? IntelTee::tdx : IntelTee::sgx);
}

std::vector<Check> check_statement(const std::string& id, const Piece& piece,
                                   const PieceScope& scope) {
    Result<SignerChain> chain = trusted_signer(piece, scope);
    Result<void> trusted = chain.has_value() ? Result<void>() : fail(chain.error());
    Result<void> signature =
        chain.has_value() ? check_signature(piece, *chain) : Result<void>(fail(chain.error()));
    std::vector<Check> out{from_result(piece_subject(id + ".chain"), trusted),
                           after(trusted, piece_subject(id + ".signature"), signature),
                           from_result(piece_subject(id + ".dates"), check_dates(piece, scope))};
    out.push_back(from_result(piece_subject(id + ".platform"), check_platform(piece)));
    return out;
}

/// A root that any piece of the set leads to and that is one of the given ones.
Result<Certificate> any_trusted_root(const PieceScope& scope) {
    for (const Piece& piece : scope.pieces) {
        Result<std::vector<Certificate>> chain =
            x509::parse_pem_certificates(piece.issuer_chain_pem);
        if (chain.has_value() && scope.roots.find(chain->back()).has_value()) return chain->back();
    }
    return fail(bad_chain, "no piece leads to " + scope.roots.describe());
}

/// PCK CA and root as the piece names them.
Result<Certificate> pck_crl_issuer(const Piece& piece, const PieceScope& scope) {
    std::vector<Certificate> chain = EOS_TRY(x509::parse_pem_certificates(piece.issuer_chain_pem));
    if (chain.size() != 2) return fail(bad_chain, "expected PCK CA and root");
    EOS_TRY(check_known_root(chain[1], scope));
    EOS_TRY(check_pck_ca(chain[0], chain[1], scope.roots));
    const std::array<const Certificate*, 2> all{&chain[0], &chain[1]};
    Instant at(scope.time);
    EOS_TRY(check_validity(all, at));
    return chain[0];
}

std::vector<Check> check_list(const std::string& id, const Piece& piece, const PieceScope& scope) {
    Result<Certificate> issuer = piece.kind == PieceKind::intel_root_crl
                                     ? any_trusted_root(scope)
                                     : pck_crl_issuer(piece, scope);
    Result<void> trusted = issuer.has_value() ? Result<void>() : fail(issuer.error());
    auto verify_list = [&]() -> Result<void> {
        x509::Crl crl = EOS_TRY(x509::Crl::parse(piece.content));
        return crl.verify_signed_by(EOS_TRY(EOS_TRY(Result<Certificate>(issuer)).p256_key()));
    };
    return {from_result(piece_subject(id + ".chain"), trusted),
            after(trusted, piece_subject(id + ".signature"), verify_list()),
            from_result(piece_subject(id + ".dates"), check_dates(piece, scope))};
}

std::vector<Check> check_pck(const std::string& id, const Piece& piece, const PieceScope& scope) {
    auto verify_chain = [&]() -> Result<void> {
        Certificate leaf = EOS_TRY(Certificate::parse(piece.content));
        PckChain chain = EOS_TRY(
            parse_pck_chain(x509::encode_pem("CERTIFICATE", leaf.der()) + piece.issuer_chain_pem));
        EOS_TRY(check_pck_chain(chain, scope.roots));
        return check_known_root(chain.root, scope);
    };
    return {from_result(piece_subject(id + ".chain"), verify_chain()),
            from_result(piece_subject(id + ".dates"), check_dates(piece, scope))};
}

std::vector<Check> check_piece(const std::string& id, const Piece& piece, const PieceScope& scope) {
    switch (piece.kind) {
        case PieceKind::sgx_tcb_info:
        case PieceKind::tdx_tcb_info:
        case PieceKind::sgx_qe_identity:
        case PieceKind::tdx_qe_identity:
            return check_statement(id, piece, scope);
        case PieceKind::intel_root_crl:
        case PieceKind::intel_pck_crl:
            return check_list(id, piece, scope);
        case PieceKind::intel_pck:
            return check_pck(id, piece, scope);
        case PieceKind::amd_vcek:
        case PieceKind::amd_vlek:
        case PieceKind::amd_vcek_issuers:
        case PieceKind::amd_vlek_issuers:
        case PieceKind::amd_crl:
            return check_amd_piece(id, piece, scope);
    }
    __builtin_unreachable();
}

}  // namespace

Subject piece_subject(const std::string& id) {
    return {id, "docs/formats/bundle.md; docs/formats/verification.md 2, 3 and 4",
            "get this piece again: enclavectl bundle refresh"};
}

Result<void> check_known_root(const Certificate& root, const PieceScope& scope) {
    if (scope.roots.find(root).has_value()) return {};
    return fail(bad_chain, "leads to " + root.subject().display() + " (" +
                               hex(crypto::sha256(root.der())) + "), expected " +
                               scope.roots.describe());
}

Result<void> check_dates(const Piece& piece, const PieceScope& scope) {
    endorsements::PieceDates dates = EOS_TRY(endorsements::dates_of(piece));
    if (scope.time < dates.issued || scope.time > dates.next_update) {
        return fail(outside_validity,
                    "holds from " + rfc3339(dates.issued) + " to " + rfc3339(dates.next_update));
    }
    const bool has_limit = scope.max_age_s > 0 && !endorsements::is_certificate(piece.kind);
    if (!has_limit || scope.time - dates.issued <= scope.max_age_s) return {};
    return fail(outside_validity, "was issued " + rfc3339(dates.issued) + ", too long ago");
}

Check after(const Result<void>& needed, const Subject& subject, const Result<void>& outcome) {
    if (!needed.has_value()) return not_evaluated(subject, "it is not known who signed it");
    return from_result(subject, outcome);
}

Check check_pieces(const std::vector<Piece>& pieces, const Roots& roots, const PieceTimes& times) {
    const PieceScope scope{pieces, roots, times.time, times.max_age_s};
    std::vector<Check> all;
    for (const Piece& piece : pieces) {
        std::string id = "bundle." + std::string(piece_kind_name(piece.kind));
        if (!piece.key.empty()) id += "." + piece.key;
        all.push_back(group(id, check_piece(id, piece, scope)));
    }
    return group("bundle", std::move(all));
}

}  // namespace eos::attestation::verify
