// SPDX-License-Identifier: AGPL-3.0-only
// An AttestationResult as a signed token, in the form of EAT Attestation Results, for a Relying
// Party that trusts a Verifier's key instead of verifying evidence itself.
#pragma once

#include <string>
#include <string_view>

#include "common/attestation/appraise/appraise.h"
#include "common/base/result.h"
#include "common/base/time.h"
#include "common/crypto/p256.h"
#include "common/json/json.h"

namespace eos::attestation::ear {

inline constexpr Code not_signed{"common/attestation/ear", "not_signed",
                                 "no token is signed for this"};
inline constexpr Code bad_ear{"common/attestation/ear", "bad_ear",
                              "the token is not an attestation result for this use"};

/// The names with dots are those of the drafts up to -02, which Verifiers in use write; -03 put
/// underscores in their place and has another profile.
inline constexpr std::string_view kProfile = "tag:ietf.org,2025-07:ear";
inline constexpr std::string_view kTokenType = "ear+jwt";
inline constexpr std::int64_t kMaxLifeSeconds = 300;

/// The tiers of AR4SI.
enum class Status { none, affirming, warning, contraindicated };

/// "none", "affirming", "warning", "contraindicated".
std::string_view status_name(Status status);

/// Whose policy decided. A service signs for its own only: a caller could bring one that accepts
/// anything, and show the token to somebody who takes it for the service's word.
enum class PolicyOwner { service, caller };

/// What a token says beside the result.
struct TokenOptions {
    std::string issuer;
    std::string audience;  ///< the only Relying Party that may take it
    std::string nonce;     ///< of that Relying Party: 8 to 88 characters
    UnixTime now;          ///< when the token is made; the result says when it was appraised
    std::int64_t life_s = kMaxLifeSeconds;
    PolicyOwner policy_owner = PolicyOwner::service;
};

/// How good the result is. Emulated evidence, like rejected one, is contraindicated; accepted with
/// a waiver, with any enclave, or with a platform below UpToDate is a warning.
/// in:      policy: the one that the result was made by (asserted by its hash).
Status status_of(const appraise::AttestationResult& result, const appraise::Policy& policy);

/// Signs the result with its whole tree.
/// returns: a JWT, ES256.
/// errors:  not_signed (a caller's policy; issuer, audience or nonce missing or of wrong length; a
///          life of more than five minutes; a result of another time than now).
/// source:  draft-ietf-rats-ear-02; draft-ietf-rats-ar4si.
[[nodiscard]] Result<std::string> sign(const appraise::AttestationResult& result,
                                       const appraise::Policy& policy, const TokenOptions& options,
                                       const crypto::P256PrivateKey& key);

/// What a Relying Party expects of a token.
struct Expected {
    std::string issuer;
    std::string audience;
    std::string nonce;
    crypto::Digest32 policy_hash{};  ///< the Verifier's policy that it agreed to
    UnixTime now;
};

/// A token that is genuine, fresh and for this Relying Party.
struct Token {
    Status status = Status::none;
    json::Value claims;  ///< all of them
};

/// Verifies a token. Whether its status is good enough is for the caller to say.
/// errors:  those of jose::verify_es256; bad_ear (which claim).
[[nodiscard]] Result<Token> verify(std::string_view token, const Expected& expected,
                                   const crypto::P256PublicKey& key);

}  // namespace eos::attestation::ear
