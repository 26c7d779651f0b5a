// SPDX-License-Identifier: AGPL-3.0-only
#include "common/jose/jws.h"

#include <algorithm>
#include <array>

#include "common/base/encoding.h"
#include "common/jose/compact_token.h"

namespace eos::jose {
namespace {

constexpr std::string_view kAlgorithm = "ES256";
constexpr std::size_t kMaxHeaderBytes = 1024;
constexpr std::size_t kMaxMemberBytes = 256;

Result<void> check_header(std::string_view part, std::string_view typ) {
    json::Value header = EOS_TRY(parse_part(part, {.size_bytes = kMaxHeaderBytes, .depth = 2}));
    json::Object object = EOS_TRY(json::Object::of(header, "header"));
    // Members that could choose another key or meaning (jku, x5u, jwk, crit, b64) are unknown here.
    (void)object.find("kid");
    Result<std::string> algorithm = object.text("alg", kMaxMemberBytes);
    if (!algorithm || *algorithm != kAlgorithm) return fail(bad_token, "alg is not ES256");
    Result<std::string> found = object.text("typ", kMaxMemberBytes);
    if (!found || *found != typ) return fail(bad_token, "typ is not " + std::string(typ));
    if (Result<void> rest = object.finish(); !rest) return fail(bad_token, rest.error().message());
    return {};
}

}  // namespace

Result<TokenParts> split_token(std::string_view token, std::size_t max_bytes) {
    if (token.size() > max_bytes) return fail(bad_token, "too large");
    if (std::ranges::count(token, '.') != 2) return fail(bad_token, "not three parts");
    std::size_t first = token.find('.');
    std::size_t second = token.rfind('.');
    return TokenParts{token.substr(0, first), token.substr(first + 1, second - first - 1),
                      token.substr(second + 1), token.substr(0, second)};
}

Result<json::Value> parse_part(std::string_view part, const json::Limits& limits) {
    Result<Bytes> text = from_base64url(part);
    if (!text) return fail(bad_token, text.error().message());
    Result<json::Value> value = json::parse(*text, limits);
    if (!value) return fail(bad_token, value.error().message());
    if (!value->is_object()) return fail(bad_token, "not an object");
    return value;
}

std::string sign_es256(const json::Value& claims, std::string_view typ,
                       const crypto::P256PrivateKey& key) {
    json::Value header = {
        {"alg", kAlgorithm}, {"kid", hex(key.public_key().spki_hash())}, {"typ", typ}};
    std::string text = base64url(as_bytes(json::compact(header))) + "." +
                       base64url(as_bytes(json::compact(claims)));
    std::string signature = base64url(key.sign_raw(as_bytes(text)));
    return text + "." + signature;
}

Result<json::Value> verify_es256(std::string_view token, std::string_view typ,
                                 const crypto::P256PublicKey& key) {
    TokenParts parts = EOS_TRY(split_token(token, kMaxTokenBytes));
    EOS_TRY(check_header(parts.header, typ));
    Result<Bytes> signature = from_base64url(parts.signature);
    if (!signature) return fail(bad_token, signature.error().message());
    if (signature->size() != crypto::kP256RawSignatureBytes) {
        return fail(bad_token_signature, "not 64 bytes");
    }
    if (!key.verify_raw(as_bytes(parts.signed_text), *signature)) return fail(bad_token_signature);
    return parse_part(parts.claims, {.size_bytes = kMaxTokenBytes, .depth = 32});
}

}  // namespace eos::jose
