// SPDX-License-Identifier: AGPL-3.0-only
// The groups of checks that appraise() makes. For this folder only.
#pragma once

#include "common/attestation/appraise/appraise.h"

namespace eos::attestation::appraise {

/// A check that has nothing to look at because the evidence is not genuine. It does not decide: the
/// rejection is certain, and what failed should not drown in its consequences.
verify::Check moot(const verify::Subject& subject);

/// Group "enclave": the hardware's claims against the policy. `evidence` is null if not genuine.
verify::Check enclave_checks(const verify::Verification& verification, const Policy& policy);

/// "sgx", "tdx", "snp".
std::string_view tee_name(const verify::TeeClaims& claims);

/// Whether the host can look into the TEE, by the TEE's own report.
bool is_debug(const verify::TeeClaims& claims);

/// Whether a pin names this evidence.
verify::Check identity_check(const verify::TeeClaims& claims, const Policy& policy);

/// Whether a pin that the evidence matches takes this form of report data; the policy's own list
/// counts where no pin matches.
bool pin_accepts_binding(const verify::VerifiedEvidence& evidence, const Policy& policy,
                         const std::string& format);

/// What only a trust domain has: attributes, XFAM, module, service TDs.
std::vector<verify::Check> td_checks(const evidence::TdReport& report, const Policy& policy);

/// What only a guest of SEV-SNP has: product, signing key, VMPL, launch policy, platform, TCB.
std::vector<verify::Check> guest_checks(const verify::SnpClaims& claims, const Policy& policy);

/// "identity.platform" under a policy that lists no machines: a pinned instance decides, or nothing
/// does. `machine`: "platform", "chip"; `found`: which one it is.
verify::Check check_without_list(const verify::Subject& subject, std::string_view machine,
                                 const std::string& found, const Policy& policy);

/// "identity.platform" of SEV-SNP.
verify::Check chip_check(const verify::SnpClaims& claims, const Policy& policy);

/// Group "binding": whether the evidence belongs to what presents it.
verify::Check binding_checks(const LeafClaims& leaf, const verify::Verification& verification,
                             const Policy& policy);

/// Group "configuration": the certificate's values against the policy, and its instance against
/// what is remembered, if anything is (may be null).
verify::Check configuration_checks(const LeafClaims& leaf, const verify::VerifiedEvidence* evidence,
                                   const Policy& policy, const InstanceMemory* memory);

/// Appends the nodes state_rollback and state_fork.
void add_state_checks(std::vector<verify::Check>& out, const LeafClaims& leaf,
                      const InstanceMemory& memory);

/// Appends group "event_log", if a log was given or the policy demands one of this TEE.
void add_event_log_checks(std::vector<verify::Check>& out, const verify::Verification& verification,
                          const LeafClaims& leaf, const Policy& policy);

/// The claims of genuine evidence and of its certificate, normalised.
json::Value claims_to_json(const verify::VerifiedEvidence& evidence, const LeafClaims& leaf);

/// What the leaf says of its instance; nothing if it does not.
std::optional<InstanceClaim> instance_claim(const LeafClaims& leaf);

}  // namespace eos::attestation::appraise
