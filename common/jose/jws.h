// SPDX-License-Identifier: AGPL-3.0-only
// JSON Web Tokens of exactly one kind: compact serialisation, ES256, one key that the caller names.
// No header chooses a key or an algorithm.
#pragma once

#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/crypto/p256.h"
#include "common/json/json.h"

namespace eos::jose {

inline constexpr Code bad_token{"common/jose", "bad_token", "not a signed token of this kind"};
inline constexpr Code bad_token_signature{"common/jose", "bad_token_signature",
                                          "the token is not signed with this key"};

inline constexpr std::size_t kMaxTokenBytes = 512 * 1024;

/// BASE64URL(header) "." BASE64URL(claims) "." BASE64URL(r ‖ s), with the header members alg, kid
/// (SHA-256 of the SubjectPublicKeyInfo, hex) and typ.
/// in:      claims: an object. typ: what kind of token, e.g. "ear+jwt".
/// source:  RFC 7515 §7.1, RFC 7518 §3.4, RFC 8725 §3.11.
std::string sign_es256(const json::Value& claims, std::string_view typ,
                       const crypto::P256PrivateKey& key);

/// The claims of a token that was signed with this key.
/// in:      typ: the one that is expected.
/// errors:  bad_token (form, algorithm, typ, critical or repeated members), bad_token_signature.
/// source:  RFC 7515 §5.2, RFC 8725 §3.
/// bound:   kMaxTokenBytes; the claims are parsed only after the signature was verified.
[[nodiscard]] Result<json::Value> verify_es256(std::string_view token, std::string_view typ,
                                               const crypto::P256PublicKey& key);

}  // namespace eos::jose
