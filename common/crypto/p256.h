// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <memory>

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/base/secret.h"
#include "common/crypto/hash.h"

struct evp_pkey_st;

namespace eos::crypto {

inline constexpr Code bad_key{"common/crypto", "bad_key", "not a valid key"};
inline constexpr Code bad_signature{"common/crypto", "bad_signature",
                                    "the signature does not verify"};

inline constexpr std::size_t kP256SpkiBytes = 91;
inline constexpr std::size_t kP256RawSignatureBytes = 64;

/// Frees libcrypto's form of a key.
struct PkeyFree {
    void operator()(evp_pkey_st* key) const;
};
using PkeyHandle = std::unique_ptr<evp_pkey_st, PkeyFree>;

/// A P-256 public key, checked to be a point on the curve. A value.
class P256PublicKey {
  public:
    /// in:      SubjectPublicKeyInfo DER, exactly 91 bytes (uncompressed point, named curve).
    /// errors:  bad_key.
    /// source:  RFC 5480.
    [[nodiscard]] static Result<P256PublicKey> from_spki(ByteView der);

    /// in:      x ‖ y, 64 bytes big endian, as quotes carry attestation keys.
    /// errors:  bad_key.
    [[nodiscard]] static Result<P256PublicKey> from_point(ByteView xy);

    /// SubjectPublicKeyInfo DER, 91 bytes.
    const ByteArray<kP256SpkiBytes>& spki() const { return spki_; }

    /// x ‖ y.
    ByteView point() const { return ByteView(spki_).last(64); }

    /// SHA-256 of the SubjectPublicKeyInfo: how policies and certificates name a key.
    Digest32 spki_hash() const { return sha256(ByteView(spki_)); }

    /// ECDSA with SHA-256 over `message`; signature as DER Ecdsa-Sig-Value.
    /// errors: bad_signature.
    [[nodiscard]] Result<void> verify_der(ByteView message, ByteView signature) const;

    /// As verify_der; signature as r ‖ s, 64 bytes big endian.
    /// errors: bad_signature.
    [[nodiscard]] Result<void> verify_raw(ByteView message, ByteView signature) const;

    friend bool operator==(const P256PublicKey& a, const P256PublicKey& b) {
        return a.spki_ == b.spki_;
    }

  private:
    P256PublicKey(const ByteArray<kP256SpkiBytes>& spki, PkeyHandle key)
        : spki_(spki), key_(std::move(key)) {}
    ByteArray<kP256SpkiBytes> spki_;
    std::shared_ptr<evp_pkey_st> key_;  ///< never null, never changed
};

/// A P-256 private key. Owns it; moves, does not copy.
class P256PrivateKey {
  public:
    static P256PrivateKey generate();

    /// in:      PKCS #8 PrivateKeyInfo DER, unencrypted.
    /// errors:  bad_key (other algorithm or curve, inconsistent).
    [[nodiscard]] static Result<P256PrivateKey> from_pkcs8(ByteView der);

    SecretBytes to_pkcs8() const;

    const P256PublicKey& public_key() const { return public_key_; }

    /// ECDSA with SHA-256 over `message`, as DER Ecdsa-Sig-Value, at most 72 bytes.
    Bytes sign_der(ByteView message) const;

    /// The same as r ‖ s.
    ByteArray<kP256RawSignatureBytes> sign_raw(ByteView message) const;

    /// For libssl only (common/ratls, client): borrowed, do not free.
    evp_pkey_st* handle() const { return key_.get(); }

  private:
    P256PrivateKey(PkeyHandle key, P256PublicKey public_key)
        : key_(std::move(key)), public_key_(std::move(public_key)) {}
    PkeyHandle key_;
    P256PublicKey public_key_;
};

/// Converts r ‖ s (64 bytes) to DER Ecdsa-Sig-Value.
Bytes raw_signature_to_der(ByteView raw);

/// Converts DER Ecdsa-Sig-Value to r ‖ s.
/// errors: bad_signature (not strict DER, or a number over 32 bytes).
[[nodiscard]] Result<ByteArray<kP256RawSignatureBytes>> der_signature_to_raw(ByteView der);

}  // namespace eos::crypto
