// SPDX-License-Identifier: AGPL-3.0-only
// Evidence as people keep it in files: as text, in Open Enclave's frame, in buffers filled up with
// zeros. The library takes evidence alone; what is around it is taken off here, and said.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/x509/certificate.h"

namespace eos::client {

inline constexpr Code evidence_alone{"client", "evidence_alone",
                                     "this is a quote or report, not a certificate"};

inline constexpr Code json_instead{"client", "json_instead",
                                   "this is JSON text, and no quote or report is found in it"};

/// Evidence, and what it lay in.
struct EvidenceFile {
    Bytes bytes;
    /// "hexadecimal text, 70 bytes of zero padding"; empty: nothing was taken off. For a person.
    std::string taken_off;
};

/// Takes off, in this order and each at most once: lines of a comment, "# …"; hexadecimal (with or
/// without 0x), base64 or base64url, if the file is nothing but such text and white space; a JSON
/// object around the one member that is evidence, by its name and what it holds (text as before, or
/// a list of numbers); Open Enclave's header of a report, if it counts what follows; zeros behind
/// the end that a quote itself states; Open Enclave's claims there, if the report data is their
/// SHA-256 and zeros. A PCK chain with the root first is turned round.
/// returns: what remains, or the same bytes: whether that is evidence is for the parser to say.
/// source:  docs/evidence.md; openenclave, include/openenclave/internal/report.h (the header) and
///          attestation/custom_claims.h.
EvidenceFile unwrap_evidence(Bytes file);

/// errors: file_unreadable.
[[nodiscard]] Result<EvidenceFile> read_evidence(const std::filesystem::path& path);

/// Whether it is well-formed JSON, an object or a list.
bool is_json_text(ByteView bytes);

/// Whether it is a quote or report by its looks; a quote may be damaged.
bool is_evidence(ByteView bytes);

/// Whether a file begins as a certificate in DER or PEM does.
bool holds_certificate(std::string_view file);

/// The certificates of a file, of which the first carries evidence. A quote has certificates
/// within, and is none.
/// in:     remedy: of evidence_alone, what to do.
/// errors: evidence_alone, those of read_certificates().
[[nodiscard]] Result<std::vector<x509::Certificate>> read_carrying_certificates(
    const std::filesystem::path& path, const std::string& remedy);

}  // namespace eos::client
