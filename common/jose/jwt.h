// SPDX-License-Identifier: AGPL-3.0-only
// Access tokens of identity providers: JSON Web Tokens under keys that the caller got from the
// provider, by a list of algorithms that the caller chose. A token's header picks one of these keys
// by its name and nothing more.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/base/result.h"
#include "common/base/time.h"
#include "common/crypto/p256.h"
#include "common/crypto/p384.h"
#include "common/crypto/rsa.h"
#include "common/jose/jws.h"
#include "common/json/json.h"

namespace eos::jose {

inline constexpr Code bad_key_set{"common/jose", "bad_key_set", "not a JSON Web Key Set"};
inline constexpr Code algorithm_refused{"common/jose", "algorithm_refused",
                                        "the token's algorithm is not one that is taken here"};
inline constexpr Code unknown_key{"common/jose", "unknown_key",
                                  "the issuer has no key of the token's name and algorithm"};
inline constexpr Code wrong_issuer{"common/jose", "wrong_issuer", "the token is of another issuer"};
inline constexpr Code wrong_audience{"common/jose", "wrong_audience",
                                     "the token is for another audience"};
inline constexpr Code token_expired{"common/jose", "token_expired", "the token has expired"};
inline constexpr Code token_not_yet_valid{"common/jose", "token_not_yet_valid",
                                          "the token is not valid yet"};

inline constexpr std::size_t kMaxAccessTokenBytes = 16 * 1024;
inline constexpr std::size_t kMaxKeySetBytes = 256 * 1024;
inline constexpr std::size_t kMaxKeys = 64;

/// How a token is signed. There is no "none" and no shared secret.
enum class Algorithm : std::uint8_t { es256, es384, rs256 };

/// "ES256", …
std::string_view algorithm_name(Algorithm algorithm);
std::optional<Algorithm> algorithm_from(std::string_view name);

/// One key of an issuer; its type decides the algorithm that it verifies.
struct IssuerKey {
    std::string kid;  ///< may be empty
    std::variant<crypto::P256PublicKey, crypto::P384PublicKey, crypto::RsaPublicKey> key;

    Algorithm algorithm() const;
};

/// Parses a JWK Set. Keys that are not for signatures, of a kind that is not verified here, or
/// malformed are passed over. Where two have one name, tokens that name it are refused.
/// errors:  those of json::parse; bad_key_set (no list of keys, or more than kMaxKeys).
/// source:  RFC 7517 §5, RFC 7518 §6.
/// bound:   kMaxKeySetBytes, kMaxKeys.
[[nodiscard]] Result<std::vector<IssuerKey>> parse_key_set(ByteView in);

/// {"keys":[…]} with one P-256 key, named by the SHA-256 of its SubjectPublicKeyInfo as
/// sign_es256() names it.
json::Value key_set_of(const crypto::P256PublicKey& key);

/// The "iss" of a token that nobody has verified: for finding out whose keys to verify it with, and
/// for nothing else.
/// errors:  bad_token.
/// bound:   kMaxAccessTokenBytes.
[[nodiscard]] Result<std::string> unverified_issuer(std::string_view token);

/// What a token must be.
struct JwtExpected {
    std::string issuer;
    std::string audience;  ///< must be "aud" or one of its elements
    std::set<Algorithm> algorithms;
    UnixTime now;
    std::int64_t leeway_s = 0;  ///< that both clocks may be apart
};

/// The claims of a token that one of these keys signed, for this audience, at this time.
/// Members of the header that could bring a key along (jwk, jku, x5c, x5u) are not looked at;
/// "crit" is refused. "exp" and "sub" are required. errors:  bad_token (form, header, a time or
/// subject that is missing or malformed),
///          algorithm_refused, unknown_key, bad_token_signature, wrong_issuer, wrong_audience,
///          token_expired, token_not_yet_valid.
/// source:  RFC 7515 §5.2, RFC 7519 §4.1, RFC 8725 §3.
/// bound:   kMaxAccessTokenBytes; one signature.
[[nodiscard]] Result<json::Value> verify_jwt(std::string_view token,
                                             const std::vector<IssuerKey>& keys,
                                             const JwtExpected& expected);

}  // namespace eos::jose
