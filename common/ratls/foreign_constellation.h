// SPDX-License-Identifier: AGPL-3.0-only
// Certificates of attested TLS as Constellation and its descendants make them, read-only: JSON in
// an extension, bound to the certificate's key and to a nonce of whoever the certificate was made
// for. The nonce went over the wire before the certificate and is not in it: without it nothing is
// bound.
#pragma once

#include <optional>
#include <variant>
#include <vector>

#include "common/attestation/verify/vtpm.h"
#include "common/oid/oid.h"
#include "common/ratls/foreign_leaf.h"

namespace eos::ratls {

inline constexpr Code refused_variant{"common/ratls", "refused_variant",
                                      "a Constellation certificate of a variant that is not read"};

/// What the receiver of the certificate had sent, in base64: a client as the server name of its
/// ClientHello, a server as the common name of the one CA in its CertificateRequest.
using ConstellationNonce = ByteArray<32>;

/// What such a certificate carries. Nothing is verified, but that the document names its key.
struct ConstellationLeaf {
    /// qemu-tdx, gcp-sev-snp: the report data itself binds the key. Of the latter's TPM, for which
    /// only Google vouches, nothing is taken.
    struct Report {
        Bytes evidence;
        std::vector<Bytes> certificates;  ///< of an SNP report: VCEK as PEM
    };
    /// azure-sev-snp, azure-tdx: the TPM's nonce binds the key.
    struct Paravisor {
        /// Of TDX without a TD report: there `hcl` has the report data that the quote must have.
        attestation::evidence::AzureVtpmEvidence evidence;
        Bytes instance_info;  ///< as the TPM's nonce binds it
    };

    oid::Oid variant;
    std::variant<Report, Paravisor> evidence;
    crypto::Digest32 key_hash{};  ///< SHA-256 of the certificate's SubjectPublicKeyInfo
};

/// Takes the evidence out. Exactly one extension with evidence, of this or any foreign format.
/// errors:  no_foreign_evidence; refused_variant (with its name, and why); bad_foreign_leaf (two
///          extensions with evidence, a document that is malformed or names another key).
/// source:  Constellation's attested TLS, as docs/evidence.md describes it.
/// bound:   kMaxForeignEvidenceBytes.
[[nodiscard]] Result<ConstellationLeaf> read_constellation_leaf(
    const x509::Certificate& certificate);

/// Verifies the evidence and its binding to key and nonce. Nodes: "nonce"; those of the hardware
/// below "hardware"; "report_data", or below "hcl" and "tpm" those of verify_azure_vtpm(), where
/// tpm.nonce is the binding. Without a nonce, "nonce" fails and the binding is not evaluated.
/// Whether the evidence is fresh only the caller knows: it is, if the nonce was random and his.
/// bound:   that of verify_azure_vtpm().
[[nodiscard]] attestation::verify::VtpmVerification verify_constellation_leaf(
    const ConstellationLeaf& leaf, const attestation::endorsements::Endorsements& endorsements,
    const attestation::verify::Roots& roots, const std::optional<ConstellationNonce>& nonce,
    UnixTime time);

}  // namespace eos::ratls
