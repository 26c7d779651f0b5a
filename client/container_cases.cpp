// SPDX-License-Identifier: AGPL-3.0-only
// Other containers for the evidence or the collateral of another case, whose verdict they must
// give.
#include <algorithm>
#include <iterator>

#include "client/case_outcomes.h"
#include "client/collateral_files.h"
#include "client/evidence_files.h"
#include "client/files.h"
#include "common/base/encoding.h"
#include "common/json/json.h"
#include "common/ratls/cbor_reader.h"
#include "common/ratls/foreign_dstack.h"

namespace eos::client {
namespace {

/// Without the comment of a licence in front.
Bytes without_comment(Bytes file) {
    std::string_view text = as_chars(file);
    while (text.starts_with("#") && text.find('\n') != text.npos) {
        text.remove_prefix(text.find('\n') + 1);
    }
    return to_bytes(text);
}

Result<Bytes> base64url_member(json::Object& object, std::string_view name) {
    std::string text = EOS_TRY(object.text(name, kMaxIndexBytes));
    while (text.ends_with('=')) text.pop_back();
    return from_base64url(text);
}

/// What configfs-tsm gives: the report, and the certificate table beside it.
struct TsmReport {
    std::optional<Bytes> report;  ///< outblob
    std::optional<Bytes> table;   ///< auxblob
};

Result<TsmReport> parse_tsm_json(ByteView file) {
    const json::Value root = EOS_TRY(json::parse(file, {.size_bytes = kMaxIndexBytes}));
    json::Object object = EOS_TRY(json::Object::of(root, ""));
    TsmReport out;
    out.report = EOS_TRY(base64url_member(object, "outblob"));
    out.table = EOS_TRY(base64url_member(object, "auxblob"));
    return out;
}

Result<TsmReport> parse_tsm_cbor(ByteView file) {
    ratls::CborReader in(file);
    TsmReport out;
    const std::uint64_t members = EOS_TRY(in.map());
    for (std::uint64_t i = 0; i < members; ++i) {
        const std::string_view name = EOS_TRY(in.text());
        if (name == "provider") {
            EOS_TRY(in.text());
            continue;
        }
        if (name != "outblob" && name != "auxblob") return fail(ratls::bad_cbor, "its members");
        std::optional<Bytes>& blob = name == "outblob" ? out.report : out.table;
        if (blob.has_value()) return fail(ratls::bad_cbor, "a member occurs twice");
        blob = to_bytes(EOS_TRY(in.bytes()));
    }
    EOS_TRY(in.expect_end());
    return out;
}

/// The evidence: the report with its table behind it.
Result<Bytes> parse_tsm(ByteView file) {
    const bool is_json = as_chars(file).starts_with("{");
    TsmReport out = EOS_TRY(is_json ? parse_tsm_json(file) : parse_tsm_cbor(file));
    if (!out.report || !out.table) return fail(ratls::bad_cbor, "no outblob or no auxblob");
    append(*out.report, *out.table);
    return *std::move(out.report);
}

/// Each report among the files, with nothing but its own certificates: the first that differs, else
/// the last.
Result<CaseResult> run_tsm(const std::filesystem::path& folder, const EvidenceCase& one,
                           const EvidenceCase& other) {
    CaseResult out;
    for (const std::string& name : one.files) {
        const Bytes file = without_comment(EOS_TRY(read_file(folder / name)));
        CaseEvidence loaded;
        Result<Bytes> evidence = parse_tsm(file);
        if (!evidence) return refused_syntax(std::move(evidence).error().within(name));
        loaded.evidence = *std::move(evidence);
        out = run_loaded(loaded, other);
        if (out.agreement != Agreement::agree) return out;
    }
    return out;
}

/// What dstack's service answered before it had attestations.
Result<ratls::DstackAttestation> parse_dstack_quote(const json::Value& root) {
    DstackAnswer answer = EOS_TRY(parse_dstack_answer(root));
    ratls::DstackAttestation out;
    out.evidence = std::move(answer.quote.bytes);
    out.runtime_log =
        EOS_TRY(attestation::event_log::parse_runtime_log(as_bytes(answer.event_log)));
    return out;
}

/// dstack's attestation, as it is or as its guest's service gives it: {"attestation": hex}, or as
/// it gave it before.
Result<ratls::DstackAttestation> parse_dstack(ByteView file) {
    if (!as_chars(file).starts_with("{")) return ratls::read_dstack_attestation(file);
    const json::Value root = EOS_TRY(json::parse(file, {.size_bytes = kMaxIndexBytes}));
    json::Object object = EOS_TRY(json::Object::of(root, ""));
    if (object.find("quote") != nullptr) return parse_dstack_quote(root);
    const std::string text =
        EOS_TRY(object.text("attestation", 2 * ratls::kMaxForeignEvidenceBytes));
    EOS_TRY(object.finish());
    return ratls::read_dstack_attestation(EOS_TRY(from_hex(text)));
}

/// Each attestation among the files, under the other case's collateral or, of SNP, with the
/// certificates in it and beside it: the first that differs, else the last.
Result<CaseResult> run_dstack(const std::filesystem::path& folder, const EvidenceCase& one,
                              const EvidenceCase& other) {
    CaseEvidence loaded = EOS_TRY(load_case(folder, other));
    std::vector<Bytes> beside, attestations;
    for (const std::string& name : one.files) {
        Bytes file = EOS_TRY(read_file(folder / name));
        (is_certificate(name, file) ? beside : attestations).push_back(std::move(file));
    }
    CaseResult out;
    for (const Bytes& file : attestations) {
        Result<ratls::DstackAttestation> inside = parse_dstack(file);
        if (!inside) return refused_syntax(inside.error());
        loaded.evidence = std::move(inside->evidence);
        loaded.runtime_log = std::move(inside->runtime_log);
        loaded.endorsements.amd.certificates = std::move(inside->certificates);
        std::ranges::copy(beside, std::back_inserter(loaded.endorsements.amd.certificates));
        out = run_loaded(loaded, other);
        if (out.agreement != Agreement::agree) return out;
    }
    if (out.found.empty()) return fail(bad_case, one.id + ": it has no attestation");
    return out;
}

}  // namespace

Result<std::optional<EvidenceCase>> referred_case(const std::filesystem::path& folder,
                                                  const EvidenceCase& one) {
    const std::size_t at = one.kind.rfind(" for ");
    if (at == std::string::npos) return std::optional<EvidenceCase>();
    const std::string id = one.kind.substr(at + 5);
    for (EvidenceCase& other : EOS_TRY(read_cases(folder))) {
        if (other.id == id && other.id != one.id) return std::optional(std::move(other));
    }
    return fail(bad_case, one.id + ": there is no case " + id);
}

Result<CaseResult> run_container(const std::filesystem::path& folder, const EvidenceCase& one) {
    const std::optional<EvidenceCase> other = EOS_TRY(referred_case(folder, one));
    if (!other.has_value() || one.files.empty() || !one.verdict.starts_with("as ")) {
        return fail(bad_case, one.id + ": it names no other case");
    }
    if (one.kind.starts_with("original containers ")) return run_dstack(folder, one, *other);
    if (one.kind.starts_with("configfs-tsm ")) return run_tsm(folder, one, *other);
    CaseEvidence loaded = EOS_TRY(load_case(folder, *other));
    const bool has_evidence = one.kind.starts_with("original OE");
    for (std::size_t i = 0; i < one.files.size(); ++i) {
        Bytes file = without_comment(EOS_TRY(read_file(folder / one.files[i])));
        if (has_evidence && i == 0) {
            EvidenceFile evidence = unwrap_evidence(std::move(file));
            loaded.evidence = std::move(evidence.bytes);
            loaded.taken_off = std::move(evidence.taken_off);
        } else {
            loaded.endorsements = EOS_TRY(read_collateral(file));
        }
    }
    return run_loaded(loaded, *other);
}

}  // namespace eos::client
