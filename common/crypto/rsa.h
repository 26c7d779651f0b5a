// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <memory>

#include "common/crypto/p256.h"

// RSA, for what others sign with it: AMD's certificates (PSS) and TPM quotes (PKCS #1 v1.5).

namespace eos::crypto {

/// The sizes of modulus that are taken.
inline constexpr std::size_t kMinRsaBits = 2048;
inline constexpr std::size_t kMaxRsaBits = 4096;

/// An RSA public key of a bounded size whose exponent is 65537. A value; a copy shares it.
class RsaPublicKey {
  public:
    /// in:      modulus: big endian, no leading zero.
    /// errors:  bad_key (size, an even modulus, another exponent).
    /// bound:   kMaxRsaBits.
    [[nodiscard]] static Result<RsaPublicKey> from_numbers(ByteView modulus,
                                                           std::uint64_t exponent);

    /// Big endian, no leading zero.
    ByteView modulus() const { return modulus_; }

    /// RSASSA-PSS with SHA-384, MGF1 with SHA-384 and a salt of exactly 48 bytes.
    /// errors: bad_signature.
    /// source: RFC 8017 §8.1.2.
    [[nodiscard]] Result<void> verify_pss_sha384(ByteView message, ByteView signature) const;

    /// RSASSA-PKCS1-v1_5 with SHA-256.
    /// errors: bad_signature.
    /// source: RFC 8017 §8.2.2.
    [[nodiscard]] Result<void> verify_pkcs1_sha256(ByteView message, ByteView signature) const;

    friend bool operator==(const RsaPublicKey& a, const RsaPublicKey& b) {
        return a.modulus_ == b.modulus_;
    }

  private:
    RsaPublicKey(Bytes modulus, std::shared_ptr<evp_pkey_st> key)
        : modulus_(std::move(modulus)), key_(std::move(key)) {}
    Bytes modulus_;
    std::shared_ptr<evp_pkey_st> key_;
};

/// An RSA private key. Owns it; moves, does not copy.
class RsaPrivateKey {
  public:
    /// in: bits: kMinRsaBits to kMaxRsaBits (asserted). 4096 take about a second.
    static RsaPrivateKey generate(std::size_t bits);

    /// in:      PKCS #8 PrivateKeyInfo DER, unencrypted.
    /// errors:  bad_key.
    [[nodiscard]] static Result<RsaPrivateKey> from_pkcs8(ByteView der);

    SecretBytes to_pkcs8() const;

    const RsaPublicKey& public_key() const { return public_key_; }

    /// As RsaPublicKey::verify_pss_sha384().
    Bytes sign_pss_sha384(ByteView message) const;
    /// As RsaPublicKey::verify_pkcs1_sha256().
    Bytes sign_pkcs1_sha256(ByteView message) const;

  private:
    RsaPrivateKey(PkeyHandle key, RsaPublicKey public_key)
        : key_(std::move(key)), public_key_(std::move(public_key)) {}
    PkeyHandle key_;
    RsaPublicKey public_key_;
};

}  // namespace eos::crypto
