// SPDX-License-Identifier: AGPL-3.0-only
// What the ways to run a case of evidence_cases.h have in common.
#pragma once

#include <optional>

#include "client/evidence_cases.h"
#include "client/evidence_files.h"
#include "common/attestation/verify/check.h"
#include "common/json/json.h"

namespace eos::client {

/// What was found of a quote or report, and by which node.
void describe_outcome(const attestation::verify::Verification& verification, CaseResult& out);

/// Whether a stated rejection is about one of these nodes. Words that are not known here are taken
/// for any rejection.
bool is_stated_reason(std::string_view stated, const std::vector<std::string>& failed);

/// Whether the stated verdict is what was found, a rejection for the stated reason.
bool agrees(std::string_view stated, const CaseResult& result);

/// Sets the agreement: agrees() with the verdict of the case, or it differs.
void compare(const EvidenceCase& one, CaseResult& out);

/// "VALID" or "REJECT", and the first check that failed, else `deciding_node`.
CaseResult outcome_of(const attestation::verify::Check& tree, attestation::verify::Verdict verdict,
                      std::string_view deciding_node);

/// What does not parse is refused like what parses and does not verify.
CaseResult refused_syntax(const Error& error);

/// The nonce that a stated verdict names: (nonce "challenge").
std::optional<Bytes> stated_nonce(std::string_view stated);

/// The word that a stated verdict begins with: "REJECT" of "REJECT: nonce".
std::string_view stated_word(std::string_view stated);

/// One JSON object of a virtual TPM's evidence, or its pieces: HCL report, quote of the TPM,
/// certificates, TD quote; without a quote of the TPM only what the hardware binds is looked at.
/// What each file is, it says itself; collateral lies as in load_case().
/// errors:  bad_case, file_unreadable, those of parse_endorsements().
[[nodiscard]] Result<CaseResult> run_vtpm(const std::filesystem::path& folder,
                                          const EvidenceCase& one);

/// The case that the kind of this one ends with: "… for ID"; nothing if it names none.
/// errors:  bad_case (there is none); those of read_cases().
[[nodiscard]] Result<std::optional<EvidenceCase>> referred_case(const std::filesystem::path& folder,
                                                                const EvidenceCase& one);

/// Verifies what was loaded for a quote or report.
CaseResult run_loaded(const CaseEvidence& loaded, const EvidenceCase& one);

/// What dstack's service answers to "GetQuote".
struct DstackAnswer {
    EvidenceFile quote;
    std::string event_log;  ///< a JSON list
};

/// in:      {"quote": hex, "event_log": a JSON list or its text, …}.
/// errors:  those of the two members.
[[nodiscard]] Result<DstackAnswer> parse_dstack_answer(const json::Value& answer);

/// Logs (CCEL data areas, its ACPI table, JSON lists) and the quote: in dstack's answer, in a file
/// of its own, or that of the referred case. Without a quote they are parsed only.
/// errors:  bad_case, file_unreadable, those of referred_case() and load_case().
[[nodiscard]] Result<CaseResult> run_event_logs(const std::filesystem::path& folder,
                                                const EvidenceCase& one);

/// Evidence or collateral of the referred case in another container: what it states must come out.
/// errors:  bad_case, file_unreadable, those of the containers and of load_case().
[[nodiscard]] Result<CaseResult> run_container(const std::filesystem::path& folder,
                                               const EvidenceCase& one);

/// Collateral alone. Each file must hold Intel's statements or lists, verified to Intel's root at
/// the case's time, else on the day of each; an answer without its issuers is tried with each .pem
/// of the case, under whose name its outcome stands. What Intel publishes beside them is left
/// alone. The verdict may name files: "good.pem: VALID; bad.pem: REJECT".
/// errors:  bad_case, file_unreadable.
[[nodiscard]] Result<CaseResult> run_collateral(const std::filesystem::path& folder,
                                                const EvidenceCase& one);

/// Texts of statements that need not be signed: which of them parse. The verdict as above, with
/// "parse" and "must not …".
/// errors:  bad_case, file_unreadable.
[[nodiscard]] Result<CaseResult> run_statement_texts(const std::filesystem::path& folder,
                                                     const EvidenceCase& one);

}  // namespace eos::client
