// SPDX-License-Identifier: AGPL-3.0-only
#include "client/evidence_cases.h"

#include <algorithm>
#include <array>
#include <iterator>

#include "client/case_outcomes.h"
#include "client/collateral_files.h"
#include "client/evidence_files.h"
#include "client/files.h"
#include "client/foreign_evidence.h"
#include "common/base/encoding.h"
#include "common/json/json.h"

namespace eos::client {
namespace {

namespace endorsements = attestation::endorsements;
namespace evidence = attestation::evidence;
namespace verify = attestation::verify;

constexpr std::size_t kMaxTextBytes = 4096;
constexpr std::size_t kMaxFiles = 128;
constexpr std::string_view kNoOffset = "+00:00";

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
    std::string time = text_member(row, "time");
    if (!time.empty() && time != "-") {
        if (time.ends_with(kNoOffset)) time.replace(time.size() - kNoOffset.size(), 6, "Z");
        Result<UnixTime> parsed = parse_rfc3339(time);
        if (!parsed) return fail(std::move(parsed).error().within(out.id));
        out.time = *parsed;
    }
    return out;
}

/// Whether all that stands in the way is that Intel revoked a level: of the platform, its TDX
/// module or its quoting enclave.
bool is_revoked(const verify::Check& tree, const verify::Summary& summary) {
    const std::string revoked(tcb_status_name(endorsements::TcbStatus::revoked));
    return !summary.failed.empty() && std::ranges::all_of(summary.failed, [&](const auto& id) {
        const verify::Check* node = find_check(tree, id);
        return id.ends_with("level") && node != nullptr &&
               node->found.find(revoked + " since ") != std::string::npos;
    });
}

bool is_quote_or_report(const EvidenceCase& one) {
    const std::size_t more = one.kind.find(" and ");
    if (more != std::string::npos && one.kind.find(" quote v", more) != std::string::npos) {
        return false;  // several in one case
    }
    return one.kind.starts_with("SGX quote v") || one.kind.starts_with("TDX quote v") ||
           one.kind.starts_with("SNP ") || one.kind.starts_with("SEV-SNP ");
}

bool has_event_logs(const EvidenceCase& one) {
    return one.kind.starts_with("CCEL ") || one.kind.starts_with("event logs") ||
           one.kind.starts_with("dstack quote");
}

/// Statements, lists and certificates of vendors, without evidence.
bool is_collateral_alone(const EvidenceCase& one) {
    constexpr auto kBeginnings = std::to_array<std::string_view>(
        {"Intel collateral", "Intel CRL", "Intel PCK", "Intel root", "Intel TCB", "Intel QE",
         "PCK ", "CRL", "AMD CRL", "AMD collateral"});
    return std::ranges::any_of(
        kBeginnings, [&](std::string_view one_of) { return one.kind.starts_with(one_of); });
}

bool is_container(const EvidenceCase& one) {
    return one.kind.starts_with("configfs-tsm ") || one.kind.starts_with("original OE ") ||
           one.kind.starts_with("original containers ") ||
           one.kind.starts_with("OE endorsement container ");
}

/// "SGX quote v3": what the evidence is, as kinds say it.
std::string kind_of(const evidence::Evidence& parsed) {
    if (const auto* snp = std::get_if<evidence::SnpEvidence>(&parsed.quote())) {
        return "SNP report v" + std::to_string(snp->report.version);
    }
    const auto* sgx = std::get_if<evidence::SgxQuote>(&parsed.quote());
    const auto* tdx = std::get_if<evidence::TdxQuote>(&parsed.quote());
    return sgx != nullptr ? "SGX quote v" + std::to_string(sgx->version)
                          : "TDX quote v" + std::to_string(tdx->version);
}

/// Whether a kind that is run as evidence says the same as kind_of(). A version that it does not
/// name may be any.
bool is_of_kind(std::string_view kind, std::string_view found) {
    if (kind.starts_with("SEV-")) kind.remove_prefix(4);
    if (kind.substr(0, 4) != found.substr(0, 4)) return false;
    const std::size_t version = found.rfind('v') + 1;
    const std::size_t at = kind.find(found.substr(4, version - 4));
    if (at == kind.npos) return true;
    kind.remove_prefix(at + version - 4);
    const std::string_view digits = kind.substr(0, kind.find_first_not_of("0123456789"));
    return digits.empty() || digits == found.substr(version);
}

/// The file must hold what the kind says. Where the signature over what it says failed, it may say
/// anything, and its verdict is enough.
void hold_against_kind(const EvidenceCase& one, ByteView bytes, CaseResult& out) {
    const Result<evidence::Evidence> parsed = evidence::parse_evidence(bytes);
    if (!parsed) return;
    const std::string found = kind_of(*parsed);
    const bool is_altered = std::ranges::any_of(out.failed, [](const std::string& id) {
        return id == "quote.signature" || id == "report.signature";
    });
    if (is_altered || is_of_kind(one.kind, found)) return;
    out.agreement = Agreement::differ;
    out.detail = "the kind says \"" + one.kind + "\", the file holds: " + found;
}

Result<CaseResult> run_evidence(const std::filesystem::path& folder, const EvidenceCase& one) {
    const CaseEvidence loaded = EOS_TRY(load_case(folder, one));
    if (is_json_text(loaded.evidence)) return refused_syntax(Error(json_instead));
    CaseResult out = run_loaded(loaded, one);
    hold_against_kind(one, loaded.evidence, out);
    return out;
}

/// A VCEK or VLEK alone: beside a report that it did not sign, of which only the group "vek" is
/// looked at.
Result<CaseResult> run_certificate(const std::filesystem::path& folder, const EvidenceCase& one) {
    CaseEvidence loaded = EOS_TRY(load_case(folder, one));
    snp_arch::Report report;
    report.policy.raw = snp_arch::kPolicyMustBeOne;
    if (one.kind.starts_with("VLEK")) report.signing_key = snp_arch::SigningKey::vlek;
    loaded.endorsements.amd.certificates.push_back(std::move(loaded.evidence));
    const verify::Verification verification = verify::verify_quote(
        encode(report), loaded.endorsements, verify::Roots::amd(), one.time.value_or(UnixTime{}));
    const verify::Check* vek = find_check(verification.tree(), "vek");
    return outcome_of(*vek, vek->verdict, "vek.chain");
}

/// What verified so far is rejected after all, if anything of this stands in the way.
void reject_by(const verify::Check& tree, const EvidenceCase& one, CaseResult& out) {
    verify::Summary summary = summarise(tree);
    std::ranges::move(summary.not_evaluated, std::back_inserter(summary.failed));
    if (summary.failed.empty()) return;
    out.found = "REJECT";
    out.failed = std::move(summary.failed);
    out.deciding_node = out.failed.front();
    const verify::Check* node = find_check(tree, out.deciding_node);
    out.detail = node->notes.empty() ? node->remedy : node->notes.front();
    compare(one, out);
}

/// Constellation's nonce, which stands in base64, as it went over the wire.
Result<std::optional<Bytes>> nonce_of(const EvidenceCase& one) {
    const std::optional<Bytes> text = stated_nonce(one.verdict);
    if (!text.has_value()) return std::optional<Bytes>();
    return EOS_TRY(from_base64(as_chars(*text)));
}

/// A certificate of another project: its evidence, and whether it is bound to the certificate's
/// key.
Result<CaseResult> run_foreign_leaf(const std::filesystem::path& folder, const EvidenceCase& one) {
    const CaseEvidence loaded = EOS_TRY(load_case(folder, one));
    Result<std::vector<x509::Certificate>> chain = read_certificates(folder / one.files.front());
    if (!chain) return refused_syntax(chain.error());
    const verify::Roots roots = verify::Roots::of({verify::Vendor::intel, verify::Vendor::amd});
    Result<ForeignVerification> verified =
        verify_foreign_leaf(chain->front(), EOS_TRY(nonce_of(one)),
                            {loaded.endorsements, roots, one.time.value_or(UnixTime{})});
    if (!verified) return refused_syntax(verified.error());
    CaseResult out;
    describe_outcome(verified->hardware, out);
    std::vector<verify::Check> around = std::move(verified->more);
    around.push_back(std::move(verified->report_data));
    const verify::Check tree = verify::group("foreign", std::move(around));
    if (verified->hardware.evidence() == nullptr) {
        std::ranges::move(summarise(tree).failed, std::back_inserter(out.failed));
        compare(one, out);
        return out;
    }
    compare(one, out);
    reject_by(tree, one, out);
    return out;
}

}  // namespace

