// SPDX-License-Identifier: AGPL-3.0-only
// Why evidence does not show what was expected: the first difference and what usually causes it.
// Nothing is verified here: a difference is explained, genuineness is not decided.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "client/measure/digest.h"
#include "common/attestation/event_log/event_log.h"
#include "common/attestation/verify/check.h"

namespace eos::client::measure {

inline constexpr std::size_t kMaxExpectationBytes = 1024 * 1024;
inline constexpr std::size_t kMaxVariants = 1024;

/// A measurement by its name in the vendor's documents.
struct Register {
    std::string name;  ///< "mr_enclave", "mr_td", "rtmr0", "measurement", …
    Bytes value;
};

/// A value that a register has if one usual thing differs.
struct Variant {
    std::string change;  ///< what differs, e.g. "2 vCPUs"
    Register otherwise;
};

/// What `enclavectl measure --json` prints, or a person wrote.
struct Expectation {
    std::string tee;  ///< "sgx", "tdx", "snp"
    std::vector<Register> registers;
    std::vector<Variant> variants;
    std::optional<attestation::event_log::EventLog> events;
};

/// The measurements of a quote or report, in the order in which they come about.
struct Quoted {
    std::string tee;
    std::vector<Register> registers;
    std::optional<attestation::event_log::Rtmrs> rtmrs;  ///< TDX
    std::string taken_off = {};                          ///< EvidenceFile::taken_off
};

/// in:     {"tee","mr_enclave"|"mr_td"|"rtmr0"|"measurement"|…, "variants"?, "events"?}, at most
///         kMaxExpectationBytes; every register optional, but one.
/// errors: bad_expectation (no register, or another kind of TEE), bad_encoding (also: the wrong
///         size), those of common/json and of event_log::parse_runtime_log().
[[nodiscard]] Result<Expectation> parse_expectation(ByteView text);

/// in:     a file of an Intel quote or an SEV-SNP report, as unwrap_evidence() takes it.
/// errors: those of evidence::parse_quote() and evidence::parse_snp_evidence().
[[nodiscard]] Result<Quoted> quoted_measurements(Bytes file);

/// One node for each expected register, "why.<register>"; what differs has a note that says what
/// the quoted value is, if a variant or the log tells, and as remedy what to look at. With a log
/// the nodes of event_log::check_event_log() follow.
attestation::verify::Check explain(const Expectation& expected, const Quoted& quoted,
                                   const std::optional<attestation::event_log::EventLog>& log);

}  // namespace eos::client::measure
