// SPDX-License-Identifier: AGPL-3.0-only
// What Intel states about platforms, without evidence: statements and lists that must verify, and
// texts that must parse or must not.
#include <fnmatch.h>

#include <algorithm>
#include <array>
#include <map>

#include "client/case_outcomes.h"
#include "client/collateral_files.h"
#include "client/files.h"
#include "common/attestation/endorsements/collateral_containers.h"
#include "common/attestation/verify/bundle_checks.h"
#include "common/x509/crl.h"
#include "common/x509/pem.h"

namespace eos::client {
namespace {

namespace endorsements = attestation::endorsements;
namespace verify = attestation::verify;
namespace fs = std::filesystem;

constexpr std::size_t kMaxFilesOfAFolder = 1024;

/// What was found of one file.
struct FileOutcome {
    std::string name;
    bool is_accepted = false;
    std::string deciding_node;
    std::vector<std::string> failed = {};  ///< nodes; of what does not parse, none
    std::string detail = {};
    std::string left_alone = {};  ///< why it is, where it is not stated to be refused
};

/// What Intel publishes beside the state of platforms, by the member that holds it: nothing here
/// asks for it.
constexpr std::array<std::string_view, 4> kUnused{"tcbEvaluationDataNumbers",
                                                  "tcb_evaluation_data_numbers_json",
                                                  "raw_tcb_evaluation_data_numbers", "fmspcs_json"};
constexpr std::array<std::string_view, 3> kStatements{"tcbInfo", "enclaveIdentity", "qeIdentity"};

/// Why what a statement's answer holds is not read here, if so.
std::string why_unread(const json::Value& answer) {
    for (std::string_view name : kStatements) {
        const auto statement = answer.find(name);
        if (statement == answer.end() || !statement->is_object()) continue;
        const auto version = statement->find("version"), id = statement->find("id");
        if (version != statement->end() && *version == 1U) return "version 1";
        if (id != statement->end() && *id == "QVE") return "identity of Intel's verifying enclave";
    }
    return {};
}

/// Why a text need not be looked at, if so: what it holds is not read here, or nobody signed it.
std::string why_left_alone(ByteView text) {
    const Result<json::Value> value = json::parse(text, {.size_bytes = kMaxIndexBytes});
    if (!value || !value->is_object()) return {};
    for (std::string_view name : kUnused) {
        if (value->contains(name)) return std::string(name);
    }
    const auto signature = value->find("signature");
    if (signature != value->end() && *signature == json::Value::array()) return "unsigned";
    const auto answer = value->find("enclave_identity_json");
    if (answer == value->end() || !answer->is_string()) return why_unread(*value);
    const Result<json::Value> inner = json::parse(as_bytes(answer->get_ref<const std::string&>()),
                                                  {.size_bytes = kMaxIndexBytes});
    return inner && inner->is_object() ? why_unread(*inner) : std::string();
}

/// The files below a folder.
/// errors:  bad_case (it cannot be read, holds links, or more files than may be).
Result<std::vector<std::string>> files_below(const fs::path& folder, const std::string& name) {
    std::vector<std::string> out;
    std::error_code error;
    for (fs::recursive_directory_iterator it(folder / name, error), end; !error && it != end;
         it.increment(error)) {
        if (it->is_symlink(error)) return fail(bad_case, name + ": holds a link");
        if (it->is_regular_file(error)) out.push_back(it->path().lexically_relative(folder));
        if (out.size() > kMaxFilesOfAFolder) return fail(bad_case, name + ": too many files");
    }
    if (error) return fail(bad_case, name + ": " + error.message());
    return out;
}

/// The files of a case, a "FOLDER/ (77 files)" as all that lie in it.
/// errors:  bad_case (also: not so many files).
Result<std::vector<std::string>> files_of(const fs::path& folder, const EvidenceCase& one) {
    std::vector<std::string> out;
    for (const std::string& name : one.files) {
        const std::size_t mark = name.rfind("/ (");
        if (mark == std::string::npos || !name.ends_with(" files)")) {
            out.push_back(name);
            continue;
        }
        const std::vector<std::string> below = EOS_TRY(files_below(folder, name.substr(0, mark)));
        if (name.substr(mark) != "/ (" + std::to_string(below.size()) + " files)") {
            return fail(bad_case, name + ": there are " + std::to_string(below.size()));
        }
        out.insert(out.end(), below.begin(), below.end());
    }
    std::ranges::sort(out);
    return out;
}

FileOutcome refused(std::string name, const Error& error) {
    return {std::move(name), false, "collateral", {}, error.message()};
}

/// The pieces of endorsements; of a statement that does not say which it is, as if it were the
/// first of its kind, so that its signature is looked at all the same.
/// errors:  those of to_pieces().
Result<std::vector<endorsements::Piece>> pieces_of(const endorsements::Endorsements& from) {
    using endorsements::PieceKind;
    Result<std::vector<endorsements::Piece>> named = endorsements::to_pieces(from, {}, {});
    const auto& statement = from.tcb_info ? from.tcb_info : from.qe_identity;
    if (named || !statement) return named;
    return std::vector<endorsements::Piece>{
        {.kind = from.tcb_info ? PieceKind::sgx_tcb_info : PieceKind::sgx_qe_identity,
         .content = statement->body,
         .signature = statement->signature,
         .issuer_chain_pem = statement->issuer_chain_pem}};
}

/// Whether all that the endorsements hold is Intel's, and held: at the case's time, else on the day
/// that each was issued.
/// errors:  those of pieces_of(); bad_case (there is nothing in it).
Result<FileOutcome> verify_pieces(std::string name, const endorsements::Endorsements& from,
                                  const EvidenceCase& one, const std::string& root_pem = {}) {
    std::vector<endorsements::Piece> pieces = EOS_TRY(pieces_of(from));
    for (endorsements::Piece& piece : pieces) {
        if (piece.kind == endorsements::PieceKind::intel_root_crl)
            piece.issuer_chain_pem = root_pem;
    }
    if (pieces.empty()) return fail(bad_case, "nothing in it is signed");
    const verify::Roots roots = verify::Roots::of({verify::Vendor::intel, verify::Vendor::amd});
    FileOutcome out{std::move(name), true, "bundle"};
    verify::Check all;
    for (std::size_t i = 0; i < pieces.size(); ++i) {
        if (i == 0 || !one.time) {
            const Result<endorsements::PieceDates> dates = dates_of(pieces[i]);
            const UnixTime time = one.time ? *one.time : dates ? dates->issued : UnixTime{};
            // A list finds who issued it among the others.
            all = check_pieces(pieces, roots, {.time = time});
        }
        const verify::Check& tree = all.children[i];
        if (tree.verdict == verify::Verdict::pass) continue;
        const verify::Summary summary = summarise(tree);
        out.is_accepted = false;
        out.failed = summary.failed;
        out.deciding_node =
            summary.failed.empty() ? summary.not_evaluated.front() : summary.failed.front();
        const verify::Check* node = find_check(tree, out.deciding_node);
        if (node != nullptr) out.detail = node->notes.empty() ? node->found : node->notes.front();
        return out;
    }
    return out;
}

/// Whether an answer of Intel's service holds an identity; else it holds TCB info.
bool holds_identity(ByteView answer) {
    return as_chars(answer).find("enclaveIdentity") != std::string_view::npos;
}

/// One answer of Intel's service, which names its issuers in a header: here in a file beside it.
Result<endorsements::Endorsements> with_chain(ByteView answer, ByteView chain) {
    endorsements::Endorsements out;
    endorsements::SignedObject statement =
        EOS_TRY(endorsements::parse_signed_answer(answer, std::string(as_chars(chain))));
    (holds_identity(answer) ? out.qe_identity : out.tcb_info) = std::move(statement);
    return out;
}

/// Whether a text holds a statement as Intel publishes it, whoever signed it.
Result<void> parse_statement(ByteView answer) {
    const endorsements::SignedObject statement =
        EOS_TRY(endorsements::parse_signed_answer(answer, {}));
    if (holds_identity(answer)) {
        EOS_TRY(endorsements::parse_qe_identity(statement.body));
    } else {
        EOS_TRY(endorsements::parse_tcb_info(statement.body));
    }
    return {};
}

/// What is in front of the separator; `rest` goes on behind it.
std::string_view take_until(std::string_view& rest, std::string_view separator) {
    const std::string_view out = rest.substr(0, rest.find(separator));
    rest.remove_prefix(std::min(rest.size(), out.size() + separator.size()));
    return out;
}

/// Whether one of the names, divided by ", ", is the file's or its end behind a "_" ("*" stands for
/// anything).
bool names_file(std::string_view names, const std::string& file) {
    while (!names.empty()) {
        const std::string name(take_until(names, ", "));
        for (const std::string& pattern : {name, "*/" + name, "*_" + name}) {
            if (::fnmatch(pattern.c_str(), file.c_str(), 0) == 0) return true;
        }
    }
    return false;
}

/// The stated verdict of a file: of the clause "NAMES: WORD …" that names it, clauses divided by
/// "; "; of none, that of the case.
std::string_view stated_for(const std::string& file, std::string_view verdict) {
    std::string_view rest = verdict;
    while (!rest.empty()) {
        std::string_view clause = take_until(rest, "; ");
        const std::string_view names = take_until(clause, ": ");
        if (!clause.empty() && names_file(names, file)) return clause;
    }
    return verdict;
}

std::optional<bool> stated_acceptance(std::string_view stated) {
    if (stated.starts_with("VALID") || stated.starts_with("parse")) return true;
    if (stated.starts_with("REJECT") || stated.starts_with("must not")) return false;
    return {};
}

/// Whether the outcome is the stated one. A stated reason that names a signature is that of a node
/// about signatures.
bool is_as_stated(const FileOutcome& file, std::string_view stated, bool accepts) {
    if (file.is_accepted != accepts) return false;
    if (accepts || stated.find("signature") == stated.npos) return true;
    return std::ranges::any_of(file.failed, [](const std::string& id) {
        return id.ends_with(".signature") || id.ends_with(".chain");
    });
}

/// The files' outcomes as that of the case, which agrees if all of those that have a stated verdict
/// do, and there is one.
CaseResult sum_up(const std::vector<FileOutcome>& all, const EvidenceCase& one) {
    std::vector<const FileOutcome*> accepted, rejected, differing;
    std::map<std::string, std::vector<std::string>> alone;
    for (const FileOutcome& file : all) {
        const std::string_view stated = stated_for(file.name, one.verdict);
        const std::optional<bool> accepts = stated_acceptance(stated);
        if (!accepts || (*accepts && !file.left_alone.empty())) {
            alone[accepts ? file.left_alone : "nothing is stated"].push_back(file.name);
            continue;
        }
        (file.is_accepted ? accepted : rejected).push_back(&file);
        if (!is_as_stated(file, stated, *accepts)) differing.push_back(&file);
    }
    CaseResult out;
    out.found = rejected.empty()   ? "VALID"
                : accepted.empty() ? "REJECT"
                                   : std::to_string(accepted.size()) + " VALID, " +
                                         std::to_string(rejected.size()) + " REJECT";
    for (const auto* group : {&accepted, &rejected, &differing}) {
        if (group->empty()) continue;
        out.deciding_node = group->front()->deciding_node;
        out.detail = group->front()->name + ": " + group->front()->detail;
    }
    const bool is_right = differing.empty() && !out.deciding_node.empty();
    out.agreement = is_right ? Agreement::agree : Agreement::differ;
    if (out.deciding_node.empty()) out.detail = "no file of which something is stated";
    for (const auto& [why, names] : alone) {
        const std::string what = names.size() == 1 ? fs::path(names.front()).filename().string()
                                                   : std::to_string(names.size()) + " files";
        out.left_alone += (out.left_alone.empty() ? "" : ", ") + what + " (" + why + ")";
    }
    return out;
}

/// The certificates of the folder's trust anchors whose names begin so, as PEM.
std::vector<std::string> anchors(const fs::path& folder, std::string_view prefix) {
    std::vector<std::string> out;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(folder / "trust-anchors", error)) {
        if (!entry.path().filename().string().starts_with(prefix)) continue;
        if (const Result<Bytes> der = read_file(entry.path()))
            out.push_back(x509::encode_pem("CERTIFICATE", *der));
    }
    std::ranges::sort(out);
    return out;
}

/// The chains under which a statement may have been published that came without one: of each signer
/// among the trust anchors, or of the one given alone.
std::vector<std::string> likely_chains(const fs::path& folder,
                                       std::vector<std::string> signers = {}) {
    if (signers.empty()) signers = anchors(folder, "intel-tcb-signing");
    std::vector<std::string> out;
    for (const std::string& root : anchors(folder, "intel-sgx-root-ca")) {
        for (const std::string& signer : signers) out.push_back(signer + root);
    }
    return out;
}

FileOutcome outcome_of_file(std::string name, const Result<endorsements::Endorsements>& parsed,
                            const EvidenceCase& one, const std::string& root_pem = {}) {
    if (!parsed) return refused(std::move(name), parsed.error());
    Result<FileOutcome> found = verify_pieces(name, *parsed, one, root_pem);
    return found ? *std::move(found) : refused(std::move(name), found.error());
}

/// The outcome under the first of the chains that holds itself, else under the last.
FileOutcome outcome_under(const std::string& name, ByteView answer,
                          const std::vector<std::string>& chains, const EvidenceCase& one) {
    FileOutcome out;
    for (const std::string& chain : chains) {
        out = outcome_of_file(name, with_chain(answer, as_bytes(chain)), one);
        if (!out.deciding_node.ends_with(".chain")) break;
    }
    return out;
}

/// A chain as it was given or, of a signer alone, with the root.
std::vector<std::string> whole_chains(const fs::path& folder, ByteView pem) {
    std::string text = leaf_first(std::string(as_chars(pem)));
    const auto certificates = x509::parse_pem_certificates(text);
    if (certificates && certificates->size() == 1 && !certificates->front().is_self_issued()) {
        std::vector<std::string> out = likely_chains(folder, {text});
        if (!out.empty()) return out;
    }
    return {std::move(text)};
}

/// The certificates of Intel's that lists may be of: those of the case, then the trust anchors'.
std::vector<x509::Certificate> list_issuers(const fs::path& folder,
                                            const std::vector<std::string>& chains) {
    std::string all;
    for (const std::string& chain : chains) all += chain;
    for (const char* prefix : {"intel-pck-", "intel-sgx-root-ca"}) {
        for (const std::string& anchor : anchors(folder, prefix)) all += anchor;
    }
    return x509::parse_pem_certificates(all).value_or(std::vector<x509::Certificate>());
}

/// PEM of whoever issued a list, by its name; empty if nobody of them did.
std::string issuer_of(ByteView list, const std::vector<x509::Certificate>& issuers) {
    const Result<x509::Crl> crl = x509::Crl::parse(list);
    if (!crl) return {};
    const auto found = std::ranges::find_if(issuers, [&](const x509::Certificate& one) {
        return equal(one.subject().der(), crl->issuer().der());
    });
    return found == issuers.end() ? std::string() : x509::encode_pem("CERTIFICATE", found->der());
}

/// Lists that came without their issuers, and whatever else a file holds.
FileOutcome outcome_of_lists(const fs::path& folder, const std::string& name, ByteView file,
                             const std::vector<std::string>& chains, const EvidenceCase& one) {
    Result<endorsements::Endorsements> parsed = read_collateral(file);
    std::string root;
    if (parsed) {
        const auto issuers = list_issuers(folder, chains);
        if (parsed->root_ca_crl) root = issuer_of(*parsed->root_ca_crl, issuers);
        if (parsed->pck_crl && parsed->pck_crl_issuer_chain_pem.empty()) {
            const std::string ca = issuer_of(*parsed->pck_crl, issuers);
            const auto above = std::ranges::find_if(
                issuers, [](const x509::Certificate& c) { return c.is_self_issued(); });
            if (!ca.empty() && above != issuers.end()) {
                parsed->pck_crl_issuer_chain_pem =
                    ca + x509::encode_pem("CERTIFICATE", above->der());
            }
        }
    }
    return outcome_of_file(name, parsed, one, root);
}

/// An answer of Intel's service by itself: its issuers are those of the trust anchors, if there are
/// any.
FileOutcome outcome_of_answer(const fs::path& folder, const std::string& name, ByteView text,
                              const std::vector<std::string>& given, const EvidenceCase& one) {
    std::vector<std::string> chains;
    const Result<Bytes> answer = plain_answer(text);
    if (answer) chains = likely_chains(folder);
    FileOutcome out = !chains.empty() ? outcome_under(name, *answer, chains, one)
                                      : outcome_of_lists(folder, name, text, given, one);
    out.left_alone = why_left_alone(text);
    return out;
}

/// Whether a file is a chain, for the answers beside it.
bool is_chain(const fs::path& name, ByteView file) {
    return name.extension() == ".pem" && !read_crl(file);
}

}  // namespace

