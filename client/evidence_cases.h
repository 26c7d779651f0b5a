// SPDX-License-Identifier: AGPL-3.0-only
// Evidence with stated verdicts: a folder with an index.json, and what this verifier says to it.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "common/attestation/event_log/event_log.h"
#include "common/attestation/verify/verify.h"
#include "common/base/time.h"

namespace eos::client {

inline constexpr Code bad_case{"client", "bad_case", "a case of index.json cannot be run"};

inline constexpr std::size_t kMaxCases = 4096;
inline constexpr std::size_t kMaxIndexBytes = 16 * 1024 * 1024;

/// One row of index.json, as far as it is used.
struct EvidenceCase {
    std::string id;
    std::string kind;                ///< decides how it is run
    std::string verdict;             ///< that the folder states
    std::vector<std::string> files;  ///< below the folder; the evidence first
    std::optional<UnixTime> time;    ///< to verify at; absent where it says "-"
};

/// Whether the stated verdict and ours are the same.
enum class Agreement { agree, differ, not_run };

/// What came out of one case.
struct CaseResult {
    std::string id;
    Agreement agreement = Agreement::not_run;
    std::string stated;
    std::string found;          ///< "REJECT", "VALID", "SIGNATURES_OK" or Intel's status
    std::string deciding_node;  ///< the first check that failed; else the one that gave `found`
    std::vector<std::string> failed;  ///< of a rejection: every node that stands in the way
    std::string detail;               ///< why, for a person
    std::string taken_off;            ///< of the evidence's file: EvidenceFile::taken_off
    std::string left_alone;           ///< files that were not looked at, and why
};

/// Reads DIR/index.json: an array of objects with id, kind, verdict, files and time. Other members
/// are for people.
/// errors:  file_unreadable, those of json::parse, json::wrong_type, missing_member, out_of_range;
///          bad_time; bad_case (a file outside of the folder).
/// bound:   kMaxIndexBytes, kMaxCases.
[[nodiscard]] Result<std::vector<EvidenceCase>> read_cases(const std::filesystem::path& folder);

/// The evidence of a case and what is given beside it.
struct CaseEvidence {
    Bytes evidence;
    std::string taken_off;  ///< of its file: EvidenceFile::taken_off
    attestation::endorsements::Endorsements endorsements;
    std::optional<attestation::event_log::EventLog> runtime_log;  ///< as in ratls::ForeignLeaf
};

/// Whether a file of a case is collateral: it lies in a folder of that name.
bool is_collateral(const std::filesystem::path& name);

/// Whether a file of a case is a certificate of AMD's, by its name (.der, .pem, .crt or .cer) or by
/// what it holds.
bool is_certificate(const std::filesystem::path& name, ByteView file);

/// Loads the files of a case of a quote or report: the evidence as by read_evidence(), collateral,
/// and certificates, by their name or content; originals in other containers are left alone.
/// errors:  file_unreadable, those of parse_endorsements().
[[nodiscard]] Result<CaseEvidence> load_case(const std::filesystem::path& folder,
                                             const EvidenceCase& one);

/// Runs one case at its time under the vendors' roots. Kinds that this program does not know are
/// not run. A case that cannot be read differs.
CaseResult run_case(const std::filesystem::path& folder, const EvidenceCase& one);

}  // namespace eos::client
