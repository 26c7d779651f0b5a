// SPDX-License-Identifier: AGPL-3.0-only
#include "common/owner/statement.h"

#include "common/base/encoding.h"
#include "common/jose/jws.h"

namespace eos::owner {
namespace {

constexpr std::string_view kTokenDomain = "enclave-os/owner-token/1";

std::string_view typ_of(Purpose purpose) {
    switch (purpose) {
        case Purpose::kProvision:
            return "enclave-os-provision+jwt";
        case Purpose::kRotateCa:
            return "enclave-os-rotate-ca+jwt";
        case Purpose::kConfirmTime:
            return "enclave-os-confirm-time+jwt";
    }
    return "";
}

Result<json::Value> read_claims(const json::Value& claims, const Audience& audience) {
    json::Object object = EOS_TRY(json::Object::of(claims, ""));
    const std::string instance = EOS_TRY(object.text("aud", 32));
    const std::string challenge = EOS_TRY(object.text("nonce", 44));
    const json::Value* request = EOS_TRY(object.require("request"));
    EOS_TRY(object.finish());
    if (instance != hex(audience.instance_id)) return fail(wrong_statement, "of another instance");
    if (challenge != base64(audience.challenge)) return fail(stale_statement);
    return *request;
}

}  // namespace

std::string sign(const Audience& audience, const json::Value& request,
                 const crypto::P256PrivateKey& owner) {
    return jose::sign_es256({{"aud", hex(audience.instance_id)},
                             {"nonce", base64(audience.challenge)},
                             {"request", request}},
                            typ_of(audience.purpose), owner);
}

Result<json::Value> verify(std::string_view statement, const Audience& audience,
                           const crypto::P256PublicKey& owner) {
    if (statement.size() > kMaxStatementBytes) return fail(wrong_statement, "too large");
    Result<json::Value> claims = jose::verify_es256(statement, typ_of(audience.purpose), owner);
    Result<json::Value> request =
        claims ? read_claims(*claims, audience) : fail(std::move(claims).error());
    if (request || request.error().code() == stale_statement) return request;
    return fail(wrong_statement, request.error().message());
}

crypto::Digest32 token_proof(ByteView token, const ByteArray<16>& instance_id,
                             const crypto::Digest32& owner_key_hash) {
    return crypto::hmac_sha256(token, {as_bytes(kTokenDomain), instance_id, owner_key_hash});
}

}  // namespace eos::owner
