// SPDX-License-Identifier: AGPL-3.0-only
#include "common/jose/jws.h"

#include <gtest/gtest.h>

#include "common/base/encoding.h"

namespace eos::jose {
namespace {

const crypto::P256PrivateKey& key() {
    static const crypto::P256PrivateKey kKey = crypto::P256PrivateKey::generate();
    return kKey;
}

std::string token_of(std::string_view header, std::string_view claims) {
    std::string text = base64url(as_bytes(header)) + "." + base64url(as_bytes(claims));
    return text + "." + base64url(key().sign_raw(as_bytes(text)));
}

Code refusal(std::string_view token) {
    Result<json::Value> claims = verify_es256(token, "ear+jwt", key().public_key());
    EXPECT_FALSE(claims.has_value()) << token;
    return claims ? Code{} : claims.error().code();
}

TEST(Jws, ASignedTokenGivesItsClaims) {
    std::string token = sign_es256({{"iss", "us"}, {"n", 1}}, "ear+jwt", key());
    Result<json::Value> claims = verify_es256(token, "ear+jwt", key().public_key());
    ASSERT_TRUE(claims.has_value()) << claims.error().message();
    EXPECT_EQ(*claims, (json::Value{{"iss", "us"}, {"n", 1}}));
}

TEST(Jws, EveryChangedCharacterIsRefused) {
    std::string token = sign_es256({{"a", 1}}, "ear+jwt", key());
    for (std::size_t at = 0; at < token.size(); ++at) {
        std::string changed = token;
        changed[at] = changed[at] == 'A' ? 'B' : 'A';
        if (changed != token) {
            EXPECT_FALSE(verify_es256(changed, "ear+jwt", key().public_key()).has_value()) << at;
        }
    }
}

TEST(Jws, AnotherKeyIsRefused) {
    std::string token = sign_es256({{"a", 1}}, "ear+jwt", crypto::P256PrivateKey::generate());
    EXPECT_EQ(refusal(token), bad_token_signature);
}

TEST(Jws, OnlyThisKindOfHeaderIsTaken) {
    ASSERT_TRUE(verify_es256(token_of(R"({"alg":"ES256","typ":"ear+jwt"})", "{}"), "ear+jwt",
                             key().public_key())
                    .has_value());
    for (const char* header :
         {R"({"alg":"none","typ":"ear+jwt"})", R"({"alg":"HS256","typ":"ear+jwt"})",
          R"({"typ":"ear+jwt"})", R"({"alg":"ES256"})", R"({"alg":"ES256","typ":"JWT"})",
          R"({"alg":"ES256","typ":"ear+jwt","crit":["b64"]})",
          R"({"alg":"ES256","typ":"ear+jwt","jku":"https://evil.example"})",
          R"({"alg":"ES256","alg":"none","typ":"ear+jwt"})", R"(["ES256"])", ""}) {
        EXPECT_EQ(refusal(token_of(header, "{}")), bad_token) << header;
    }
}

TEST(Jws, MalformedTokensAreRefused) {
    const char* good = R"({"alg":"ES256","typ":"ear+jwt"})";
    for (const std::string& token :
         {std::string(), std::string("."), std::string(".."), std::string("a.b"),
          std::string("a.b.c.d"), token_of(good, "[]"), token_of(good, R"({"a":1,"a":2})"),
          std::string(kMaxTokenBytes + 1, 'A')}) {
        EXPECT_EQ(refusal(token), bad_token) << token.substr(0, 80);
    }
    std::string padded = token_of(good, "{}") + "=";
    EXPECT_EQ(refusal(padded), bad_token);
}

}  // namespace
}  // namespace eos::jose