Result<CaseResult> run_collateral(const fs::path& folder, const EvidenceCase& one) {
    std::vector<std::pair<std::string, Bytes>> chains, others;
    for (const std::string& name : EOS_TRY(files_of(folder, one))) {
        Bytes file = EOS_TRY(read_file(folder / name));
        (is_chain(name, file) ? chains : others).emplace_back(name, std::move(file));
    }
    std::vector<std::string> given;
    for (const auto& [name, chain] : chains) given.push_back(to_string(chain) + "\n");
    std::vector<FileOutcome> outcomes;
    for (const auto& [name, text] : others) {
        const Result<Bytes> answer = plain_answer(text);
        if (!chains.empty() && answer) {
            for (const auto& [chain_name, chain] : chains) {
                outcomes.push_back(
                    outcome_under(chain_name, *answer, whole_chains(folder, chain), one));
            }
        } else {
            outcomes.push_back(outcome_of_answer(folder, name, text, given, one));
        }
    }
    return sum_up(outcomes, one);
}

Result<CaseResult> run_statement_texts(const fs::path& folder, const EvidenceCase& one) {
    std::vector<FileOutcome> outcomes;
    for (const std::string& name : EOS_TRY(files_of(folder, one))) {
        const Bytes text = EOS_TRY(read_file(folder / name));
        const Result<void> parsed = parse_statement(text);
        outcomes.push_back(parsed ? FileOutcome{name, true, "collateral"}
                                  : refused(name, parsed.error()));
        outcomes.back().left_alone = why_left_alone(text);
    }
    return sum_up(outcomes, one);
}

}  // namespace eos::client
