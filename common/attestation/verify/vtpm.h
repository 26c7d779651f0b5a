// SPDX-License-Identifier: AGPL-3.0-only
// Evidence of a virtual TPM: whether hardware vouches for the TPM's key, and the key for the PCRs.
#pragma once

#include <map>
#include <optional>
#include <set>

#include "common/attestation/evidence/vtpm.h"
#include "common/attestation/verify/verify.h"

namespace eos::attestation::verify {

/// What the caller asked the TPM for. All of it is checked; what is absent is reported as such.
struct TpmDemands {
    std::optional<Bytes> nonce;                 ///< that the caller sent
    std::map<unsigned, crypto::Digest32> pcrs;  ///< values that these PCRs must have
    std::set<unsigned> selected;                ///< PCRs that the quote must cover, any value
};

/// The outcome: the tree always; the rest only if nothing in it failed and all that decides was
/// evaluated, but for revocation and Intel's statements.
struct VtpmVerification {
    Check tree;
    /// Of the hardware beneath; absent for a plain TPM. Its tree is part of `tree`.
    std::optional<Verification> hardware;
    bool is_genuine = false;
};

/// The five bindings of docs/formats/verification.md 7: hardware report; report data over the
/// runtime data; quote by the key of the runtime data; PCR digest over the values; nonce and
/// selection. bound:   those of verify(), and one RSA verification.
[[nodiscard]] VtpmVerification verify_azure_vtpm(const evidence::AzureVtpmEvidence& evidence,
                                                 const endorsements::Endorsements& endorsements,
                                                 const Roots& roots, const TpmDemands& demands,
                                                 UnixTime time);

/// Only that one key signed the quote: nothing says whose key it is, which the tree says.
[[nodiscard]] VtpmVerification verify_plain_tpm(const evidence::PlainTpmEvidence& evidence,
                                                const TpmDemands& demands);

}  // namespace eos::attestation::verify
