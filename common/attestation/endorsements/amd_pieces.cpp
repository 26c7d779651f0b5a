// SPDX-License-Identifier: AGPL-3.0-only
#include "common/attestation/endorsements/amd_pieces.h"

#include "common/attestation/endorsements/amd_certificates.h"
#include "common/attestation/endorsements/vek.h"
#include "common/base/encoding.h"
#include "common/oid/registry.h"
#include "common/x509/crl.h"
#include "common/x509/pem.h"

namespace eos::attestation::endorsements {
namespace {

using snp_arch::Product;
using snp_arch::SigningKey;
using x509::Certificate;

std::string common_name(const x509::DistinguishedName& name) {
    return name.display(oid::kCommonName).value_or("");
}

/// The product at the end of a CA's name: "SEV-VLEK-Genoa".
Result<Product> product_in(const x509::DistinguishedName& name) {
    const std::string text = common_name(name);
    const std::size_t hyphen = text.rfind('-');
    std::optional<Product> product =
        hyphen == text.npos ? std::nullopt : snp_arch::product_from_name(text.substr(hyphen + 1));
    if (!product) return fail(bad_bundle, "no CA of AMD's: " + name.display());
    return *product;
}

Result<std::vector<Certificate>> all_certificates(const AmdEndorsements& amd) {
    std::vector<Certificate> out;
    for (const Bytes& bytes : amd.certificates) {
        if (!as_chars(bytes).starts_with("-----BEGIN")) {
            out.push_back(EOS_TRY(Certificate::parse(bytes)));
            continue;
        }
        for (Certificate& one : EOS_TRY(x509::parse_pem_certificates(as_chars(bytes))))
            out.push_back(std::move(one));
    }
    return out;
}

Result<Certificate> root_of(const Certificate& issuer, const std::vector<Certificate>& given) {
    for (const Certificate& one : given)
        if (one.is_self_issued() && one.subject() == issuer.issuer()) return one;
    for (const AmdCertificate& one : amd_roots())
        if (one.certificate.subject() == issuer.issuer()) return one.certificate;
    return fail(bad_bundle, "the root above " + issuer.subject().display() + " is missing");
}

Result<Piece> piece_of(const Certificate& one, const std::vector<Certificate>& given) {
    if (one.is_ca()) {
        const bool vlek = common_name(one.subject()).find("VLEK") != std::string::npos;
        Certificate root = EOS_TRY(root_of(one, given));
        return Piece{.kind = vlek ? PieceKind::amd_vlek_issuers : PieceKind::amd_vcek_issuers,
                     .key = piece_key(EOS_TRY(product_in(one.subject()))),
                     .content = to_bytes(x509::encode_pem("CERTIFICATE", one.der()) +
                                         x509::encode_pem("CERTIFICATE", root.der()))};
    }
    const bool vlek = EOS_TRY(parse_vek_extension(one)).kind == SigningKey::vlek;
    return Piece{.kind = vlek ? PieceKind::amd_vlek : PieceKind::amd_vcek,
                 .key = hex(crypto::sha256(one.der())),
                 .content = to_bytes(one.der())};
}

}  // namespace

Result<std::vector<Piece>> amd_pieces(const AmdEndorsements& amd) {
    std::vector<Piece> out;
    const std::vector<Certificate> given = EOS_TRY(all_certificates(amd));
    for (const Certificate& one : given) {
        if (one.is_self_issued()) continue;  // goes with the CAs below it
        Piece piece = EOS_TRY(piece_of(one, given));
        const Piece* same = find_piece(out, piece.kind, piece.key);
        if (same == nullptr) {
            out.push_back(std::move(piece));
        } else if (same->content != piece.content) {
            return fail(bad_bundle, "two of " + std::string(piece_kind_name(piece.kind)));
        }
    }
    if (amd.ask_crl) return fail(bad_bundle, "it has no place for a list of an ASK or ASVK");
    if (!amd.ark_crl) return out;
    x509::Crl crl = EOS_TRY(x509::Crl::parse(*amd.ark_crl));
    out.push_back({.kind = PieceKind::amd_crl,
                   .key = piece_key(EOS_TRY(product_in(crl.issuer()))),
                   .content = *amd.ark_crl});
    return out;
}

}  // namespace eos::attestation::endorsements
