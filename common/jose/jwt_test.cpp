// SPDX-License-Identifier: AGPL-3.0-only
#include "common/jose/jwt.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/encoding.h"

namespace eos::jose {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr UnixTime kNow{1'780'000'000};

const crypto::P256PrivateKey& p256() {
    static const auto kKey = crypto::P256PrivateKey::generate();
    return kKey;
}
const crypto::P384PrivateKey& p384() {
    static const auto kKey = crypto::P384PrivateKey::generate();
    return kKey;
}
const crypto::RsaPrivateKey& rsa() {
    static const auto kKey = crypto::RsaPrivateKey::generate(2048);
    return kKey;
}

json::Value good_claims() {
    return {{"iss", "https://id.example"}, {"sub", "alice"},           {"aud", "us"},
            {"exp", kNow.seconds + 60},    {"iat", kNow.seconds - 60}, {"nbf", kNow.seconds - 60}};
}

std::string unsigned_text(const json::Value& header, const json::Value& claims) {
    return base64url(as_bytes(json::compact(header))) + "." +
           base64url(as_bytes(json::compact(claims)));
}

std::string es256(const json::Value& claims,
                  const json::Value& header = {{"alg", "ES256"}, {"kid", "a"}}) {
    std::string text = unsigned_text(header, claims);
    return text + "." + base64url(p256().sign_raw(as_bytes(text)));
}

json::Value rsa_jwk(const char* kid) {
    return {{"kty", "RSA"},
            {"kid", kid},
            {"n", base64url(rsa().public_key().modulus())},
            {"e", "AQAB"}};
}
json::Value ec_jwk(const char* curve, ByteView point, const char* kid) {
    std::size_t half = point.size() / 2;
    return {{"kty", "EC"},
            {"crv", curve},
            {"kid", kid},
            {"x", base64url(point.first(half))},
            {"y", base64url(point.last(half))}};
}

Result<std::vector<IssuerKey>> parse(const json::Value& keys) {
    std::string text = json::compact({{"keys", keys}});
    return parse_key_set(as_bytes(text));
}

const std::vector<IssuerKey>& keys() {
    static const std::vector<IssuerKey> kKeys =
        parse({ec_jwk("P-256", p256().public_key().point(), "a"),
               ec_jwk("P-384", p384().public_key().point(), "b"), rsa_jwk("c")})
            .value();
    return kKeys;
}

JwtExpected expected() {
    return {.issuer = "https://id.example",
            .audience = "us",
            .algorithms = {Algorithm::es256, Algorithm::es384, Algorithm::rs256},
            .now = kNow,
            .leeway_s = 30};
}

Code refusal(std::string_view token, const JwtExpected& what = expected()) {
    Result<json::Value> claims = verify_jwt(token, keys(), what);
    EXPECT_FALSE(claims.has_value()) << token;
    return claims ? Code{} : claims.error().code();
}

TEST(Jwt, EveryAlgorithmOfTheListIsVerified) {
    EXPECT_TRUE(verify_jwt(es256(good_claims()), keys(), expected()).has_value());
    std::string text = unsigned_text({{"alg", "ES384"}, {"kid", "b"}}, good_claims());
    std::string token = text + "." + base64url(p384().sign_raw(as_bytes(text)));
    EXPECT_TRUE(verify_jwt(token, keys(), expected()).has_value());
    text = unsigned_text({{"alg", "RS256"}, {"kid", "c"}, {"typ", "at+jwt"}}, good_claims());
    token = text + "." + base64url(rsa().sign_pkcs1_sha256(as_bytes(text)));
    Result<json::Value> claims = verify_jwt(token, keys(), expected());
    ASSERT_TRUE(claims.has_value()) << claims.error().message();
    EXPECT_EQ((*claims)["sub"], "alice");
    JwtExpected only_ec = expected();
    only_ec.algorithms = {Algorithm::es256};
    EXPECT_EQ(refusal(token, only_ec), algorithm_refused);
}

TEST(Jwt, NoneSharedSecretsAndConfusedKeysAreRefused) {
    for (const char* alg : {"none", "None", "", "HS256", "es256", "RS512", "PS256", "EdDSA"}) {
        EXPECT_EQ(refusal(unsigned_text({{"alg", alg}, {"kid", "a"}}, good_claims()) + "."),
                  algorithm_refused)
            << alg;
    }
    EXPECT_EQ(refusal(unsigned_text({{"kid", "a"}}, good_claims()) + "."), algorithm_refused);
    // The name of a key of another kind.
    EXPECT_EQ(refusal(es256(good_claims(), {{"alg", "RS256"}, {"kid", "a"}})), unknown_key);
    EXPECT_EQ(refusal(es256(good_claims(), {{"alg", "ES256"}, {"kid", "c"}})), unknown_key);
    EXPECT_EQ(refusal(es256(good_claims(), {{"alg", "ES256"}, {"kid", "z"}})), unknown_key);
    // HMAC under the public key, called by an algorithm that is allowed.
    std::string text = unsigned_text({{"alg", "RS256"}, {"kid", "c"}}, good_claims());
    Bytes mac =
        to_bytes(ByteView(crypto::hmac_sha256(rsa().public_key().modulus(), {as_bytes(text)})));
    EXPECT_EQ(refusal(text + "." + base64url(mac)), bad_token_signature);
    EXPECT_EQ(refusal(unsigned_text({{"alg", "ES256"}, {"kid", "a"}}, good_claims()) + "."),
              bad_token_signature);
}

TEST(Jwt, AKeyInTheHeaderIsNotLookedAt) {
    auto other = crypto::P256PrivateKey::generate();
    json::Value header = {{"alg", "ES256"},
                          {"kid", "a"},
                          {"jku", "https://evil.example/keys"},
                          {"jwk", ec_jwk("P-256", other.public_key().point(), "a")}};
    std::string text = unsigned_text(header, good_claims());
    EXPECT_EQ(refusal(text + "." + base64url(other.sign_raw(as_bytes(text)))), bad_token_signature);
    EXPECT_TRUE(verify_jwt(es256(good_claims(), header), keys(), expected()).has_value());
    EXPECT_EQ(refusal(es256(good_claims(), {{"alg", "ES256"}, {"kid", "a"}, {"crit", {"b64"}}})),
              bad_token);
    EXPECT_EQ(refusal(es256(good_claims(), {{"alg", "ES256"}, {"typ", "ear+jwt"}})), bad_token);
}

TEST(Jwt, EveryClaimIsHeldToWhatIsExpected) {
    struct Case {
        const char* claim;
        json::Value value;  // null: left out
        Code code;
    };
    const std::vector<Case> cases{
        {"iss", "https://id.example/", wrong_issuer},
        {"iss", nullptr, wrong_issuer},
        {"aud", "them", wrong_audience},
        {"aud", nullptr, wrong_audience},
        {"aud", json::Value::array(), wrong_audience},
        {"aud", json::Value::array({"them", 7}), wrong_audience},
        {"aud", json::Value{{"us", 1}}, wrong_audience},
        {"exp", kNow.seconds - 30, token_expired},
        {"exp", nullptr, bad_token},
        {"exp", "9999999999", bad_token},
        {"exp", -1, bad_token},
        {"exp", 1e300, bad_token},
        {"nbf", kNow.seconds + 31, token_not_yet_valid},
        {"iat", kNow.seconds + 31, token_not_yet_valid},
        {"nbf", true, bad_token},
        {"sub", nullptr, bad_token},
        {"sub", "", bad_token},
        {"sub", std::string(300, 'x'), bad_token},
    };
    for (const Case& one : cases) {
        json::Value claims = good_claims();
        if (one.value.is_null()) {
            claims.erase(one.claim);
        } else {
            claims[one.claim] = one.value;
        }
        EXPECT_EQ(refusal(es256(claims)), one.code) << one.claim << " " << one.value.dump();
    }
    json::Value claims = good_claims();
    claims["aud"] = {"them", "us"};
    claims["exp"] = static_cast<double>(kNow.seconds) - 28.5;
    EXPECT_TRUE(verify_jwt(es256(claims), keys(), expected()).has_value());
    // An audience that nobody configured is not matched by an empty claim.
    JwtExpected nobody = expected();
    nobody.audience.clear();
    claims["aud"] = "";
    EXPECT_EQ(refusal(es256(claims), nobody), wrong_audience);
}

TEST(Jwt, ATokenWithoutKeyNameNeedsASingleKey) {
    std::string token = es256(good_claims(), {{"alg", "ES256"}});
    EXPECT_TRUE(verify_jwt(token, keys(), expected()).has_value());
    std::vector<IssuerKey> two = keys();
    two.push_back({"d", crypto::P256PrivateKey::generate().public_key()});
    Result<json::Value> claims = verify_jwt(token, two, expected());
    ASSERT_FALSE(claims.has_value());
    EXPECT_EQ(claims.error().code(), unknown_key);
}

TEST(Jwt, MalformedTokensAreRefused) {
    for (std::string token : {"", ".", "..", "a.b", "a.b.c.d", "e30.e30.e30", "!.e30.AA"}) {
        EXPECT_FALSE(verify_jwt(token, keys(), expected()).has_value()) << token;
    }
    EXPECT_EQ(refusal(std::string(kMaxAccessTokenBytes + 1, 'a')), bad_token);
    std::string twice = base64url(as_bytes(R"({"alg":"none","alg":"ES256"})"));
    EXPECT_EQ(refusal(twice + ".e30."), bad_token);
}

TEST(Jwt, TheUnverifiedIssuerIsOnlyRead) {
    EXPECT_EQ(unverified_issuer(es256(good_claims())).value(), "https://id.example");
    EXPECT_FALSE(unverified_issuer("e30.e30.").has_value());
    EXPECT_FALSE(unverified_issuer("nothing").has_value());
}

TEST(KeySet, WhatIsForSomethingElseIsPassedOver) {
    json::Value ec = ec_jwk("P-256", p256().public_key().point(), "a");
    json::Value encryption = ec;
    encryption["use"] = "enc";
    json::Value other_alg = rsa_jwk("r");
    other_alg["alg"] = "PS256";
    EXPECT_THAT(parse({encryption,
                       other_alg,
                       {{"kty", "OKP"}, {"crv", "Ed25519"}},
                       {{"kty", "oct"}, {"k", "AAAA"}}})
                    .value(),
                IsEmpty());
    EXPECT_THAT(parse({ec, encryption}).value(), SizeIs(1));
    EXPECT_THAT(parse(json::Value::array()).value(), IsEmpty());
}

TEST(KeySet, MalformedKeysCostNoOther) {
    auto refused = [](const json::Value& key) {
        json::Value good = rsa_jwk("good");
        return parse(json::Value::array({key, good})).value().size() == 1;
    };
    json::Value ec = ec_jwk("P-256", p256().public_key().point(), "a");
    EXPECT_FALSE(refused(ec));
    json::Value off_curve = ec;
    off_curve["x"] = off_curve["y"];
    EXPECT_TRUE(refused(off_curve));
    json::Value shorter = ec;
    shorter["x"] = base64url(Bytes(31, std::byte{1}));
    EXPECT_TRUE(refused(shorter));
    json::Value no_y = ec;
    no_y.erase("y");
    EXPECT_TRUE(refused(no_y));
    json::Value weak = rsa_jwk("c");
    weak["e"] = "Aw";
    EXPECT_TRUE(refused(weak));
    weak = rsa_jwk("c");
    weak["n"] = base64url(Bytes(128, std::byte{0xff}));
    EXPECT_TRUE(refused(weak));
    EXPECT_TRUE(refused(7));
    EXPECT_TRUE(refused({{"kty", 7}}));
    // Nobody can say which of two is meant.
    Result<json::Value> ambiguous =
        verify_jwt(es256(good_claims()), parse({ec, ec}).value(), expected());
    ASSERT_FALSE(ambiguous.has_value());
    EXPECT_EQ(ambiguous.error().code(), unknown_key);
    EXPECT_FALSE(parse(json::Value::array_t(kMaxKeys + 1, json::Value::object())).has_value());
    EXPECT_FALSE(parse_key_set(as_bytes("[]")).has_value());
    EXPECT_FALSE(parse_key_set(as_bytes("{}")).has_value());
}

TEST(KeySet, OursIsReadBack) {
    std::string text = json::compact(key_set_of(p256().public_key()));
    std::vector<IssuerKey> read = parse_key_set(as_bytes(text)).value();
    ASSERT_THAT(read, SizeIs(1));
    EXPECT_EQ(std::get<crypto::P256PublicKey>(read[0].key), p256().public_key());
    EXPECT_EQ(read[0].kid, hex(p256().public_key().spki_hash()));
}

}  // namespace
}  // namespace eos::jose
