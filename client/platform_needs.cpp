// SPDX-License-Identifier: AGPL-3.0-only
#include "client/platform_needs.h"

#include "client/evidence_files.h"
#include "client/files.h"
#include "common/attestation/endorsements/pck.h"
#include "common/attestation/endorsements/vek.h"
#include "common/attestation/evidence/quote.h"
#include "common/base/encoding.h"
#include "common/ratls/leaf.h"
#include "common/x509/pem.h"

namespace eos::client {
namespace {

using attestation::endorsements::PieceKind;
using attestation::evidence::SnpEvidence;
using attestation::evidence::SnpTableEntry;
using attestation::evidence::SnpTableKind;
using snp_arch::Product;
using snp_arch::SigningKey;

Result<Bytes> evidence_in(const std::filesystem::path& file) {
    EvidenceFile whole = EOS_TRY(read_evidence(file));
    if (is_evidence(whole.bytes)) return std::move(whole.bytes);
    Result<std::vector<x509::Certificate>> chain = read_certificates(file);
    if (!chain) return std::move(whole.bytes);
    ratls::LeafClaimsView claims = EOS_TRY(ratls::read_leaf(chain->front()));
    if (!claims.evidence) return fail(no_platform, file.string() + ": no evidence in it");
    return to_bytes(claims.evidence->bytes);
}

Result<std::vector<Wanted>> needs_of_quote(const attestation::evidence::IntelQuote& quote,
                                           const std::string& tee) {
    std::vector<x509::Certificate> chain =
        EOS_TRY(x509::parse_pem_chain(as_bytes(quote.pck_chain_pem)));
    attestation::endorsements::PckExtension platform =
        EOS_TRY(attestation::endorsements::parse_pck_extension(chain.front()));
    bool processor = chain.front().issuer().display().find("Processor") != std::string::npos;
    return needs_of(IntelModel{tee, hex(platform.fmspc), processor ? "processor" : "platform"});
}

/// Product and kind of key by the certificate that came with a report.
std::optional<Product> product_of_table(const SnpEvidence& evidence) {
    for (const SnpTableEntry& entry : evidence.table) {
        if (entry.kind != SnpTableKind::vcek && entry.kind != SnpTableKind::vlek) continue;
        Result<x509::Certificate> certificate = x509::Certificate::parse(entry.content);
        if (!certificate) continue;
        auto vek = attestation::endorsements::parse_vek_extension(*certificate);
        if (vek) return vek->product;
    }
    return {};
}

Result<std::vector<Wanted>> needs_of_report(const SnpEvidence& evidence,
                                            std::optional<Product> stated) {
    const snp_arch::Report& report = evidence.report;
    std::optional<Product> in_table = product_of_table(evidence);
    std::optional<Product> product = report.product();
    if (!product) product = in_table ? in_table : stated;
    if (!product)
        return fail(no_platform, "the report does not name its product: say --amd-product");
    std::vector<Wanted> out = needs_of(*product, report.signing_key);
    if (in_table) return out;
    if (report.signing_key == SigningKey::vlek)
        return fail(no_platform, "a VLEK is handed on by its provider: give it with the report");
    if (all_zero(report.chip_id))
        return fail(no_platform, "the host masks the chip id: no VCEK can be asked for");
    snp_arch::Tcb tcb = EOS_TRY(split_tcb(report.reported_tcb, *product));
    out.push_back({PieceKind::amd_vcek, "", ChipTcb{*product, report.chip_id, tcb}});
    return out;
}

}  // namespace

std::vector<Wanted> needs_of(const IntelModel& model) {
    const bool tdx = model.tee == "tdx";
    return {{tdx ? PieceKind::tdx_tcb_info : PieceKind::sgx_tcb_info, model.fmspc, {}},
            {tdx ? PieceKind::tdx_qe_identity : PieceKind::sgx_qe_identity, "", {}},
            {PieceKind::intel_pck_crl, model.pck_ca, {}},
            {PieceKind::intel_root_crl, "", {}}};
}

std::vector<Wanted> needs_of(Product product, SigningKey kind) {
    const std::string key = attestation::endorsements::piece_key(product);
    const bool vlek = kind == SigningKey::vlek;
    return {{vlek ? PieceKind::amd_vlek_issuers : PieceKind::amd_vcek_issuers, key, {}},
            {PieceKind::amd_crl, key, {}}};
}

Result<std::vector<Wanted>> needs_of_file(const std::filesystem::path& file,
                                          std::optional<Product> product) {
    Bytes bytes = EOS_TRY(evidence_in(file));
    attestation::evidence::Evidence evidence =
        EOS_TRY(attestation::evidence::parse_evidence(bytes));
    if (auto* sgx = std::get_if<attestation::evidence::SgxQuote>(&evidence.quote()))
        return needs_of_quote(*sgx, "sgx");
    if (auto* tdx = std::get_if<attestation::evidence::TdxQuote>(&evidence.quote()))
        return needs_of_quote(*tdx, "tdx");
    return needs_of_report(std::get<SnpEvidence>(evidence.quote()), product);
}

}  // namespace eos::client
