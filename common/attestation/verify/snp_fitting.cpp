// SPDX-License-Identifier: AGPL-3.0-only
// What fits a report among the pieces of a bundle.
#include "common/attestation/verify/snp_chain.h"
#include "common/x509/crl.h"

namespace eos::attestation::verify {
namespace {

using endorsements::Piece;
using endorsements::PieceKind;
using endorsements::VekExtension;
using snp_arch::SigningKey;

/// The first VCEK or VLEK among the pieces that fits, and its product.
std::optional<snp_arch::Product> add_vek(const std::vector<Piece>& pieces,
                                         const snp_arch::Report& report,
                                         endorsements::AmdEndorsements& out) {
    const PieceKind kind =
        report.signing_key == SigningKey::vcek ? PieceKind::amd_vcek : PieceKind::amd_vlek;
    for (const Piece& piece : pieces) {
        if (piece.kind != kind) continue;
        Result<x509::Certificate> certificate = x509::Certificate::parse(piece.content);
        if (!certificate) continue;
        Result<VekExtension> vek = endorsements::parse_vek_extension(*certificate);
        if (!vek || !is_vek_of(*vek, report)) continue;
        out.certificates.push_back(piece.content);
        return vek->product;
    }
    return {};
}

/// The product of the VCEK or VLEK that came with the evidence or was given by itself: of the one
/// that verification will choose, whatever else lies beside it.
std::optional<snp_arch::Product> product_of_given(const VekCertificates& given,
                                                  const snp_arch::Report& report) {
    Result<x509::Certificate> chosen = choose_vek(given, report);
    if (!chosen) return {};
    Result<VekExtension> vek = endorsements::parse_vek_extension(*chosen);
    if (!vek) return {};
    return vek->product;
}

/// The root above what verification will choose.
Result<x509::Certificate> root_above(const evidence::SnpEvidence& evidence,
                                     const endorsements::AmdEndorsements& amd, const Roots& roots) {
    VekCertificates given = EOS_TRY(collect_certificates(evidence, amd));
    x509::Certificate leaf = EOS_TRY(choose_vek(given, evidence.report));
    return EOS_TRY(complete_chain(std::move(leaf), given, roots)).root;
}

/// The first list of this issuer. A piece's key is its maker's word, and pieces may be of several
/// makers, the most trusted first: whose list it is stands in the list.
const Piece* list_of(const std::vector<Piece>& pieces, const x509::Certificate& issuer) {
    for (const Piece& piece : pieces) {
        if (piece.kind != PieceKind::amd_crl) continue;
        Result<x509::Crl> crl = x509::Crl::parse(piece.content);
        if (crl && crl->issuer() == issuer.subject()) return &piece;
    }
    return nullptr;
}

}  // namespace

endorsements::AmdEndorsements fitting_amd(const evidence::SnpEvidence& evidence,
                                          const endorsements::Endorsements& all,
                                          const Roots& roots) {
    endorsements::AmdEndorsements out = all.amd;
    Result<VekCertificates> given = collect_certificates(evidence, all.amd);
    if (all.pieces.empty() || !given) return out;
    const snp_arch::Report& report = evidence.report;
    std::optional<snp_arch::Product> product =
        given->veks.empty() ? add_vek(all.pieces, report, out) : product_of_given(*given, report);
    if (!product) product = report.product();
    if (!product) return out;
    const std::string key = endorsements::piece_key(*product);
    const bool is_vcek = report.signing_key == SigningKey::vcek;
    const Piece* issuers = find_piece(
        all.pieces, is_vcek ? PieceKind::amd_vcek_issuers : PieceKind::amd_vlek_issuers, key);
    if (given->issuers.empty() && given->roots.empty() && issuers != nullptr) {
        out.certificates.push_back(issuers->content);
    }
    if (out.ark_crl.has_value()) return out;
    Result<x509::Certificate> root = root_above(evidence, out, roots);
    const Piece* list = root ? list_of(all.pieces, *root) : nullptr;
    if (list != nullptr) out.ark_crl = list->content;
    return out;
}

}  // namespace eos::attestation::verify