void describe_outcome(const verify::Verification& verification, CaseResult& out) {
    const verify::Summary summary = summarise(verification.tree());
    if (verification.evidence() == nullptr) {
        out.found = is_revoked(verification.tree(), summary) ? "Revoked" : "REJECT";
        const bool has_failed = !summary.failed.empty();
        out.deciding_node = has_failed ? summary.failed.front() : summary.not_evaluated.front();
        out.failed = has_failed ? summary.failed : std::vector{out.deciding_node};
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

void compare(const EvidenceCase& one, CaseResult& out) {
    out.agreement = agrees(one.verdict, out) ? Agreement::agree : Agreement::differ;
}

CaseResult run_loaded(const CaseEvidence& loaded, const EvidenceCase& one) {
    const verify::Roots roots = verify::Roots::of({verify::Vendor::intel, verify::Vendor::amd});
    const verify::Verification verification = verify::verify_quote(
        loaded.evidence, loaded.endorsements, roots, one.time.value_or(UnixTime{}));
    CaseResult out;
    describe_outcome(verification, out);
    out.taken_off = loaded.taken_off;
    compare(one, out);
    if (loaded.runtime_log && verification.evidence() != nullptr) {
        reject_by(check_runtime_log(verification, *loaded.runtime_log), one, out);
    }
    return out;
}

CaseResult outcome_of(const verify::Check& tree, verify::Verdict verdict,
                      std::string_view deciding_node) {
    CaseResult out;
    const verify::Summary summary = summarise(tree);
    out.found = verdict == verify::Verdict::pass ? "VALID" : "REJECT";
    out.deciding_node = deciding_node;
    if (verdict != verify::Verdict::pass && !summary.failed.empty()) {
        out.deciding_node = summary.failed.front();
        out.failed = summary.failed;
    }
    return out;
}

CaseResult refused_syntax(const Error& error) {
    CaseResult out;
    out.found = "REJECT";
    out.deciding_node = "quote.syntax";
    out.failed = {out.deciding_node};
    out.detail = error.message();
    return out;
}

Result<std::vector<EvidenceCase>> read_cases(const std::filesystem::path& folder) {
    Bytes text = EOS_TRY(read_file(folder / "index.json"));
    json::Value rows = EOS_TRY(json::parse(text, {.size_bytes = kMaxIndexBytes}));
    if (!rows.is_array()) return fail(json::wrong_type, "index.json: expected an array");
    if (rows.size() > kMaxCases) return fail(json::out_of_range, "index.json: too many cases");
    std::vector<EvidenceCase> out;
    for (std::size_t i = 0; i < rows.size(); ++i) out.push_back(EOS_TRY(read_case(rows[i], i)));
    return out;
}

bool is_collateral(const std::filesystem::path& name) {
    return name.parent_path().filename() == "collateral";
}

bool is_certificate(const std::filesystem::path& name, ByteView file) {
    constexpr std::array<std::string_view, 4> kExtensions{".der", ".pem", ".crt", ".cer"};
    return std::ranges::find(kExtensions, name.extension().string()) != kExtensions.end() ||
           holds_certificate(as_chars(file));
}

Result<CaseEvidence> load_case(const std::filesystem::path& folder, const EvidenceCase& one) {
    if (one.files.empty()) return fail(bad_case, one.id + ": it has no files");
    CaseEvidence out;
    const Bytes first = EOS_TRY(read_file(folder / one.files.front()));
    CollateralSet collateral;
    // Some keep both in one object: {"quote": …, "collateral": {…}}.
    if (is_json_text(first)) (void)collateral.add(first);
    EvidenceFile evidence = unwrap_evidence(first);
    out.evidence = std::move(evidence.bytes);
    out.taken_off = std::move(evidence.taken_off);
    std::vector<Bytes> certificates;
    for (std::size_t i = 1; i < one.files.size(); ++i) {
        const std::filesystem::path name = one.files[i];
        Bytes file = EOS_TRY(read_file(folder / name));
        if (is_collateral(name) || read_crl(file)) {
            const Result<void> added = collateral.add(file);
            if (!added) return fail(Error(added.error()).within(one.files[i]));
        } else if (is_certificate(name, file)) {
            certificates.push_back(std::move(file));
        }
    }
    out.endorsements = EOS_TRY(collateral.finish());
    std::ranges::move(certificates, std::back_inserter(out.endorsements.amd.certificates));
    return out;
}

CaseResult run_case(const std::filesystem::path& folder, const EvidenceCase& one) {
    Result<CaseResult> result = CaseResult{};
    if (is_quote_or_report(one)) {
        result = run_evidence(folder, one);
    } else if (one.kind.starts_with("X.509 certificate")) {
        result = run_foreign_leaf(folder, one);
    } else if (one.kind.starts_with("VCEK certificate") ||
               one.kind.starts_with("VLEK certificate")) {
        result = run_certificate(folder, one);
    } else if (one.kind.starts_with("Azure ") || one.kind.starts_with("TPM ")) {
        result = run_vtpm(folder, one);
    } else if (has_event_logs(one)) {
        result = run_event_logs(folder, one);
    } else if (is_container(one)) {
        result = run_container(folder, one);
    } else if (is_collateral_alone(one)) {
        result = run_collateral(folder, one);
    } else if (one.kind.starts_with("TCB info ")) {
        result = run_statement_texts(folder, one);
    } else {
        result->detail = "cases of this kind are not run: " + one.kind;
    }
    if (result && result->agreement == Agreement::not_run && !result->found.empty()) {
        compare(one, *result);
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
