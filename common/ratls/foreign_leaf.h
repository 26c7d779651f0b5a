// SPDX-License-Identifier: AGPL-3.0-only
// RA-TLS certificates of other projects, read-only: the evidence in them, and whether it is bound
// to the certificate's key by the one rule of its format. Each format has its identifier and its
// own hash of the key; a hash of another format under it is refused.
#pragma once

#include <optional>
#include <string_view>

#include "common/attestation/verify/check.h"
#include "common/x509/certificate.h"

namespace eos::ratls {

inline constexpr Code bad_foreign_leaf{"common/ratls", "bad_foreign_leaf",
                                       "the certificate's foreign evidence is malformed"};
inline constexpr Code no_foreign_evidence{"common/ratls", "no_foreign_evidence",
                                          "the certificate carries no evidence of a known format"};

/// The largest evidence extension looked at: a quote, or a wrapper around one.
inline constexpr std::size_t kMaxForeignEvidenceBytes = 64 * 1024;

/// Who made the certificate, as far as its evidence extension tells.
enum class ForeignFormat : std::uint8_t {
    gramine_legacy,  ///< raw quote; SHA-256 of the SubjectPublicKeyInfo
    dice_tagged,     ///< Gramine, Intel SDK, rats-tls: CBOR tag 60000; SHA-256 of claims, which
                     ///< name the hash of the SubjectPublicKeyInfo
    rats_tls_2020,   ///< raw quote; SHA-256 of the PKCS #1 RSAPublicKey
    open_enclave,  ///< also EGo and Azure attestation: OE report; SHA-256 of the key as PEM and NUL
    dstack         ///< quote in an OCTET STRING; SHA-512 of "ratls-cert:" and the key's SPKI
};

/// "gramine-legacy", …
std::string_view foreign_format_name(ForeignFormat format);

/// What a foreign certificate carries. Nothing is verified.
struct ForeignLeaf {
    ForeignFormat format{};
    Bytes quote;                  ///< for attestation::verify
    ByteArray<64> report_data{};  ///< that the quote must have
};

/// Takes the evidence out and computes what it must bind. Exactly one extension with evidence, but
/// for the Intel SDK's second copy of the same quote.
/// errors:  no_foreign_evidence; bad_foreign_leaf (two that disagree, malformed CBOR, a claims hash
///          of another key, a key of a kind that the format does not have).
/// source:  the formats' own projects, named in docs/evidence.md; IANA CBOR tag 60000.
/// bound:   kMaxForeignEvidenceBytes.
[[nodiscard]] Result<ForeignLeaf> read_foreign_leaf(const x509::Certificate& certificate);

/// Node "report_data": whether the quote's is what the certificate's key demands, all 64 bytes.
attestation::verify::Check check_foreign_binding(const ForeignLeaf& leaf,
                                                 const ByteArray<64>& report_data);

}  // namespace eos::ratls
