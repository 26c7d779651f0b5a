// SPDX-License-Identifier: AGPL-3.0-only
// From the certificates a server showed to an AttestationResult: the one way that clients, tools
// and peers take.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "common/attestation/appraise/appraise.h"
#include "common/attestation/endorsements/endorsements.h"
#include "common/ratls/attest_message.h"
#include "common/ratls/leaf.h"
#include "common/ratls/report_data.h"

namespace eos::ratls {

/// What the caller knows about the handshake in which the leaf was shown.
struct HandshakeEvidence {
    Bytes nonce;    ///< that this caller sent in 0xFFBB
    Binder binder;  ///< that this caller derived
};

/// What the caller got from the exchange of mode C, and knows about the connection it was made in.
struct ChannelEvidence {
    ChannelBinding binding;   ///< of the caller's own connection: its random context, its exporter
    AttestResponse response;  ///< as it was parsed
};

/// What is to be appraised, and what for. Borrowed for the call.
struct LeafInput {
    std::span<const Bytes> chain;  ///< DER, leaf first; as received
    /// Roots of the operator's private PKI. Empty: the chain is not evaluated, which the verdict
    /// says and which does not stand in the way (an enclave without owner signs its leaf itself);
    /// what check_without_ca() looks at is demanded then.
    std::span<const x509::Certificate> anchors;
    std::string server_name;  ///< that the leaf must be for; empty: any
    /// Absent for a stored certificate or a handshake without challenge: then the report data must
    /// be of the deterministic form.
    std::optional<HandshakeEvidence> handshake;
    /// Evidence that was asked for inside the connection; never together with `handshake`. Then the
    /// leaf must be of the second generation.
    std::optional<ChannelEvidence> channel = std::nullopt;
    /// What the caller saw of instances before it connected; null for a stored certificate, which
    /// may well be old, and for a caller that does not remember.
    const attestation::appraise::InstanceMemory* memory = nullptr;
    /// What became of parsing the guest's event log; null: none was given.
    const Result<attestation::event_log::EventLog>* event_log = nullptr;
};

/// Parses, verifies and appraises. Never fails to return a result: whatever cannot be parsed fails
/// the check that is about it, and all others are made where they can be. bound:   chain: at most 5
/// certificates of x509::kMaxCertificateBytes; the rest is counted as a failure.
[[nodiscard]] attestation::appraise::AttestationResult appraise_leaf(
    const LeafInput& input, const attestation::verify::Collateral& collateral,
    const attestation::appraise::Policy& policy, UnixTime time);

/// The 64 bytes that the caller worked out itself, by a scheme that is not ours.
struct StatedReportData {
    ByteArray<kReportDataBytes> bytes{};
};

/// What evidence of ours without its certificate must be bound to.
struct BoundReportData {
    ReportData report_data;
    /// When it was asked for, by the presenter's account; for the deterministic form.
    std::optional<UnixTime> evidence_time;
};

/// Evidence alone. Without an expectation report_data and binding.level are not evaluated, so that
/// nothing is accepted. Checks about a certificate are not evaluated either: assurance must be
/// waived, leaf_binding not required.
struct EvidenceInput {
    ByteView evidence;  ///< borrowed for the call
    std::variant<std::monostate, StatedReportData, BoundReportData> expected;
    /// What became of parsing the guest's event log; null: none was given.
    const Result<attestation::event_log::EventLog>* event_log = nullptr;
    /// Makes one more check of the caller's, which counts like all others; may be empty. For what
    /// can only be judged beside verified evidence.
    std::function<attestation::verify::Check(const attestation::verify::Verification&)> more =
        nullptr;
    attestation::verify::SignatureMemo* memo = nullptr;  ///< as for verify()
};
[[nodiscard]] attestation::appraise::AttestationResult appraise_evidence(
    const EvidenceInput& input, const attestation::verify::Collateral& collateral,
    const attestation::appraise::Policy& policy, UnixTime time);

/// The same for evidence of purpose ca_csr. Of the policy, what is about a leaf does not apply: its
/// values, binding signature and assurance are the connection's, which the caller has appraised.
struct CsrInput {
    CsrBinding binding;
    ByteView evidence;
};
[[nodiscard]] attestation::appraise::AttestationResult appraise_csr(
    const CsrInput& input, const attestation::verify::Collateral& collateral,
    const attestation::appraise::Policy& policy, UnixTime time);

}  // namespace eos::ratls
