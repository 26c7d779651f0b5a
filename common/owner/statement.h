// SPDX-License-Identifier: AGPL-3.0-only
// What the owner of a machine asks of it, in the owner's own hand. Where TLS ends in another
// program than the one that does what is asked, the statement goes to that program whole: whoever
// carries it can neither change it, nor use it elsewhere or twice.
// source: docs/formats/owner-statement.md.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/crypto/hash.h"
#include "common/crypto/p256.h"
#include "common/json/json.h"

namespace eos::owner {

inline constexpr Code wrong_statement{"common/owner", "wrong_statement",
                                      "not a statement of this kind for this machine"};
inline constexpr Code stale_statement{
    "common/owner", "stale_statement",
    "the statement answers another challenge than the open one: ask for it and sign again"};

inline constexpr std::size_t kMaxStatementBytes = 60 * 1024;

/// What is asked. A statement of one purpose is none of another.
enum class Purpose : std::uint8_t { kProvision, kRotateCa, kConfirmTime };

/// Whom a statement is for.
struct Audience {
    Purpose purpose = Purpose::kProvision;
    ByteArray<16> instance_id{};
    ByteArray<32> challenge{};  ///< of the machine's, used once
};

/// in: request: an object.
std::string sign(const Audience& audience, const json::Value& request,
                 const crypto::P256PrivateKey& owner);

/// The request. Nothing of it is looked at before the signature was verified.
/// errors: wrong_statement (form, signature, purpose, instance), stale_statement.
/// bound:  kMaxStatementBytes; one signature.
[[nodiscard]] Result<json::Value> verify(std::string_view statement, const Audience& audience,
                                         const crypto::P256PublicKey& owner);

/// That who knows the one-time token of a machine without owner means this key. The token itself
/// stays unsaid: whoever carries the proof can make no other key the owner's.
crypto::Digest32 token_proof(ByteView token, const ByteArray<16>& instance_id,
                             const crypto::Digest32& owner_key_hash);

}  // namespace eos::owner
