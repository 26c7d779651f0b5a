// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "common/crypto/p256.h"

// ECDSA on P-384 with SHA-384: what AMD's firmware signs attestation reports with.

namespace eos::crypto {

inline constexpr std::size_t kP384SpkiBytes = 120;
inline constexpr std::size_t kP384RawSignatureBytes = 96;

/// A P-384 public key, checked to be a point on the curve. A value.
class P384PublicKey {
  public:
    /// in:      SubjectPublicKeyInfo DER, exactly 120 bytes (uncompressed point, named curve).
    /// errors:  bad_key.
    /// source:  RFC 5480.
    [[nodiscard]] static Result<P384PublicKey> from_spki(ByteView der);

    /// in:      x ‖ y, 96 bytes big endian.
    /// errors:  bad_key.
    [[nodiscard]] static Result<P384PublicKey> from_point(ByteView xy);

    /// SubjectPublicKeyInfo DER, 120 bytes.
    const ByteArray<kP384SpkiBytes>& spki() const { return spki_; }

    /// x ‖ y.
    ByteView point() const { return ByteView(spki_).last(96); }

    /// ECDSA with SHA-384 over `message`; signature as r ‖ s, 96 bytes big endian.
    /// errors: bad_signature.
    [[nodiscard]] Result<void> verify_raw(ByteView message, ByteView signature) const;

    /// ECDSA with the hash that is named; signature as Ecdsa-Sig-Value, in DER.
    /// errors: bad_signature.
    [[nodiscard]] Result<void> verify_der(HashKind kind, ByteView message,
                                          ByteView signature) const;

    friend bool operator==(const P384PublicKey& a, const P384PublicKey& b) {
        return a.spki_ == b.spki_;
    }

  private:
    P384PublicKey(const ByteArray<kP384SpkiBytes>& spki, PkeyHandle key)
        : spki_(spki), key_(std::move(key)) {}
    ByteArray<kP384SpkiBytes> spki_;
    std::shared_ptr<evp_pkey_st> key_;  ///< never null, never changed
};

/// A P-384 private key. Owns it; moves, does not copy.
class P384PrivateKey {
  public:
    static P384PrivateKey generate();

    /// in:      PKCS #8 PrivateKeyInfo DER, unencrypted.
    /// errors:  bad_key (other algorithm or curve, inconsistent).
    [[nodiscard]] static Result<P384PrivateKey> from_pkcs8(ByteView der);

    SecretBytes to_pkcs8() const;

    const P384PublicKey& public_key() const { return public_key_; }

    /// ECDSA with SHA-384 over `message`, as r ‖ s.
    ByteArray<kP384RawSignatureBytes> sign_raw(ByteView message) const;

  private:
    P384PrivateKey(PkeyHandle key, P384PublicKey public_key)
        : key_(std::move(key)), public_key_(std::move(public_key)) {}
    PkeyHandle key_;
    P384PublicKey public_key_;
};

}  // namespace eos::crypto
