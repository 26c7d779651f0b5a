// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/x509/certificate.h"

// Path validation: RFC 5280 §6, the part that this project needs, strictly.

namespace eos::x509 {

inline constexpr Code unknown_issuer{"common/x509", "unknown_issuer",
                                     "no certificate of the issuer is known or trusted"};
inline constexpr Code not_a_ca{"common/x509", "not_a_ca", "the issuer is not a CA"};
inline constexpr Code path_length{"common/x509", "path_length",
                                  "more CAs stand below a CA than it allows"};
inline constexpr Code name_constraint{"common/x509", "name_constraint",
                                      "a name lies outside what the CA may certify"};
inline constexpr Code wrong_name{"common/x509", "wrong_name",
                                 "the certificate is for another name"};
inline constexpr Code too_long{"common/x509", "too_long",
                               "the chain is longer than the limit allows"};

/// Signatures that one call verifies at most, so that no set of certificates makes it expensive.
inline constexpr std::size_t kMaxSignatureChecks = 32;
inline constexpr std::size_t kMaxIntermediates = 16;

/// Whether a SAN "*.example.test" stands for "a.example.test".
enum class Wildcards : std::uint8_t { kRefuse, kLeftmostLabel };

/// What is to be verified. Borrowed for the call.
struct ChainInput {
    const Certificate& leaf;
    std::span<const Certificate> intermediates;  ///< in any order; not trusted
    std::span<const Certificate> anchors;        ///< trusted; held to the same rules as all others
    UnixTime time;
};

/// A signature that the caller has verified before. Borrowed for the call.
struct KnownSignature {
    const Certificate& subject;
    const Certificate& issuer;
};

/// What is demanded beyond a path to an anchor.
struct ChainOptions {
    /// A DNS name without trailing dot, or an IP address.
    std::optional<std::string> host;
    /// A purpose that extendedKeyUsage must name wherever the extension is present.
    std::optional<oid::Oid> purpose;
    /// KeyUsage bits that the leaf must have if it has the extension.
    std::uint16_t leaf_key_usage = kDigitalSignature;
    Wildcards wildcards = Wildcards::kRefuse;
    /// Critical extensions that the caller knows and looks at itself. An emulated root passes only
    /// if oid::kEmulationRootMarker is among them.
    std::vector<oid::Oid> known_critical;
    /// Leaf and anchor included.
    std::size_t max_certificates = 5;
    /// Not verified again. All other rules hold for these certificates as for any.
    std::span<const KnownSignature> known_signatures;
};

/// Finds and verifies a path from the leaf to an anchor: signatures (ECDSA P-256 with SHA-256), and
/// of every certificate, the anchor included: validity, critical extensions, basicConstraints,
/// keyUsage, extendedKeyUsage, path length and name constraints (DNS and IP). Issuers are found by
/// name and told apart by signature. A leaf that is itself an anchor is a path of one. A path
/// length counts every CA below, self-issued or not. Revocation is not looked at: Crl does that.
/// returns: the path, leaf first, anchor last.
/// errors:  unknown_issuer, bad_signature, unsupported_algorithm, expired, not_yet_valid, not_a_ca,
///          path_length, name_constraint, wrong_name, key_usage, unknown_critical_extension,
///          too_long, too_many (intermediates). If there are several paths, the error of the one
///          that came closest.
/// bound:   kMaxSignatureChecks.
[[nodiscard]] Result<std::vector<Certificate>> verify_chain(const ChainInput& input,
                                                            const ChainOptions& options);

/// Whether the subjectAltName of a certificate has this name. The CN is never looked at.
/// in:     host: as in ChainOptions.
/// errors: wrong_name.
[[nodiscard]] Result<void> verify_host(const Certificate& leaf, std::string_view host,
                                       Wildcards wildcards);

}  // namespace eos::x509
