// SPDX-License-Identifier: AGPL-3.0-only
// An owner's statement of hostile bytes: as a whole, and as claims that the owner signed.
#include <cstdint>

#include "common/base/assert.h"
#include "common/base/encoding.h"
#include "common/jose/jws.h"
#include "common/owner/statement.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace eos;
    static const crypto::P256PrivateKey kOwner = crypto::P256PrivateKey::generate();
    const owner::Audience here{owner::Purpose::kConfirmTime, {std::byte{1}}, {std::byte{2}}};
    const ByteView input = std::as_bytes(std::span(data, size));

    // Nobody can sign with a key made just now.
    EOS_ASSERT(!owner::verify(as_chars(input), here, kOwner.public_key()).has_value());

    const std::string header = R"({"alg":"ES256","typ":"enclave-os-confirm-time+jwt"})";
    std::string statement = base64url(as_bytes(header)) + "." + base64url(input);
    statement += "." + base64url(kOwner.sign_raw(as_bytes(statement)));
    const Result<json::Value> request = owner::verify(statement, here, kOwner.public_key());
    if (!request) return 0;
    // What is taken is what stands there, for this machine and this once; for nothing else.
    const json::Value claims = json::parse(input, {.size_bytes = size, .depth = 32}).value();
    EOS_ASSERT(claims["request"] == *request && claims["aud"] == hex(here.instance_id) &&
               claims["nonce"] == base64(here.challenge) && claims.size() == 3);
    owner::Audience other = here;
    other.purpose = owner::Purpose::kRotateCa;
    EOS_ASSERT(!owner::verify(statement, other, kOwner.public_key()).has_value());
    return 0;
}
