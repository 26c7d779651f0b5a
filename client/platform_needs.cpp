// SPDX-License-Identifier: AGPL-3.0-only
#include "client/platform_needs.h"

#include "client/evidence_files.h"
#include "client/files.h"
#include "client/foreign_evidence.h"
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

/// The evidence of a file: itself, or in a certificate of ours or of another project.
Result<CarriedEvidence> evidence_in(const std::filesystem::path& file) {
    EvidenceFile whole = EOS_TRY(read_evidence(file));
    if (is_evidence(whole.bytes)) return CarriedEvidence{std::move(whole.bytes), {}};
    Result<std::vector<x509::Certificate>> chain = read_certificates(file);
    if (!chain) return CarriedEvidence{std::move(whole.bytes), {}};
    if (is_foreign(chain->front())) return carried_evidence(chain->front());
    ratls::LeafClaimsView claims = EOS_TRY(ratls::read_leaf(chain->front()));
    if (!claims.evidence) return fail(no_platform, file.string() + ": no evidence in it");
    return CarriedEvidence{to_bytes(claims.evidence->bytes), {}};
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

/// The product that a VCEK or VLEK is of.
std::optional<Product> product_of_key(const x509::Certificate& certificate) {
    auto vek = attestation::endorsements::parse_vek_extension(certificate);
    return vek ? std::optional(vek->product) : std::nullopt;
}

/// The same of the first among certificates, DER or PEM.
std::optional<Product> product_of_keys(const std::vector<Bytes>& certificates) {
    for (const Bytes& one : certificates) {
        if (Result<x509::Certificate> der = x509::Certificate::parse(one)) {
            if (auto product = product_of_key(*der)) return product;
            continue;
        }
        const auto pem = x509::parse_pem_certificates(as_chars(one));
        if (!pem) continue;
        for (const x509::Certificate& certificate : *pem) {
            if (auto product = product_of_key(certificate)) return product;
        }
    }
    return {};
}

/// The certificates of keys that came with a report, in its table or beside it.
std::vector<Bytes> keys_with(const SnpEvidence& evidence, std::vector<Bytes> beside) {
    for (const SnpTableEntry& entry : evidence.table) {
        if (entry.kind == SnpTableKind::vcek || entry.kind == SnpTableKind::vlek)
            beside.push_back(to_bytes(entry.content));
    }
    return beside;
}

/// The product of a report by what is beside it.
struct Beside {
    std::optional<Product> of_its_key;
    std::optional<Product> stated;
};

Result<std::vector<Wanted>> needs_of_report(const snp_arch::Report& report, const Beside& beside) {
    std::optional<Product> product = report.product();
    if (!product) product = beside.of_its_key ? beside.of_its_key : beside.stated;
    if (!product)
        return fail(no_platform, "the report does not name its product: say --amd-product");
    std::vector<Wanted> out = needs_of(*product, report.signing_key);
    if (beside.of_its_key) return out;
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
    CarriedEvidence carried = EOS_TRY(evidence_in(file));
    attestation::evidence::Evidence evidence =
        EOS_TRY(attestation::evidence::parse_evidence(carried.hardware));
    if (auto* sgx = std::get_if<attestation::evidence::SgxQuote>(&evidence.quote()))
        return needs_of_quote(*sgx, "sgx");
    if (auto* tdx = std::get_if<attestation::evidence::TdxQuote>(&evidence.quote()))
        return needs_of_quote(*tdx, "tdx");
    const SnpEvidence& snp = std::get<SnpEvidence>(evidence.quote());
    const std::vector<Bytes> keys = keys_with(snp, std::move(carried.certificates));
    return needs_of_report(snp.report, {.of_its_key = product_of_keys(keys), .stated = product});
}

}  // namespace eos::client
