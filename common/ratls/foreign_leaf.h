// SPDX-License-Identifier: AGPL-3.0-only
// RA-TLS certificates of other projects, read-only: the evidence in them, and whether it is bound
// to the certificate's key by the one rule of its format. Each format has its identifier and its
// own hash of the key; a hash of another format under it is refused.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "common/attestation/event_log/event_log.h"
#include "common/attestation/verify/check.h"
#include "common/x509/certificate.h"

namespace eos::ratls {

inline constexpr Code bad_foreign_leaf{"common/ratls", "bad_foreign_leaf",
                                       "the certificate's foreign evidence is malformed"};
inline constexpr Code no_foreign_evidence{"common/ratls", "no_foreign_evidence",
                                          "the certificate carries no evidence of a known format"};
inline constexpr Code unread_foreign_evidence{"common/ratls", "unread_foreign_evidence",
                                              "the certificate's evidence is of a known format "
                                              "that is not read"};

/// The largest evidence extension looked at: a quote, or a wrapper around one.
inline constexpr std::size_t kMaxForeignEvidenceBytes = 64 * 1024;

/// Who made the certificate, as far as its evidence extension tells.
enum class ForeignFormat : std::uint8_t {
    gramine_legacy,  ///< raw quote; SHA-256 of the SubjectPublicKeyInfo
    dice_tagged,     ///< Gramine, Intel SDK, rats-tls: CBOR tag 60000; SHA-256 of claims, which
                     ///< name the hash of the SubjectPublicKeyInfo
    rats_tls_2020,   ///< raw quote; SHA-256 of the PKCS #1 RSAPublicKey
    open_enclave,    ///< also Azure attestation: OE report; SHA-256 of the key as PEM and NUL
    ego,             ///< OE report under the same identifier; SHA-256 of the SubjectPublicKeyInfo
    open_enclave_evidence,  ///< OE evidence: the quote, then the claims: the key as PEM and NUL
    dstack  ///< quote or attestation in an OCTET STRING; SHA-512 of "ratls-cert:" and the SPKI
};

/// "gramine-legacy", …
std::string_view foreign_format_name(ForeignFormat format);

/// One way in which the quote may be bound to the certificate's key.
struct KeyBinding {
    ForeignFormat format{};
    ByteArray<64> report_data{};  ///< that the quote must have
};

/// What a foreign certificate carries. Nothing is verified.
struct ForeignLeaf {
    /// Quote or SNP report, for attestation::verify; without the zeros that dstack leaves behind.
    Bytes quote;
    KeyBinding binding;
    /// What EGo binds under Open Enclave's identifier: which of the two wrote it, only the quote
    /// tells.
    std::optional<KeyBinding> or_binding;
    std::vector<Bytes>
        certificates;  ///< of AMD's, DER or PEM: what dstack has beside an SNP report
    /// Of dstack's TDX guests, what RTMR3 must replay to; the other registers are not in it.
    std::optional<attestation::event_log::EventLog> runtime_log;
};

/// Takes the evidence out and computes what it must bind. Exactly one extension with evidence, but
/// for the Intel SDK's second copy of the same quote, and for Gramine from 1.8 on, which adds its
/// legacy extension: that one is not verified, but must carry the same quote or one with the same
/// report body, each bound by the rule of its own format.
/// errors:  no_foreign_evidence; unread_foreign_evidence; bad_foreign_leaf (two that disagree,
///          malformed CBOR or SCALE, a claims hash of another key, a key of a kind that the format
///          does not have).
/// source:  the formats' own projects, named in docs/evidence.md; IANA CBOR tag 60000.
/// bound:   kMaxForeignEvidenceBytes.
[[nodiscard]] Result<ForeignLeaf> read_foreign_leaf(const x509::Certificate& certificate);

/// Node "report_data": whether the quote's is what the certificate's key demands, all 64 bytes.
/// Says which format's rule it follows.
attestation::verify::Check check_foreign_binding(const ForeignLeaf& leaf,
                                                 const ByteArray<64>& report_data);

}  // namespace eos::ratls
