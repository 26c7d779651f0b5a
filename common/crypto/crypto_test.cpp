// SPDX-License-Identifier: AGPL-3.0-only
#include <gtest/gtest.h>

#include "common/base/encoding.h"
#include "common/crypto/cipher.h"
#include "common/crypto/hash.h"
#include "common/crypto/p256.h"
#include "common/crypto/p384.h"
#include "common/crypto/random.h"
#include "common/crypto/rsa.h"

namespace eos::crypto {
namespace {

TEST(Hash, Fips180Vectors) {
    EXPECT_EQ(hex(sha256(as_bytes("abc"))),
              "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    EXPECT_EQ(hex(sha512({as_bytes("a"), as_bytes("bc")})).substr(0, 32),
              "ddaf35a193617abacc417349ae204131");
    EXPECT_EQ(hex(hash(HashKind::kSha384, as_bytes("abc"))).substr(0, 32),
              "cb00753f45a35e8bb5a03d699ac65007");
}

TEST(Hash, InPiecesEqualsAtOnceAndStartsAfresh) {
    Sha256 h;
    h.update(as_bytes("a"));
    h.update(as_bytes("bc"));
    EXPECT_EQ(h.finish(), sha256(as_bytes("abc")));
    EXPECT_EQ(h.finish(), sha256(as_bytes("")));
}

// RFC 4231 test case 2.
TEST(Hash, HmacVector) {
    EXPECT_EQ(hex(hmac_sha256(as_bytes("Jefe"),
                              {as_bytes("what do ya want "), as_bytes("for nothing?")})),
              "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

// RFC 5869 A.1, first 32 bytes.
TEST(Hash, HkdfVector) {
    Bytes ikm(22, std::byte{0x0b});
    Bytes salt = *from_hex("000102030405060708090a0b0c");
    Bytes info = *from_hex("f0f1f2f3f4f5f6f7f8f9");
    EXPECT_EQ(hex(hkdf_sha256(ikm, salt, info).view()),
              "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf");
}

// RFC 8448 §3: client handshake traffic secret -> write key.
TEST(Hash, ExpandLabelVector) {
    Bytes secret = *from_hex("b3eddb126e067f35a780b3abf45e2d8f3b1a950738f52e9600746a0e27a55a21");
    EXPECT_EQ(hex(hkdf_expand_label(HashKind::kSha256, secret, "key", {}, 16)),
              "dbfaa693d1762c5b666af5d950258d01");
}

TEST(Cipher, GcmOpensWhatItSealed) {
    AesKey256 key = random_array<32>();
    GcmNonce nonce{};
    Bytes sealed = aes256_gcm_seal(key, nonce, as_bytes("plain"), as_bytes("name"));
    EXPECT_EQ(to_string(*aes256_gcm_open(key, nonce, sealed, as_bytes("name"))), "plain");
    EXPECT_EQ(aes256_gcm_open(key, nonce, sealed, as_bytes("other")).error().code(),
              decryption_failed);
    for (std::size_t i = 0; i < sealed.size(); ++i) {
        Bytes altered = sealed;
        altered[i] ^= std::byte{1};
        EXPECT_FALSE(aes256_gcm_open(key, nonce, altered, as_bytes("name")).has_value()) << i;
    }
    EXPECT_FALSE(
        aes256_gcm_open(key, nonce, ByteView(sealed).first(15), as_bytes("name")).has_value());
}

// RFC 4493 §4, example 2.
TEST(Cipher, CmacVector) {
    Bytes key = *from_hex("2b7e151628aed2a6abf7158809cf4f3c");
    Bytes message = *from_hex("6bc1bee22e409f96e93d7e117393172a");
    EXPECT_EQ(hex(aes128_cmac(key, message)), "070a16b46b4d4144f79bdd9dd04a287c");
}

TEST(P256, SignaturesVerifyInBothForms) {
    P256PrivateKey key = P256PrivateKey::generate();
    Bytes der = key.sign_der(as_bytes("message"));
    EXPECT_TRUE(key.public_key().verify_der(as_bytes("message"), der).has_value());
    EXPECT_EQ(key.public_key().verify_der(as_bytes("massage"), der).error().code(), bad_signature);
    auto raw = key.sign_raw(as_bytes("message"));
    EXPECT_TRUE(key.public_key().verify_raw(as_bytes("message"), raw).has_value());
    EXPECT_FALSE(
        P256PrivateKey::generate().public_key().verify_raw(as_bytes("message"), raw).has_value());
}

TEST(P256, NonMinimalSignatureEncodingsAreRefused) {
    P256PrivateKey key = P256PrivateKey::generate();
    Bytes der = key.sign_der(as_bytes("m"));
    Bytes longer = der;
    longer.push_back(std::byte{0});
    EXPECT_EQ(key.public_key().verify_der(as_bytes("m"), longer).error().code(), bad_signature);
    EXPECT_EQ(der_signature_to_raw({}).error().code(), bad_signature);
}

TEST(P256, KeysSurvivePkcs8) {
    P256PrivateKey key = P256PrivateKey::generate();
    SecretBytes stored = key.to_pkcs8();
    Result<P256PrivateKey> again = P256PrivateKey::from_pkcs8(stored.view());
    ASSERT_TRUE(again.has_value());
    EXPECT_EQ(again->public_key(), key.public_key());
    EXPECT_EQ(P256PrivateKey::from_pkcs8(stored.view().first(20)).error().code(), bad_key);
}

TEST(P256, PointsOffTheCurveAreRefused) {
    Bytes spki = to_bytes(P256PrivateKey::generate().public_key().spki());
    spki.back() ^= std::byte{1};
    EXPECT_EQ(P256PublicKey::from_spki(spki).error().code(), bad_key);
    EXPECT_EQ(P256PublicKey::from_point(ByteView(spki).first(63)).error().code(), bad_key);
    EXPECT_EQ(P256PublicKey::from_point(Bytes(64)).error().code(), bad_key);
    // The point (0, y) of the curve, then the same with x = p: on the curve only modulo p.
    const std::string y = "66485c780e2f83d72433bd5d84a06bb6541c2af31dae871728bf856a174f93f4";
    const std::string p = "ffffffff00000001000000000000000000000000ffffffffffffffffffffffff";
    EXPECT_TRUE(P256PublicKey::from_point(from_hex(std::string(64, '0') + y).value()).has_value());
    EXPECT_EQ(P256PublicKey::from_point(from_hex(p + y).value()).error().code(), bad_key);
}

TEST(P384, SignaturesVerify) {
    P384PrivateKey key = P384PrivateKey::generate();
    auto raw = key.sign_raw(as_bytes("message"));
    EXPECT_TRUE(key.public_key().verify_raw(as_bytes("message"), raw).has_value());
    EXPECT_EQ(key.public_key().verify_raw(as_bytes("massage"), raw).error().code(), bad_signature);
    EXPECT_EQ(
        key.public_key().verify_raw(as_bytes("message"), ByteView(raw).first(95)).error().code(),
        bad_signature);
    EXPECT_FALSE(
        P384PrivateKey::generate().public_key().verify_raw(as_bytes("message"), raw).has_value());
    SecretBytes stored = key.to_pkcs8();
    EXPECT_EQ(P384PrivateKey::from_pkcs8(stored.view())->public_key(), key.public_key());
    EXPECT_EQ(P256PrivateKey::from_pkcs8(stored.view()).error().code(), bad_key);
}

// r or s zero, the group's order, or larger: refused, and nothing crashes.
TEST(P384, NumbersOutOfRangeAreRefused) {
    P384PrivateKey key = P384PrivateKey::generate();
    auto good = key.sign_raw(as_bytes("m"));
    const Bytes order = *from_hex(
        "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196acc"
        "c52973");
    for (const Bytes& number : {Bytes(48), order, Bytes(48, std::byte{0xff})}) {
        for (std::size_t at : {0u, 48u}) {
            auto altered = good;
            std::ranges::copy(number, altered.begin() + static_cast<std::ptrdiff_t>(at));
            EXPECT_EQ(key.public_key().verify_raw(as_bytes("m"), altered).error().code(),
                      bad_signature);
        }
    }
}

TEST(P384, PointsOffTheCurveAreRefused) {
    Bytes spki = to_bytes(P384PrivateKey::generate().public_key().spki());
    EXPECT_TRUE(P384PublicKey::from_spki(spki).has_value());
    spki.back() ^= std::byte{1};
    EXPECT_EQ(P384PublicKey::from_spki(spki).error().code(), bad_key);
    EXPECT_EQ(P384PublicKey::from_point(Bytes(96)).error().code(), bad_key);
    EXPECT_EQ(P384PublicKey::from_point(Bytes(95)).error().code(), bad_key);
}

TEST(Rsa, SignaturesVerifyOnlyAsWhatTheyAre) {
    RsaPrivateKey key = RsaPrivateKey::generate(2048);
    Bytes pss = key.sign_pss_sha384(as_bytes("m"));
    Bytes pkcs1 = key.sign_pkcs1_sha256(as_bytes("m"));
    EXPECT_TRUE(key.public_key().verify_pss_sha384(as_bytes("m"), pss).has_value());
    EXPECT_TRUE(key.public_key().verify_pkcs1_sha256(as_bytes("m"), pkcs1).has_value());
    EXPECT_EQ(key.public_key().verify_pss_sha384(as_bytes("n"), pss).error().code(), bad_signature);
    EXPECT_EQ(key.public_key().verify_pss_sha384(as_bytes("m"), pkcs1).error().code(),
              bad_signature);
    EXPECT_EQ(key.public_key().verify_pkcs1_sha256(as_bytes("m"), pss).error().code(),
              bad_signature);
    EXPECT_EQ(key.public_key().verify_pkcs1_sha256(as_bytes("m"), {}).error().code(),
              bad_signature);
    SecretBytes stored = key.to_pkcs8();
    EXPECT_EQ(RsaPrivateKey::from_pkcs8(stored.view())->public_key(), key.public_key());
}

}  // namespace
}  // namespace eos::crypto
