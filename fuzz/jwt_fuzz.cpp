// SPDX-License-Identifier: AGPL-3.0-only
// Key sets and access tokens of hostile bytes: as a whole, and as header and claims under a good
// signature.
#include <cstdint>

#include "common/base/assert.h"
#include "common/base/encoding.h"
#include "common/jose/jwt.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace eos;
    static const crypto::P256PrivateKey kKey = crypto::P256PrivateKey::generate();
    static const std::vector<jose::IssuerKey> kKeys{{"a", kKey.public_key()}};
    const jose::JwtExpected expected{.issuer = "us",
                                     .audience = "them",
                                     .algorithms = {jose::Algorithm::es256},
                                     .now = {1'780'000'000}};
    ByteView input = std::as_bytes(std::span(data, size));
    (void)jose::parse_key_set(input);
    (void)jose::unverified_issuer(as_chars(input));

    // Nobody can sign with a key made just now.
    EOS_ASSERT(!jose::verify_jwt(as_chars(input), kKeys, expected).has_value());

    // Header, newline, claims.
    std::string_view text = as_chars(input);
    std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view claims = text.substr(std::min(end + 1, text.size()));
    std::string token =
        base64url(as_bytes(text.substr(0, end))) + "." + base64url(as_bytes(claims));
    token += "." + base64url(kKey.sign_raw(as_bytes(token)));
    Result<json::Value> read = jose::verify_jwt(token, kKeys, expected);
    if (read) EOS_ASSERT((*read)["iss"] == "us" && read->contains("exp"));
    return 0;
}
