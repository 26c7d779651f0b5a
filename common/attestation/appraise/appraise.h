// SPDX-License-Identifier: AGPL-3.0-only
// The last step of the pipeline: VerifiedEvidence → AttestationResult, by the Relying Party's
// policy.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/attestation/appraise/instance_memory.h"
#include "common/attestation/appraise/policy.h"
#include "common/attestation/event_log/event_log.h"
#include "common/attestation/verify/verify.h"

namespace eos::attestation::appraise {

/// How the evidence's report data is tied to what presents it; found out by common/ratls.
struct BindingClaim {
    std::string format;  ///< "v1-challenge", …: one of the names in policy.h
    /// When the evidence was asked for, by the presenter's own account; for forms without nonce.
    std::optional<UnixTime> evidence_time;
    verify::Check report_data;  ///< id "report_data": expected against found
    verify::Check level;        ///< id "binding.level"
};

/// What the certificate that carries the evidence says beside it. All of it is the presenter's word
/// until the checks in here pass.
struct LeafClaims {
    std::string server_name;               ///< for display
    std::map<oid::Oid, Bytes> extensions;  ///< content of each extnValue
    /// SHA-256 of the SPKI of every CA certificate of the chain that was verified.
    std::vector<ByteArray<32>> chain;
    /// Absent: nothing is known about what the evidence is bound to.
    std::optional<BindingClaim> binding;
    std::optional<verify::Check> leaf_binding;  ///< id "leaf_binding"
    std::vector<verify::Check> more;            ///< further checks of the caller; all count
    /// What became of parsing the guest's event log; null: none was given. Borrowed.
    const Result<event_log::EventLog>* event_log = nullptr;
};

/// What the Relying Party may do.
enum class Outcome {
    accepted,
    accepted_emulated,  ///< accepted, EMULATED: protects nothing
    rejected
};

/// Stable exit codes of every program that reports an AttestationResult.
inline constexpr int kExitAccepted = 0;
inline constexpr int kExitAcceptedEmulated = 10;
inline constexpr int kExitNotGenuine = 20;     ///< the evidence itself failed
inline constexpr int kExitNotBound = 21;       ///< genuine, but not of this peer or certificate
inline constexpr int kExitNotAcceptable = 22;  ///< genuine and bound, but not what the policy wants
inline constexpr int kExitIncomplete = 23;     ///< nothing failed, but a check was not evaluated
inline constexpr int kExitOldState = 24;  ///< genuine and bound, but rolled back, or one of two

/// Ids of the checks against what a Relying Party remembers.
inline constexpr std::string_view kStateRollback = "state_rollback";
inline constexpr std::string_view kStateFork = "state_fork";

/// Genuineness and acceptability of one piece of evidence, with its explanation. Only appraise()
/// makes one.
class AttestationResult {
  public:
    Outcome outcome() const { return outcome_; }
    int exit_code() const { return exit_code_; }
    const verify::Check& tree() const { return tree_; }
    /// What the evidence and the certificate claim, normalised; null if the evidence is not
    /// genuine.
    const json::Value& claims() const { return claims_; }
    const crypto::Digest32& policy_hash() const { return policy_hash_; }
    UnixTime time() const { return time_; }
    /// The instance to remember: what the certificate names, nothing unless it was accepted.
    const std::optional<InstanceClaim>& instance() const { return instance_; }

    /// "accepted", "accepted, EMULATED: protects nothing", or "rejected: <ids of what decided>".
    std::string summary() const;
    /// Summary, tree and claims for a person.
    std::string text() const;
    /// The same for a program: docs/formats/verdict.md.
    json::Value to_json() const;

  private:
    friend AttestationResult appraise(const verify::Verification&, const LeafClaims&, const Policy&,
                                      const InstanceMemory*);
    AttestationResult() = default;

    Outcome outcome_ = Outcome::rejected;
    int exit_code_ = kExitNotGenuine;
    verify::Check tree_;
    json::Value claims_;
    std::string policy_name_;
    crypto::Digest32 policy_hash_{};
    UnixTime time_;
    std::optional<InstanceClaim> instance_;
};

/// Decides. Every check of docs/formats/verdict.md is made, also after one failed. The time is that
/// of the verification. `memory`: what the Relying Party saw before this connection began; null if
/// it does not remember, or the certificate is a stored one, which may well be old.
[[nodiscard]] AttestationResult appraise(const verify::Verification& verification,
                                         const LeafClaims& leaf, const Policy& policy,
                                         const InstanceMemory* memory = nullptr);

/// "accepted", "accepted_emulated", "rejected".
std::string_view outcome_name(Outcome outcome);

}  // namespace eos::attestation::appraise
