// SPDX-License-Identifier: AGPL-3.0-only
#include "client/vtpm_files.h"

#include <algorithm>
#include <iterator>

#include "client/evidence_files.h"
#include "client/files.h"
#include "common/json/json.h"

namespace eos::client {
namespace {

namespace evidence = attestation::evidence;

bool is_json_object(ByteView file) {
    const std::string_view text = as_chars(file);
    const std::size_t first = text.find_first_not_of(" \t\r\n");
    return first != text.npos && text[first] == '{';
}

bool is_hcl_report(ByteView file) {
    return as_chars(file).starts_with("HCLA");
}

/// Whether it is a JSON object with this member.
bool has_member(ByteView file, const char* name) {
    Result<json::Value> value = json::parse(file, {.size_bytes = evidence::kMaxVtpmJsonBytes});
    return value && value->is_object() && value->contains(name);
}

Result<void> put(std::optional<Bytes>& place, Bytes file, const char* what) {
    if (place.has_value()) {
        return fail(evidence::bad_vtpm_evidence, std::string("a second ") + what);
    }
    place = std::move(file);
    return {};
}

/// What is given and not looked at was meant otherwise.
Result<void> check_all_needed(const VtpmFiles& files) {
    if (files.whole && (files.hcl || files.tpm_quote || files.td_quote)) {
        return fail(evidence::bad_vtpm_evidence,
                    "the JSON object has the reports and quotes: only certificates go with it");
    }
    return {};
}

/// The same of a quote or certificates beside the other kind of hardware.
Result<void> check_all_needed(const evidence::AzureVtpmEvidence& all) {
    const bool is_snp = all.hcl.hardware == evidence::HclHardware::snp_report;
    if (is_snp && !all.td_quote.empty()) {
        return fail(evidence::bad_vtpm_evidence,
                    "a file is neither an HCL report, a TPM's quote nor a certificate, which is "
                    "all that goes with an SNP report");
    }
    if (!is_snp && all.td_quote.empty()) {
        return fail(evidence::bad_vtpm_evidence, "no TD quote: give it beside the HCL report");
    }
    return {};
}

}  // namespace

bool is_vtpm_file(ByteView file) {
    return is_json_object(file) || is_hcl_report(file);
}

bool is_plain_tpm(ByteView file) {
    return is_json_object(file) && has_member(file, "ak_public");
}

Result<void> sort_in(Bytes file, VtpmFiles& out) {
    if (is_json_object(file)) {
        if (has_member(file, "message")) return put(out.tpm_quote, std::move(file), "TPM quote");
        return put(out.whole, std::move(file), "JSON object");
    }
    if (is_hcl_report(file)) return put(out.hcl, std::move(file), "HCL report");
    if (holds_certificate(as_chars(file))) {
        out.certificates.push_back(std::move(file));
        return {};
    }
    return put(out.td_quote, unwrap_evidence(std::move(file)).bytes, "TD quote");
}

Result<evidence::AzureVtpmEvidence> parse_vtpm(VtpmFiles files) {
    if (files.whole.has_value()) {
        evidence::AzureVtpmEvidence out = EOS_TRY(evidence::parse_azure_vtpm(*files.whole));
        std::ranges::move(files.certificates, std::back_inserter(out.certificates));
        return out;
    }
    if (!files.hcl.has_value()) return fail(evidence::bad_vtpm_evidence, "no HCL report");
    if (!files.tpm_quote.has_value()) return fail(evidence::bad_vtpm_evidence, "no TPM quote");
    return evidence::AzureVtpmEvidence{
        .hcl = EOS_TRY(evidence::parse_hcl_report(*files.hcl)),
        .quote = EOS_TRY(evidence::parse_azure_tpm_quote(*files.tpm_quote)),
        .certificates = std::move(files.certificates),
        .td_quote = std::move(files.td_quote).value_or(Bytes())};
}

Result<evidence::AzureVtpmEvidence> read_vtpm_files(
    const std::vector<std::filesystem::path>& files) {
    VtpmFiles sorted;
    for (const std::filesystem::path& path : files) {
        Bytes file = EOS_TRY(read_file(path));
        if (is_plain_tpm(file)) {
            return fail(tpm_alone, path.string() +
                                       ": no policy can accept it, but `enclavectl "
                                       "evidence show` looks at it");
        }
        Result<void> done = sort_in(std::move(file), sorted);
        if (!done) return fail(std::move(done).error().within(path.string()));
    }
    EOS_TRY(check_all_needed(sorted));
    evidence::AzureVtpmEvidence out = EOS_TRY(parse_vtpm(std::move(sorted)));
    EOS_TRY(check_all_needed(out));
    return out;
}

}  // namespace eos::client
