// SPDX-License-Identifier: AGPL-3.0-only
// What fits a report among the pieces of a bundle.
#include "common/attestation/verify/snp_chain.h"

namespace eos::attestation::verify {
namespace {

using endorsements::Piece;
using endorsements::PieceKind;
using endorsements::VekExtension;
using snp_arch::SigningKey;

/// Whether the certificate says that it is of the key that signed this report. Its signature
/// decides later.
bool fits(const VekExtension& vek, const snp_arch::Report& report) {
    if (vek.kind != report.signing_key) return false;
    if (vek.chip_id.has_value() && *vek.chip_id != report.chip_id) return false;
    if (report.product().value_or(vek.product) != vek.product) return false;
    Result<snp_arch::Tcb> reported = split_tcb(report.reported_tcb, vek.product);
    return reported.has_value() && *reported == vek.tcb;
}

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
        if (!vek || !fits(*vek, report)) continue;
        out.certificates.push_back(piece.content);
        return vek->product;
    }
    return {};
}

/// The product of a VCEK or VLEK that came with the evidence or was given by itself.
std::optional<snp_arch::Product> product_of_given(const VekCertificates& given) {
    for (const x509::Certificate& certificate : given.veks) {
        Result<VekExtension> vek = endorsements::parse_vek_extension(certificate);
        if (vek) return vek->product;
    }
    return {};
}

}  // namespace

endorsements::AmdEndorsements fitting_amd(const evidence::SnpEvidence& evidence,
                                          const endorsements::Endorsements& all) {
    endorsements::AmdEndorsements out = all.amd;
    Result<VekCertificates> given = collect_certificates(evidence, all.amd);
    if (all.pieces.empty() || !given) return out;
    const snp_arch::Report& report = evidence.report;
    std::optional<snp_arch::Product> product =
        given->veks.empty() ? add_vek(all.pieces, report, out) : product_of_given(*given);
    if (!product) product = report.product();
    if (!product) return out;
    const std::string key = endorsements::piece_key(*product);
    const bool is_vcek = report.signing_key == SigningKey::vcek;
    const Piece* issuers = find_piece(
        all.pieces, is_vcek ? PieceKind::amd_vcek_issuers : PieceKind::amd_vlek_issuers, key);
    if (given->issuers.empty() && given->roots.empty() && issuers != nullptr) {
        out.certificates.push_back(issuers->content);
    }
    const Piece* list = find_piece(all.pieces, PieceKind::amd_crl, key);
    if (!out.ark_crl.has_value() && list != nullptr) out.ark_crl = list->content;
    return out;
}

}  // namespace eos::attestation::verify
