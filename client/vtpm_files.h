// SPDX-License-Identifier: AGPL-3.0-only
// Evidence of a virtual TPM in one file or in several: what each file is, it says itself.
#pragma once

#include <filesystem>
#include <optional>
#include <vector>

#include "common/attestation/evidence/vtpm.h"

namespace eos::client {

inline constexpr Code tpm_alone{"client", "tpm_alone",
                                "a TPM's quote, and nothing that vouches for its key"};

/// The files by what they are.
struct VtpmFiles {
    std::optional<Bytes> whole;  ///< everything in one JSON object
    std::optional<Bytes> hcl;
    std::optional<Bytes> tpm_quote;
    std::optional<Bytes> td_quote;
    std::vector<Bytes> certificates;
};

/// Whether it is a JSON object or an HCL report, which no certificate and no quote is.
bool is_vtpm_file(ByteView file);

/// Whether it is a TPM's quote with its public key, and no more.
bool is_plain_tpm(ByteView file);

/// Puts a file where it belongs.
/// errors:  bad_vtpm_evidence (a second one of its kind).
[[nodiscard]] Result<void> sort_in(Bytes file, VtpmFiles& out);

/// The evidence in one JSON object, with the certificates beside it, or put together of its pieces.
/// errors:  bad_vtpm_evidence (a piece is missing); those of parse_azure_vtpm().
[[nodiscard]] Result<attestation::evidence::AzureVtpmEvidence> parse_vtpm(VtpmFiles files);

/// Reads files that together are one piece of evidence, in any order, each of which must be needed.
/// errors:  file_unreadable; tpm_alone; bad_vtpm_evidence (also: a file too many); those of
///          parse_vtpm().
[[nodiscard]] Result<attestation::evidence::AzureVtpmEvidence> read_vtpm_files(
    const std::vector<std::filesystem::path>& files);

}  // namespace eos::client
