// SPDX-License-Identifier: AGPL-3.0-only
// RSASSA-PSS in certificates and lists, as AMD's hierarchy has it.
#include <gtest/gtest.h>

#include "common/x509/crl.h"
#include "common/x509/pki_test.h"

namespace eos::x509 {
namespace {

using testing::name;
using testing::one_year;

const crypto::RsaPrivateKey& rsa_key() {
    static const crypto::RsaPrivateKey key = crypto::RsaPrivateKey::generate(2048);
    return key;
}

Bytes make_ca() {
    DistinguishedName subject = name("RSA CA");
    Bytes spki = encode_rsa_spki(rsa_key().public_key());
    CertificateDraft draft({.serial = Serial::random(),
                            .issuer = subject.der(),
                            .validity = one_year(),
                            .subject = subject.der(),
                            .spki = spki});
    draft.add(make_basic_constraints({.is_ca = true, .path_length = {}}));
    draft.add(make_key_usage(kKeyCertSign | kCrlSign));
    return draft.sign(rsa_key());
}

/// The first place of `needle` in `hay`.
std::size_t place_of(ByteView needle, ByteView hay) {
    auto found = std::ranges::search(hay, needle);
    EXPECT_FALSE(found.empty());
    return static_cast<std::size_t>(found.begin() - hay.begin());
}

TEST(Rsa, CertificatesVerify) {
    Certificate ca = Certificate::parse(make_ca()).value();
    crypto::RsaPublicKey key = ca.rsa_key().value();
    EXPECT_EQ(key, rsa_key().public_key());
    EXPECT_TRUE(ca.verify_signed_by(key).has_value());
    EXPECT_EQ(ca.p256_key().error().code(), unsupported_algorithm);
    EXPECT_EQ(ca.p384_key().error().code(), unsupported_algorithm);
    // An ECDSA key does not verify it, nor does another RSA key.
    EXPECT_EQ(ca.verify_signed_by(testing::ca_key().public_key()).error().code(),
              unsupported_algorithm);
    crypto::RsaPrivateKey other = crypto::RsaPrivateKey::generate(2048);
    EXPECT_EQ(ca.verify_signed_by(other.public_key()).error().code(), bad_signature);
}

TEST(Rsa, AlteredCertificatesDoNotVerify) {
    Bytes der = make_ca();
    for (std::size_t at : {der.size() - 1, der.size() - 200, der.size() - 300}) {
        Bytes altered = der;
        altered[at] ^= std::byte{1};
        Result<Certificate> parsed = Certificate::parse(altered);
        if (!parsed) continue;
        EXPECT_FALSE(parsed->verify_signed_by(rsa_key().public_key()).has_value()) << at;
    }
}

// Another hash or salt length in the identifier, inside and outside alike.
TEST(Rsa, OtherParametersAreRefused) {
    Bytes der = make_ca();
    const Bytes salt = to_bytes(std::string_view("\xa2\x03\x02\x01\x30", 5));
    std::size_t first = place_of(salt, der);
    std::size_t second = first + salt.size() + place_of(salt, ByteView(der).subspan(first + 5));
    der[first + 4] = der[second + 4] = std::byte{32};
    Certificate certificate = Certificate::parse(der).value();
    EXPECT_EQ(certificate.verify_signed_by(rsa_key().public_key()).error().code(),
              unsupported_algorithm);
}

TEST(Rsa, RevocationListsVerify) {
    Certificate ca = Certificate::parse(make_ca()).value();
    UnixTime now = one_year().not_before + 86400;
    std::vector<RevokedCertificate> revoked{{Serial::random(), now - 60, {}}};
    Bytes der = make_crl({.issuer = ca.subject_tlv(),
                          .this_update = now - 60,
                          .next_update = now + 60,
                          .revoked = revoked,
                          .authority_key_identifier = {}},
                         rsa_key());
    Crl crl = Crl::parse(der).value();
    EXPECT_TRUE(crl.verify(ca, now).has_value());
    EXPECT_TRUE(crl.is_revoked(revoked[0].serial));
    EXPECT_EQ(crl.verify(ca, now + 61).error().code(), expired);
    der.back() ^= std::byte{1};
    EXPECT_EQ(Crl::parse(der)->verify(ca, now).error().code(), bad_signature);
}

TEST(Rsa, KeysOfOtherSizesOrExponentsAreRefused) {
    Bytes modulus = to_bytes(rsa_key().public_key().modulus());
    EXPECT_TRUE(crypto::RsaPublicKey::from_numbers(modulus, 65537).has_value());
    EXPECT_EQ(crypto::RsaPublicKey::from_numbers(modulus, 3).error().code(), crypto::bad_key);
    modulus.back() = std::byte{2};
    EXPECT_EQ(crypto::RsaPublicKey::from_numbers(modulus, 65537).error().code(), crypto::bad_key);
    for (std::size_t size : {0u, 128u, 255u, 513u, 2048u}) {
        EXPECT_EQ(
            crypto::RsaPublicKey::from_numbers(Bytes(size, std::byte{0xff}), 65537).error().code(),
            crypto::bad_key)
            << size;
    }
}

}  // namespace
}  // namespace eos::x509
