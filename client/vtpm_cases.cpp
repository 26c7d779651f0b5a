// SPDX-License-Identifier: AGPL-3.0-only
#include "client/case_outcomes.h"
#include "client/files.h"
#include "client/vtpm_files.h"
#include "common/attestation/verify/vtpm.h"

namespace eos::client {
namespace {

namespace evidence = attestation::evidence;
namespace verify = attestation::verify;

const verify::Roots& roots() {
    static const verify::Roots roots =
        verify::Roots::of({verify::Vendor::intel, verify::Vendor::amd});
    return roots;
}

/// Hardware evidence with the runtime data that it binds, and no TPM's quote under its key.
Result<CaseResult> run_hcl_alone(const VtpmFiles& files,
                                 attestation::endorsements::Endorsements endorsements,
                                 UnixTime time) {
    Result<evidence::HclReport> hcl = evidence::parse_hcl_report(*files.hcl);
    if (!hcl) return refused_syntax(hcl.error());
    const bool is_snp = hcl->hardware == evidence::HclHardware::snp_report;
    if (!is_snp && !files.td_quote.has_value()) {
        return refused_syntax(Error(evidence::bad_vtpm_evidence, "a TD report without a quote"));
    }
    if (is_snp && files.td_quote.has_value()) {
        return refused_syntax(Error(evidence::bad_vtpm_evidence,
                                    "a file is neither an HCL report, a TPM's quote nor a "
                                    "certificate"));
    }
    endorsements.amd.certificates = files.certificates;
    const verify::Verification verification = verify::verify_quote(
        is_snp ? ByteView(hcl->hardware_report) : *files.td_quote, endorsements, roots(), time);
    if (verification.evidence() == nullptr) {
        return outcome_of(verification.tree(), verify::Verdict::fail, "report.signature");
    }
    const bool is_bound = std::visit(
        [&](const auto& claims) {
            return equal(claims.report.report_data, hcl->expected_report_data());
        },
        verification.evidence()->claims());
    CaseResult out;
    out.found = is_bound ? "VALID" : "REJECT";
    out.deciding_node = "hcl.report_data";
    if (!is_bound) out.failed = {out.deciding_node};
    return out;
}

/// Where the hardware's status is stated, alone ("OutOfDate") or beside the binding ("VALID
/// binding; TD quote verdict OutOfDate"), it must be the one found.
void compare_status(const EvidenceCase& one, const verify::VtpmVerification& verification,
                    CaseResult& out) {
    if (!verification.is_genuine || !verification.hardware.has_value()) return;
    const auto& tcb = verification.hardware->evidence()->tcb();
    if (!tcb.has_value()) return;
    const std::string_view status = tcb_status_name(tcb->status);
    out.detail = "status of the hardware: " + std::string(status);
    constexpr std::string_view kWords = "TD quote verdict ";
    std::string_view stated = one.verdict;
    if (const std::size_t at = stated.find(kWords); at != stated.npos) {
        stated.remove_prefix(at + kWords.size());
        // "as" some other case: that case states it.
        if (!stated.starts_with("as ")) {
            if (stated_word(stated) != status) out.agreement = Agreement::differ;
        }
    } else if (!stated.starts_with("VALID") && !stated.starts_with("REJECT")) {
        out.found = status;
        out.deciding_node = "tcb.level";
    }
}

Result<CaseResult> run_plain(const Bytes& file, const verify::TpmDemands& demands) {
    Result<evidence::PlainTpmEvidence> plain = evidence::parse_plain_tpm(file);
    if (!plain) return refused_syntax(plain.error());
    const verify::VtpmVerification verification = verify::verify_plain_tpm(*plain, demands);
    return outcome_of(verification.tree,
                      verification.is_genuine ? verify::Verdict::pass : verify::Verdict::fail,
                      "tpm.signature");
}

}  // namespace

Result<CaseResult> run_vtpm(const std::filesystem::path& folder, const EvidenceCase& one) {
    const CaseEvidence loaded = EOS_TRY(load_case(folder, one));
    const verify::TpmDemands demands{
        .nonce = stated_nonce(one.verdict), .pcrs = {}, .selected = {}};
    VtpmFiles files;
    for (const std::string& name : one.files) {
        Bytes file = EOS_TRY(read_file(folder / name));
        if (one.kind.starts_with("TPM ")) return run_plain(file, demands);
        if (!is_collateral(name)) EOS_TRY(sort_in(std::move(file), files));
    }
    const UnixTime time = one.time.value_or(UnixTime{});
    if (!files.whole && files.hcl && !files.tpm_quote) {
        if (demands.nonce || one.kind.find("TPM2 quote") != one.kind.npos) {
            return fail(bad_case, "it states a TPM's quote, and no file holds one");
        }
        return run_hcl_alone(files, loaded.endorsements, time);
    }
    Result<evidence::AzureVtpmEvidence> azure = parse_vtpm(std::move(files));
    if (!azure) return refused_syntax(azure.error());
    attestation::endorsements::Endorsements endorsements = loaded.endorsements;
    endorsements.amd.certificates.clear();  // they are the evidence's
    const verify::VtpmVerification verification =
        verify::verify_azure_vtpm(*azure, endorsements, roots(), demands, time);
    CaseResult out = outcome_of(
        verification.tree, verification.is_genuine ? verify::Verdict::pass : verify::Verdict::fail,
        "tpm.signature");
    compare_status(one, verification, out);
    return out;
}

}  // namespace eos::client
