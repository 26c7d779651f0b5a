// SPDX-License-Identifier: AGPL-3.0-only
// An attestation result token of hostile bytes: as a whole, and as claims under a good signature.
#include <cstdint>

#include "common/attestation/ear/ear.h"
#include "common/base/assert.h"
#include "common/base/encoding.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace eos;
    namespace ear = attestation::ear;
    static const crypto::P256PrivateKey kKey = crypto::P256PrivateKey::generate();
    const ear::Expected expected{"us", "them", "nonce678", {}, {1'780'000'000}};
    ByteView input = std::as_bytes(std::span(data, size));

    // Nobody can sign with a key made just now.
    EOS_ASSERT(!ear::verify(as_chars(input), expected, kKey.public_key()).has_value());

    std::string text =
        base64url(as_bytes(R"({"alg":"ES256","typ":"ear+jwt"})")) + "." + base64url(input);
    std::string token = text + "." + base64url(kKey.sign_raw(as_bytes(text)));
    Result<ear::Token> read = ear::verify(token, expected, kKey.public_key());
    if (read) EOS_ASSERT(read->claims["aud"] == "them");
    return 0;
}
