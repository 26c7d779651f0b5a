// SPDX-License-Identifier: AGPL-3.0-only
// Evidence of SEV-SNP: the firmware's report, and the certificates that a host may hand on with it.
#pragma once

#include <cstdint>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/snp_arch/report.h"

namespace eos::attestation::evidence {

/// The largest certificate table looked at; Linux hands on no larger one.
inline constexpr std::size_t kMaxSnpTableBytes = 16 * 1024;
inline constexpr std::size_t kMaxSnpTableEntries = 16;
inline constexpr std::size_t kMaxSnpEvidenceBytes = snp_arch::kReportBytes + kMaxSnpTableBytes;

inline constexpr Code bad_certificate_table{"common/attestation/evidence", "bad_certificate_table",
                                            "the certificate table behind the report is malformed"};

/// What an entry of a certificate table is said to be. Nobody vouches for it: what a certificate
/// really is, its own fields and its chain say.
enum class SnpTableKind : std::uint8_t { ark, ask, vcek, vlek, crl, other };

/// One entry.
struct SnpTableEntry {
    SnpTableKind kind = SnpTableKind::other;
    Bytes content;  ///< DER or PEM: both are met
};

/// A syntactically sound report and what came with it. Nothing in it is authenticated before
/// common/attestation/verify says so.
struct SnpEvidence {
    snp_arch::Report report;
    ByteArray<snp_arch::kReportBytes> report_bytes{};  ///< as sent
    std::vector<SnpTableEntry> table;                  ///< empty if no table was sent

    /// What the signature covers, borrowed from this object.
    ByteView signed_bytes() const { return ByteView(report_bytes).first(snp_arch::kSignedBytes); }
};

/// Parses a certificate table. Offsets count from its start; entries follow one another in the
/// order of the table and do not overlap; what lies between and behind them is zero.
/// in:      at most kMaxSnpTableBytes.
/// errors:  bad_certificate_table.
/// source:  AMD 56421 (GHCB), extended guest request; the GUIDs are those of 56860.
/// bound:   kMaxSnpTableEntries.
[[nodiscard]] Result<std::vector<SnpTableEntry>> parse_snp_table(ByteView in);

/// The inverse, for DER or PEM entries of a known kind.
Bytes encode_snp_table(const std::vector<SnpTableEntry>& entries);

/// Parses a report and, if anything follows it, the certificate table.
/// in:      the whole evidence; not retained.
/// errors:  those of snp_arch::parse_report() and parse_snp_table().
/// bound:   one pass over at most kMaxSnpEvidenceBytes.
[[nodiscard]] Result<SnpEvidence> parse_snp_evidence(ByteView in);

}  // namespace eos::attestation::evidence
