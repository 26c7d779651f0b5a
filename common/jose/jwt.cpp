// SPDX-License-Identifier: AGPL-3.0-only
#include "common/jose/jwt.h"

#include <algorithm>
#include <cmath>

#include "common/base/encoding.h"
#include "common/jose/compact_token.h"

namespace eos::jose {
namespace {

constexpr std::size_t kMaxHeaderBytes = 8 * 1024;
constexpr std::size_t kMaxNameBytes = 256;
// Later than any date of ours, and far from overflow.
constexpr double kMaxDate = 253'402'300'799.0;

/// A member that must be text where it is present.
Result<std::optional<std::string>> text_of(const json::Value& object, const char* name,
                                           const Code& code, std::size_t max_bytes) {
    auto member = object.find(name);
    if (member == object.end()) return std::nullopt;
    const auto* text = member->get_ptr<const std::string*>();
    if (text == nullptr || text->size() > max_bytes) return fail(code, name);
    return *text;
}

/// A member of a key: base64url of a bounded number.
Result<Bytes> number_of(const json::Value& key, const char* name) {
    constexpr std::size_t kMaxChars = 1024;
    std::optional<std::string> text = EOS_TRY(text_of(key, name, bad_key_set, kMaxChars));
    if (!text) return fail(bad_key_set, std::string(name) + " is missing");
    Result<Bytes> bytes = from_base64url(*text);
    if (!bytes || bytes->empty()) return fail(bad_key_set, name);
    return bytes;
}

/// x ‖ y, each exactly `width` bytes.
Result<Bytes> point_of(const json::Value& key, std::size_t width) {
    Bytes x = EOS_TRY(number_of(key, "x"));
    Bytes y = EOS_TRY(number_of(key, "y"));
    if (x.size() != width || y.size() != width) return fail(bad_key_set, "coordinates");
    return concat({x, y});
}

template <typename Key>
Result<Key> checked(Result<Key> key) {
    if (!key) return fail(bad_key_set, key.error().message());
    return key;
}

Result<crypto::RsaPublicKey> rsa_of(const json::Value& key) {
    Bytes modulus = EOS_TRY(number_of(key, "n"));
    Bytes exponent = EOS_TRY(number_of(key, "e"));
    if (exponent.size() > 4) return fail(bad_key_set, "e");
    std::uint64_t e = 0;
    for (std::byte byte : exponent) e = e << 8 | std::to_integer<std::uint64_t>(byte);
    return checked(crypto::RsaPublicKey::from_numbers(modulus, e));
}

/// Nothing, if the key is for something else.
Result<std::optional<IssuerKey>> parse_key(const json::Value& value) {
    if (!value.is_object()) return fail(bad_key_set, "a key is not an object");
    auto text = [&](const char* name) { return text_of(value, name, bad_key_set, kMaxNameBytes); };
    std::string kind = EOS_TRY(text("kty")).value_or("");
    std::string use = EOS_TRY(text("use")).value_or("sig");
    std::string curve = EOS_TRY(text("crv")).value_or("");
    std::optional<std::string> alg = EOS_TRY(text("alg"));
    std::string kid = EOS_TRY(text("kid")).value_or("");
    if (use != "sig") return std::nullopt;
    std::optional<IssuerKey> out;
    if (kind == "EC" && curve == "P-256") {
        Bytes point = EOS_TRY(point_of(value, 32));
        out = IssuerKey{kid, EOS_TRY(checked(crypto::P256PublicKey::from_point(point)))};
    } else if (kind == "EC" && curve == "P-384") {
        Bytes point = EOS_TRY(point_of(value, 48));
        out = IssuerKey{kid, EOS_TRY(checked(crypto::P384PublicKey::from_point(point)))};
    } else if (kind == "RSA" && alg.value_or("RS256") == "RS256") {
        out = IssuerKey{kid, EOS_TRY(rsa_of(value))};
    }
    if (out && alg && *alg != algorithm_name(out->algorithm())) return std::nullopt;
    return out;
}

struct Header {
    Algorithm algorithm;
    std::optional<std::string> kid;
};

Result<Header> read_header(std::string_view part) {
    json::Value header = EOS_TRY(parse_part(part, {.size_bytes = kMaxHeaderBytes, .depth = 4}));
    // RFC 7515 §4.1.11: whoever does not understand an extension that is critical must refuse.
    if (header.contains("crit")) return fail(bad_token, "crit");
    auto text = [&](const char* name) { return text_of(header, name, bad_token, kMaxNameBytes); };
    std::string type = EOS_TRY(text("typ")).value_or("JWT");
    std::ranges::transform(type, type.begin(), [](unsigned char c) { return std::tolower(c); });
    // RFC 8725 §3.11: tokens of another kind, ours among them, are no access tokens.
    if (type != "jwt" && type != "at+jwt" && type != "application/at+jwt") {
        return fail(bad_token, "typ");
    }
    std::optional<Algorithm> algorithm = algorithm_from(EOS_TRY(text("alg")).value_or(""));
    if (!algorithm) return fail(algorithm_refused);
    return Header{*algorithm, EOS_TRY(text("kid"))};
}

/// The key of this name; a token without a name is taken only where one key can be meant.
Result<const IssuerKey*> find_key(const std::vector<IssuerKey>& keys, const Header& header) {
    const IssuerKey* found = nullptr;
    for (const IssuerKey& key : keys) {
        if (key.algorithm() != header.algorithm) continue;
        if (header.kid && key.kid != *header.kid) continue;
        if (found != nullptr) return fail(unknown_key, "the token does not say which of several");
        found = &key;
    }
    if (found == nullptr) return fail(unknown_key);
    return found;
}

Result<void> verify_signature(const IssuerKey& key, const TokenParts& parts) {
    Result<Bytes> signature = from_base64url(parts.signature);
    if (!signature) return fail(bad_token, signature.error().message());
    ByteView text = as_bytes(parts.signed_text);
    Result<void> outcome;
    if (const auto* p256 = std::get_if<crypto::P256PublicKey>(&key.key)) {
        if (signature->size() != crypto::kP256RawSignatureBytes) return fail(bad_token_signature);
        outcome = p256->verify_raw(text, *signature);
    } else if (const auto* p384 = std::get_if<crypto::P384PublicKey>(&key.key)) {
        if (signature->size() != crypto::kP384RawSignatureBytes) return fail(bad_token_signature);
        outcome = p384->verify_raw(text, *signature);
    } else {
        const auto& rsa = std::get<crypto::RsaPublicKey>(key.key);
        if (signature->size() != rsa.modulus().size()) return fail(bad_token_signature);
        outcome = rsa.verify_pkcs1_sha256(text, *signature);
    }
    if (!outcome) return fail(bad_token_signature);
    return {};
}

/// Seconds, which RFC 7519 lets have a fraction; nothing if the claim is absent.
Result<std::optional<std::int64_t>> date_of(const json::Value& claims, const char* name) {
    auto member = claims.find(name);
    if (member == claims.end()) return std::nullopt;
    if (!member->is_number()) return fail(bad_token, name);
    auto value = member->get<double>();
    if (!(value >= 0 && value <= kMaxDate)) return fail(bad_token, name);
    return static_cast<std::int64_t>(std::floor(value));
}

Result<void> check_times(const json::Value& claims, const JwtExpected& expected) {
    std::optional<std::int64_t> expires = EOS_TRY(date_of(claims, "exp"));
    std::optional<std::int64_t> not_before = EOS_TRY(date_of(claims, "nbf"));
    std::optional<std::int64_t> issued = EOS_TRY(date_of(claims, "iat"));
    if (!expires) return fail(bad_token, "exp is missing");
    const std::int64_t now = expected.now.seconds;
    if (*expires + expected.leeway_s <= now) return fail(token_expired);
    if (not_before && *not_before > now + expected.leeway_s) return fail(token_not_yet_valid);
    if (issued && *issued > now + expected.leeway_s) return fail(token_not_yet_valid, "iat");
    return {};
}

Result<void> check_audience(const json::Value& claims, const std::string& audience) {
    auto member = claims.find("aud");
    if (member == claims.end() || audience.empty()) return fail(wrong_audience);
    auto is_ours = [&](const json::Value& value) {
        const auto* text = value.get_ptr<const std::string*>();
        return text != nullptr && *text == audience;
    };
    bool found = member->is_array() ? std::ranges::any_of(*member, is_ours) : is_ours(*member);
    if (!found) return fail(wrong_audience);
    return {};
}

}  // namespace

std::string_view algorithm_name(Algorithm algorithm) {
    switch (algorithm) {
        case Algorithm::es256:
            return "ES256";
        case Algorithm::es384:
            return "ES384";
        case Algorithm::rs256:
            return "RS256";
    }
    __builtin_unreachable();
}

std::optional<Algorithm> algorithm_from(std::string_view name) {
    for (Algorithm one : {Algorithm::es256, Algorithm::es384, Algorithm::rs256})
        if (name == algorithm_name(one)) return one;
    return std::nullopt;
}

Algorithm IssuerKey::algorithm() const {
    if (std::holds_alternative<crypto::P256PublicKey>(key)) return Algorithm::es256;
    return std::holds_alternative<crypto::P384PublicKey>(key) ? Algorithm::es384 : Algorithm::rs256;
}

Result<std::vector<IssuerKey>> parse_key_set(ByteView in) {
    json::Value root = EOS_TRY(json::parse(in, {.size_bytes = kMaxKeySetBytes, .depth = 8}));
    if (!root.is_object()) return fail(bad_key_set, "not an object");
    auto keys = root.find("keys");
    if (keys == root.end() || !keys->is_array()) return fail(bad_key_set, "keys");
    if (keys->size() > kMaxKeys) return fail(bad_key_set, "too many keys");
    std::vector<IssuerKey> out;
    for (const json::Value& value : *keys) {
        // RFC 7517 §5: one key that is of no use here must not cost the others.
        Result<std::optional<IssuerKey>> key = parse_key(value);
        if (key && *key) out.push_back(**std::move(key));
    }
    return out;
}

json::Value key_set_of(const crypto::P256PublicKey& key) {
    ByteView point = key.point();
    json::Value jwk = {{"kty", "EC"},
                       {"crv", "P-256"},
                       {"use", "sig"},
                       {"alg", "ES256"},
                       {"kid", hex(key.spki_hash())},
                       {"x", base64url(point.first(32))},
                       {"y", base64url(point.last(32))}};
    return {{"keys", json::Value::array({jwk})}};
}

Result<std::string> unverified_issuer(std::string_view token) {
    TokenParts parts = EOS_TRY(split_token(token, kMaxAccessTokenBytes));
    json::Value claims =
        EOS_TRY(parse_part(parts.claims, {.size_bytes = kMaxAccessTokenBytes, .depth = 16}));
    std::optional<std::string> issuer =
        EOS_TRY(text_of(claims, "iss", bad_token, kMaxAccessTokenBytes));
    if (!issuer) return fail(bad_token, "iss is missing");
    return *issuer;
}

Result<json::Value> verify_jwt(std::string_view token, const std::vector<IssuerKey>& keys,
                               const JwtExpected& expected) {
    TokenParts parts = EOS_TRY(split_token(token, kMaxAccessTokenBytes));
    Header header = EOS_TRY(read_header(parts.header));
    if (!expected.algorithms.contains(header.algorithm)) return fail(algorithm_refused);
    const IssuerKey* key = EOS_TRY(find_key(keys, header));
    EOS_TRY(verify_signature(*key, parts));
    json::Value claims =
        EOS_TRY(parse_part(parts.claims, {.size_bytes = kMaxAccessTokenBytes, .depth = 16}));
    std::optional<std::string> issuer = EOS_TRY(text_of(claims, "iss", bad_token, kMaxNameBytes));
    if (!issuer || expected.issuer.empty() || *issuer != expected.issuer) return fail(wrong_issuer);
    std::optional<std::string> subject = EOS_TRY(text_of(claims, "sub", bad_token, kMaxNameBytes));
    if (!subject || subject->empty()) return fail(bad_token, "sub is missing");
    EOS_TRY(check_audience(claims, expected.audience));
    EOS_TRY(check_times(claims, expected));
    return claims;
}

}  // namespace eos::jose
