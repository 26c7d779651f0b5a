// SPDX-License-Identifier: AGPL-3.0-only
#include "common/attestation/verify/vtpm.h"

#include "common/base/encoding.h"

namespace eos::attestation::verify {
namespace {

constexpr Subject kReportData{"hcl.report_data", "docs/formats/verification.md 7.1",
                              "the runtime data, and with it the TPM's key, is not of this guest"};
constexpr Subject kTdReport{"hcl.td_report", "docs/formats/verification.md 7.2",
                            "the TD report and the TD quote are of two guests"};
constexpr Subject kHardware{"hcl.hardware", "docs/formats/verification.md 7.2",
                            "the HCL report must carry the kind of report that comes with it"};
constexpr Subject kSignature{"tpm.signature", "docs/formats/verification.md 7.3",
                             "the quote was altered, or made by the TPM of another guest"};
constexpr Subject kDigest{"tpm.pcr_digest", "docs/formats/verification.md 7.4",
                          "the values beside the quote are not those that the TPM signed"};
constexpr Subject kNonce{"tpm.nonce", "docs/formats/verification.md 7.5",
                         "the quote answers another question: ask again with a new nonce"};
constexpr Subject kSelection{"tpm.selection", "docs/formats/verification.md 7.5",
                             "the quote must cover every PCR that is relied on"};
constexpr Subject kPcrs{"tpm.pcrs", "docs/formats/verification.md 7.5",
                        "the guest booted something else: review it, then demand its values"};
constexpr Subject kEndorsement{"tpm.endorsement", "docs/formats/verification.md 7.6",
                               "nothing vouches for this key: compare it with one you know"};

std::string numbers(const std::set<unsigned>& values) {
    std::string out;
    for (unsigned value : values) out += (out.empty() ? "" : ", ") + std::to_string(value);
    return out;
}

Check digest_check(const evidence::TpmQuote& quote) {
    Bytes selected;
    for (unsigned i = 0; i < evidence::kPcrCount; ++i) {
        if ((quote.attest.selected >> i & 1) != 0) append(selected, quote.pcrs[i]);
    }
    const crypto::Digest32 digest = crypto::sha256(selected);
    if (digest == quote.attest.pcr_digest) return passed(kDigest);
    return failed(kDigest, {hex(quote.attest.pcr_digest), hex(digest)});
}

Check nonce_check(const evidence::TpmAttest& attest, const TpmDemands& demands) {
    if (!demands.nonce.has_value()) {
        Check check = not_evaluated(kNonce, "no nonce was asked with: its age is not known");
        check.weight = Weight::informative;
        check.found = hex(attest.extra_data);
        return check;
    }
    // An empty nonce is no question at all.
    if (!demands.nonce->empty() && equal(*demands.nonce, attest.extra_data)) return passed(kNonce);
    return failed(kNonce, {hex(*demands.nonce), hex(attest.extra_data)});
}

Check selection_check(const evidence::TpmAttest& attest, const TpmDemands& demands) {
    std::set<unsigned> needed = demands.selected;
    for (const auto& [number, value] : demands.pcrs) needed.insert(number);
    std::set<unsigned> found;
    for (unsigned i = 0; i < evidence::kPcrCount; ++i) {
        if ((attest.selected >> i & 1) != 0) found.insert(i);
    }
    for (unsigned number : needed) {
        if (!found.contains(number)) return failed(kSelection, {numbers(needed), numbers(found)});
    }
    if (found.empty()) return failed(kSelection, {"at least one PCR", "none"});
    return passed(kSelection, "PCR " + numbers(found));
}

Check pcrs_check(const evidence::TpmQuote& quote, const TpmDemands& demands) {
    for (const auto& [number, value] : demands.pcrs) {
        if (number < quote.pcrs.size() && quote.pcrs[number] == value) continue;
        std::string name = "PCR " + std::to_string(number) + " ";
        std::string found = number < quote.pcrs.size() ? hex(quote.pcrs[number]) : "none";
        return failed(kPcrs, {name + hex(value), name + found});
    }
    return passed(kPcrs, demands.pcrs.empty() ? "none is demanded" : "");
}

/// What is about the quote alone.
std::vector<Check> quote_checks(const evidence::TpmQuote& quote, const crypto::RsaPublicKey& key,
                                const TpmDemands& demands) {
    return {from_result(kSignature, key.verify_pkcs1_sha256(quote.message, quote.signature)),
            digest_check(quote), nonce_check(quote.attest, demands),
            selection_check(quote.attest, demands), pcrs_check(quote, demands)};
}

Check compare(const Subject& subject, ByteView expected, ByteView found) {
    if (equal(expected, found)) return passed(subject);
    return failed(subject, {hex(expected), hex(found)});
}

/// Hardware evidence → runtime data. The report data is compared also where the hardware's own
/// checks failed, so that every failure is shown.
std::vector<Check> hcl_checks(const evidence::AzureVtpmEvidence& evidence,
                              const Result<evidence::Evidence>& hardware) {
    const ByteArray<64> expected = evidence.hcl.expected_report_data();
    std::vector<Check> checks;
    if (!hardware.has_value()) {
        checks.push_back(failed(kHardware, hardware.error()));
        return checks;
    }
    const auto* snp = std::get_if<evidence::SnpEvidence>(&hardware->quote());
    const auto* tdx = std::get_if<evidence::TdxQuote>(&hardware->quote());
    const bool is_snp = evidence.hcl.hardware == evidence::HclHardware::snp_report;
    if ((is_snp && snp == nullptr) || (!is_snp && tdx == nullptr)) {
        checks.push_back(failed(kHardware, {is_snp ? "an SNP report" : "a TDX quote", "another"}));
        return checks;
    }
    checks.push_back(passed(kHardware));
    checks.push_back(
        compare(kReportData, expected, is_snp ? snp->report.report_data : tdx->report.report_data));
    if (!is_snp) {
        checks.push_back(
            compare(kTdReport, tdx->report.report_data, evidence.hcl.td_report_data()));
    }
    return checks;
}

}  // namespace

VtpmVerification verify_azure_vtpm(const evidence::AzureVtpmEvidence& evidence,
                                   const endorsements::Endorsements& endorsements,
                                   const Roots& roots, const TpmDemands& demands, UnixTime time) {
    const bool is_snp = evidence.hcl.hardware == evidence::HclHardware::snp_report;
    const ByteView bytes =
        is_snp ? ByteView(evidence.hcl.hardware_report) : ByteView(evidence.td_quote);
    endorsements::Endorsements all = endorsements;
    for (const Bytes& certificate : evidence.certificates)
        all.amd.certificates.push_back(certificate);
    VtpmVerification out;
    out.hardware = verify_quote(bytes, all, roots, time);
    Check hardware = out.hardware->tree();
    hardware.id = "hardware";
    out.tree = group(
        "evidence",
        {std::move(hardware), group("hcl", hcl_checks(evidence, evidence::parse_evidence(bytes))),
         group("tpm", quote_checks(evidence.quote, evidence.hcl.attestation_key, demands))});
    out.is_genuine = out.hardware->evidence() != nullptr && summarise(out.tree).failed.empty();
    return out;
}

VtpmVerification verify_plain_tpm(const evidence::PlainTpmEvidence& evidence,
                                  const TpmDemands& demands) {
    std::vector<Check> checks = quote_checks(evidence.quote, evidence.attestation_key, demands);
    Check endorsement = not_evaluated(kEndorsement, "only that this key signed can be said");
    endorsement.weight = Weight::informative;
    checks.push_back(std::move(endorsement));
    VtpmVerification out;
    out.tree = group("evidence", {group("tpm", std::move(checks))});
    out.is_genuine = summarise(out.tree).failed.empty();
    return out;
}

}  // namespace eos::attestation::verify
