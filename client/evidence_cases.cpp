// SPDX-License-Identifier: AGPL-3.0-only
#include "client/evidence_cases.h"

#include <algorithm>
#include <array>

#include "client/files.h"
#include "common/attestation/verify/vtpm.h"
#include "common/base/encoding.h"
#include "common/json/json.h"
#include "common/ratls/foreign_leaf.h"

namespace eos::client {
namespace {

namespace endorsements = attestation::endorsements;
namespace evidence = attestation::evidence;
namespace verify = attestation::verify;

constexpr std::size_t kMaxTextBytes = 4096;
constexpr std::size_t kMaxFiles = 128;

std::string text_member(const json::Value& row, const char* name) {
    auto it = row.find(name);
    return it != row.end() && it->is_string() ? it->get<std::string>() : std::string();
}

/// Names come from a file: they stay below the folder that holds it.
bool is_below(const std::filesystem::path& name) {
    return !name.empty() && name.is_relative() &&
           std::ranges::none_of(name, [](const auto& part) { return part == ".."; });
}

Result<EvidenceCase> read_case(const json::Value& row, std::size_t index) {
    json::Object object = EOS_TRY(json::Object::of(row, json::element_path("cases", index)));
    EvidenceCase out;
    out.id = EOS_TRY(object.text("id", kMaxTextBytes));
    out.kind = EOS_TRY(object.text("kind", kMaxTextBytes));
    out.verdict = EOS_TRY(object.text("verdict", kMaxTextBytes));
    const json::Value* files = EOS_TRY(object.array("files", kMaxFiles));
    for (std::size_t i = 0; files != nullptr && i < files->size(); ++i) {
        out.files.push_back(EOS_TRY(json::as_text(
            (*files)[i], json::element_path(object.path("files"), i), kMaxTextBytes)));
        if (!is_below(out.files.back())) return fail(bad_case, out.id + ": " + out.files.back());
    }
    const std::string time = text_member(row, "time");
    if (!time.empty() && time != "-") {
        Result<UnixTime> parsed = parse_rfc3339(time);
        if (!parsed) return fail(std::move(parsed).error().within(out.id));
        out.time = *parsed;
    }
    return out;
}

/// Words of a stated rejection, and the nodes that say the same.
struct Reason {
    std::string_view words;
    std::array<std::string_view, 3> nodes;  ///< a node or, with a dot behind, a group
};
constexpr std::array<Reason, 8> kReasons{{
    {"quote signature", {"quote.signature"}},
    {"report signature", {"report.signature"}},
    {"no PCK chain", {"quote.syntax"}},
    {"bytes instead of", {"quote.syntax"}},
    {"untrusted root", {"pck.root", "pck.chain", "vek.root"}},
    {"not signed by the AMD", {"vek.chain"}},
    {"no matching TCB level", {"tcb.", "tdx_module."}},
    {"does not parse", {"quote.syntax", "pck.certificates"}},
}};

/// Whether one of the failed checks is what the stated rejection is about. Words that are not known
/// here are taken for any rejection.
bool is_stated_reason(std::string_view stated, const std::vector<std::string>& failed) {
    for (const Reason& reason : kReasons) {
        if (stated.find(reason.words) == stated.npos) continue;
        return std::ranges::any_of(failed, [&](const std::string& id) {
            return std::ranges::any_of(reason.nodes, [&](std::string_view node) {
                return !node.empty() && (node.ends_with('.') ? id.starts_with(node) : id == node);
            });
        });
    }
    return true;
}

void describe_outcome(const verify::Verification& verification, CaseResult& out) {
    const verify::Summary summary = summarise(verification.tree());
    if (verification.evidence() == nullptr) {
        out.found = "REJECT";
        const bool has_failed = !summary.failed.empty();
        out.deciding_node = has_failed ? summary.failed.front() : summary.not_evaluated.front();
        const verify::Check* node = find_check(verification.tree(), out.deciding_node);
        if (node != nullptr && !node->notes.empty()) out.detail = node->notes.front();
        return;
    }
    const auto& tcb = verification.evidence()->tcb();
    const bool is_amd =
        std::holds_alternative<verify::SnpClaims>(verification.evidence()->claims());
    if (tcb.has_value()) {
        out.found = std::string(tcb_status_name(tcb->status));
        out.deciding_node = "tcb.level";
    } else {
        out.found = is_amd ? "VALID" : "SIGNATURES_OK";
        out.deciding_node = is_amd ? "report.signature" : "quote.signature";
    }
}

bool agrees(const EvidenceCase& one, const verify::Verification& verification,
            const CaseResult& result) {
    const std::string_view stated = one.verdict;
    if (stated.starts_with("REJECT")) {
        return result.found == "REJECT" &&
               is_stated_reason(stated, summarise(verification.tree()).failed);
    }
    if (stated.starts_with("parse only")) {
        const verify::Check* syntax = find_check(verification.tree(), "quote.syntax");
        return syntax != nullptr && syntax->verdict == verify::Verdict::pass;
    }
    // What is stated may go on behind the word: "VALID (signature, …)".
    return stated.substr(0, stated.find_first_of(" (")) == result.found;
}

bool is_quote_or_report(const EvidenceCase& one) {
    if (one.kind.find(" and ") != std::string::npos) return false;  // several in one case
    return one.kind.starts_with("SGX quote v") || one.kind.starts_with("TDX quote v") ||
           one.kind.starts_with("SNP ");
}

Result<CaseResult> run_evidence(const std::filesystem::path& folder, const EvidenceCase& one) {
    CaseEvidence loaded = EOS_TRY(load_case(folder, one));
    const verify::Roots roots = verify::Roots::of({verify::Vendor::intel, verify::Vendor::amd});
    const verify::Verification verification = verify::verify_quote(
        loaded.evidence, loaded.endorsements, roots, one.time.value_or(UnixTime{}));
    CaseResult out;
    describe_outcome(verification, out);
    out.agreement = agrees(one, verification, out) ? Agreement::agree : Agreement::differ;
    return out;
}

/// The outcome of checks that are not of a quote or report alone.
CaseResult outcome_of(const verify::Check& tree, verify::Verdict verdict,
                      std::string_view deciding_node) {
    CaseResult out;
    const verify::Summary summary = summarise(tree);
    out.found = verdict == verify::Verdict::pass ? "VALID" : "REJECT";
    out.deciding_node = deciding_node;
    if (verdict != verify::Verdict::pass && !summary.failed.empty()) {
        out.deciding_node = summary.failed.front();
    }
    return out;
}

/// What does not parse is refused like what parses and does not verify.
CaseResult refused_syntax(const Error& error) {
    CaseResult out;
    out.found = "REJECT";
    out.deciding_node = "quote.syntax";
    out.detail = error.message();
    return out;
}

/// A VCEK alone: beside a report that it did not sign, of which only the group "vek" is looked at.
Result<CaseResult> run_certificate(const std::filesystem::path& folder, const EvidenceCase& one) {
    CaseEvidence loaded = EOS_TRY(load_case(folder, one));
    snp_arch::Report report;
    report.policy.raw = snp_arch::kPolicyMustBeOne;
    loaded.endorsements.amd.certificates.push_back(std::move(loaded.evidence));
    const verify::Verification verification = verify::verify_quote(
        encode(report), loaded.endorsements, verify::Roots::amd(), one.time.value_or(UnixTime{}));
    const verify::Check* vek = find_check(verification.tree(), "vek");
    return outcome_of(*vek, vek->verdict, "vek.chain");
}

/// The nonce that a stated verdict names: (nonce "challenge").
std::optional<Bytes> stated_nonce(std::string_view stated) {
    constexpr std::string_view kWords = "nonce \"";
    const std::size_t from = stated.find(kWords);
    if (from == stated.npos) return {};
    stated.remove_prefix(from + kWords.size());
    return to_bytes(stated.substr(0, stated.find('"')));
}

Result<evidence::AzureVtpmEvidence> parse_azure(const std::vector<Bytes>& files) {
    if (files.size() < 3) return evidence::parse_azure_vtpm(files.front());
    return evidence::AzureVtpmEvidence{.hcl = EOS_TRY(evidence::parse_hcl_report(files[0])),
                                       .quote = EOS_TRY(evidence::parse_azure_tpm_quote(files[2])),
                                       .certificates = {files[1]},
                                       .td_quote = {}};
}

/// One JSON object, or HCL report, certificates and quote in this order.
Result<CaseResult> run_vtpm(const std::filesystem::path& folder, const EvidenceCase& one) {
    std::vector<Bytes> files;
    for (const std::string& name : one.files) files.push_back(EOS_TRY(read_file(folder / name)));
    if (files.empty()) return fail(bad_case, one.id + ": it has no files");
    const verify::TpmDemands demands{
        .nonce = stated_nonce(one.verdict), .pcrs = {}, .selected = {}};
    verify::VtpmVerification verification;
    if (one.kind.starts_with("TPM ")) {
        Result<evidence::PlainTpmEvidence> plain = evidence::parse_plain_tpm(files.front());
        if (!plain) return refused_syntax(plain.error());
        verification = verify::verify_plain_tpm(*plain, demands);
    } else {
        Result<evidence::AzureVtpmEvidence> azure = parse_azure(files);
        if (!azure) return refused_syntax(azure.error());
        const verify::Roots roots = verify::Roots::of({verify::Vendor::intel, verify::Vendor::amd});
        verification =
            verify::verify_azure_vtpm(*azure, {}, roots, demands, one.time.value_or(UnixTime{}));
    }
    return outcome_of(verification.tree,
                      verification.is_genuine ? verify::Verdict::pass : verify::Verdict::fail,
                      "tpm.signature");
}

/// "VALID …" against "VALID", "REJECT …" against "REJECT".
bool has_stated_class(const EvidenceCase& one, const CaseResult& result) {
    return one.verdict.starts_with(result.found);
}

/// A certificate of another project: its evidence, and whether it is bound to the certificate's
/// key.
Result<CaseResult> run_foreign_leaf(const std::filesystem::path& folder, const EvidenceCase& one) {
    CaseEvidence loaded = EOS_TRY(load_case(folder, one));
    Result<std::vector<x509::Certificate>> chain = read_certificates(folder / one.files.front());
    if (!chain) return refused_syntax(chain.error());
    Result<ratls::ForeignLeaf> leaf = ratls::read_foreign_leaf(chain->front());
    if (!leaf) return refused_syntax(leaf.error());
    const verify::Roots roots = verify::Roots::of({verify::Vendor::intel, verify::Vendor::amd});
    const verify::Verification verification = verify::verify_quote(
        leaf->quote, loaded.endorsements, roots, one.time.value_or(UnixTime{}));
    CaseResult out;
    describe_outcome(verification, out);
    out.agreement = agrees(one, verification, out) ? Agreement::agree : Agreement::differ;
    if (verification.evidence() == nullptr) return out;
    const ByteArray<64>& found = std::visit(
        [](const auto& claims) -> const ByteArray<64>& { return claims.report.report_data; },
        verification.evidence()->claims());
    const verify::Check binding = check_foreign_binding(*leaf, found);
    if (binding.verdict == verify::Verdict::pass) return out;
    out.found = "REJECT";
    out.deciding_node = binding.id;
    out.agreement = has_stated_class(one, out) ? Agreement::agree : Agreement::differ;
    return out;
}

}  // namespace

Result<std::vector<EvidenceCase>> read_cases(const std::filesystem::path& folder) {
    Bytes text = EOS_TRY(read_file(folder / "index.json"));
    json::Value rows = EOS_TRY(json::parse(text, {.size_bytes = kMaxIndexBytes}));
    if (!rows.is_array()) return fail(json::wrong_type, "index.json: expected an array");
    if (rows.size() > kMaxCases) return fail(json::out_of_range, "index.json: too many cases");
    std::vector<EvidenceCase> out;
    for (std::size_t i = 0; i < rows.size(); ++i) out.push_back(EOS_TRY(read_case(rows[i], i)));
    return out;
}

Result<CaseEvidence> load_case(const std::filesystem::path& folder, const EvidenceCase& one) {
    if (one.files.empty()) return fail(bad_case, one.id + ": it has no files");
    CaseEvidence out;
    out.evidence = EOS_TRY(read_file(folder / one.files.front()));
    std::vector<Bytes> certificates;
    for (std::size_t i = 1; i < one.files.size(); ++i) {
        const std::filesystem::path name = one.files[i];
        if (name.parent_path().filename() == "collateral") {
            Bytes text = EOS_TRY(read_file(folder / name));
            out.endorsements = EOS_TRY(endorsements::parse_endorsements(text));
        } else if (name.extension() == ".der" || name.extension() == ".pem") {
            certificates.push_back(EOS_TRY(read_file(folder / name)));
        }
    }
    out.endorsements.amd.certificates = std::move(certificates);
    return out;
}

CaseResult run_case(const std::filesystem::path& folder, const EvidenceCase& one) {
    Result<CaseResult> result = CaseResult{};
    if (is_quote_or_report(one)) {
        result = run_evidence(folder, one);
    } else if (one.kind.starts_with("X.509 certificate")) {
        result = run_foreign_leaf(folder, one);
    } else if (one.kind.starts_with("VCEK certificate")) {
        result = run_certificate(folder, one);
    } else if (one.kind.starts_with("Azure ") || one.kind.starts_with("TPM ")) {
        result = run_vtpm(folder, one);
    } else {
        result->detail = "cases of this kind are not run: " + one.kind;
    }
    if (result && result->agreement == Agreement::not_run && !result->found.empty()) {
        result->agreement = has_stated_class(one, *result) ? Agreement::agree : Agreement::differ;
    }
    CaseResult out;
    if (result) {
        out = *std::move(result);
    } else {
        out.agreement = Agreement::differ;
        out.found = "unreadable";
        out.detail = result.error().message();
    }
    out.id = one.id;
    out.stated = one.verdict;
    return out;
}

}  // namespace eos::client
