// SPDX-License-Identifier: AGPL-3.0-only
// From a request to its answer, at a given time. No socket, no clock, no thread.
#pragma once

#include <optional>
#include <string>

#include "common/attestation/appraise/appraise.h"
#include "common/attestation/endorsements/endorsements.h"
#include "common/attestation/verify/signature_memo.h"
#include "common/crypto/p256.h"
#include "common/json/json.h"
#include "trusted/attestd/request.h"

namespace eos::attestd {

inline constexpr Code no_tokens{"trusted/attestd", "no_tokens",
                                "this service signs no tokens: none is configured"};
inline constexpr Code wrong_roots{"trusted/attestd", "wrong_roots",
                                  "the policy names roots of a kind that this program never takes"};

/// Who signs tokens.
struct TokenSigner {
    std::string issuer;
    crypto::P256PrivateKey key;
    std::int64_t life_s = 300;
};

/// What the service decides by; does not change while a call is under way.
struct Standing {
    attestation::appraise::Policy policy;        ///< the service's own
    attestation::verify::Collateral collateral;  ///< the service's own: pieces only
    std::optional<TokenSigner> signer;
};

/// The policy of a service that has none of its own: any genuine enclave, up to date, no debug.
/// Tokens under it are never more than a warning.
attestation::appraise::Policy default_policy(attestation::verify::Roots roots);

/// errors: wrong_roots, unless the policy's roots are of this kind.
[[nodiscard]] Result<void> check_roots(const attestation::appraise::Policy& policy,
                                       attestation::verify::RootKind kind);

/// The service's pieces, completed by the caller's: where both have one, the service's counts, so
/// that no caller can bring back what the service knows to be out of date.
/// errors: those of to_pieces() for the caller's.
[[nodiscard]] Result<attestation::endorsements::Endorsements> merged(
    const attestation::endorsements::Endorsements& service,
    const attestation::endorsements::Endorsements& caller);

/// An answer, and what is counted of it.
struct Answer {
    json::Value body;
    std::string status;  ///< one of docs/attestd.md
};

/// Verifies, appraises and puts the outcome into words.
/// in:      memo: may be null.
/// errors:  no_tokens, wrong_roots; those of merged() and ear::sign().
/// source:  docs/attestd.md.
/// bound:   those of verify(), parse_policy() and of event logs.
[[nodiscard]] Result<Answer> answer(const VerifyRequest& request, const Standing& standing,
                                    UnixTime now, attestation::verify::SignatureMemo* memo);

}  // namespace eos::attestd
