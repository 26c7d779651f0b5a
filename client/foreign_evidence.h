// SPDX-License-Identifier: AGPL-3.0-only
// Certificates of other projects and evidence of virtual TPMs, as they lie in files: verified, held
// against the key that they must be bound to, and appraised as evidence of ours is.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/attestation/appraise/appraise.h"
#include "common/attestation/verify/vtpm.h"
#include "common/x509/certificate.h"

namespace eos::client {

inline constexpr Code bad_nonce{"client", "bad_nonce", "the nonce does not fit the evidence"};

/// Hardware evidence and what lay around it, verified.
struct ForeignVerification {
    attestation::verify::Verification hardware;
    /// Node "report_data": whether the hardware's is what the key demands.
    attestation::verify::Check report_data;
    /// What else must pass: a certificate's own signature, dates and name, a nonce, a TPM and what
    /// ties it to the hardware, a log.
    std::vector<attestation::verify::Check> more;
    /// What the report data leads to, for a person: "the certificate's key".
    std::string_view key;
};

/// By what evidence is verified. Borrowed for the call.
struct ForeignInput {
    const attestation::endorsements::Endorsements& endorsements;
    const attestation::verify::Roots& roots;
    UnixTime time;
    std::string_view server_name = {};  ///< that a certificate must be for; empty: any
};

/// What dstack's guest says it measured must replay to RTMR3, of which it has all; of the other
/// registers it has nothing. Group "event_log".
attestation::verify::Check check_runtime_log(const attestation::verify::Verification& hardware,
                                             const attestation::event_log::EventLog& log);

/// Whether another project made it: nothing in it is of this one, and something of theirs.
bool is_foreign(const x509::Certificate& leaf);

/// What a certificate of another project carries, not verified.
struct CarriedEvidence {
    Bytes hardware;                   ///< quote or SNP report
    std::vector<Bytes> certificates;  ///< of AMD's, DER or PEM, that came with a report
};

/// errors:  those of read_foreign_leaf() and read_constellation_leaf().
[[nodiscard]] Result<CarriedEvidence> carried_evidence(const x509::Certificate& leaf);

/// Takes the evidence out of a certificate of another project, and verifies it, its binding to the
/// certificate's key, and the certificate as ratls::check_without_ca() does.
/// in:      nonce: the 32 bytes that a certificate of Constellation was made for; else absent.
/// errors:  bad_nonce (of another size, or for a format that has none); those of
///          read_foreign_leaf() and read_constellation_leaf().
[[nodiscard]] Result<ForeignVerification> verify_foreign_leaf(const x509::Certificate& leaf,
                                                              const std::optional<Bytes>& nonce,
                                                              const ForeignInput& input);

/// The hardware below a virtual TPM, the TPM's key that it vouches for, and the TPM's quote.
ForeignVerification verify_vtpm(const attestation::evidence::AzureVtpmEvidence& evidence,
                                const attestation::verify::TpmDemands& demands,
                                const ForeignInput& input);

/// What a caller knows beside the verification.
struct ForeignContext {
    /// What became of parsing the guest's event log; null: none was given.
    const Result<attestation::event_log::EventLog>* event_log = nullptr;
    /// Certificates of CAs that the caller demands the chain to lead to. Chains of other projects
    /// are not looked at, so that with any nothing is accepted.
    bool has_anchors = false;
};

/// Appraises it. The policy must take the binding "report-data", waive "assurance" and not require
/// leaf_binding: nothing states these. That somebody holds the key, no file shows, which the node
/// "binding.level" says.
attestation::appraise::AttestationResult appraise_foreign(
    const ForeignVerification& verification, const ForeignContext& context,
    const attestation::appraise::Policy& policy);

}  // namespace eos::client
