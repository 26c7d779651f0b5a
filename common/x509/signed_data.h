// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "common/crypto/p256.h"
#include "common/crypto/p384.h"
#include "common/crypto/rsa.h"
#include "common/x509/der.h"

// The frame that certificates, requests and revocation lists share. For this folder only.

namespace eos::x509 {

/// SEQUENCE { to-be-signed, AlgorithmIdentifier, BIT STRING }, borrowed from the input.
struct SignedData {
    ByteView tbs;        ///< whole TLV
    ByteView algorithm;  ///< whole TLV
    oid::Oid algorithm_oid;
    ByteView signature;
};

/// errors: those of DerReader, oid::bad_oid.
[[nodiscard]] Result<SignedData> parse_signed(ByteView der);

/// An AlgorithmIdentifier: an OID, then no parameters, NULL, an OID or a SEQUENCE.
/// errors: those of DerReader, oid::bad_oid.
[[nodiscard]] Result<oid::Oid> read_algorithm(DerReader& in, ByteView& whole);

/// A SubjectPublicKeyInfo of any algorithm, whole.
/// errors: those of DerReader, oid::bad_oid.
[[nodiscard]] Result<ByteView> read_spki(DerReader& in);

/// errors: unsupported_algorithm (another curve or algorithm), crypto::bad_key.
[[nodiscard]] Result<crypto::P256PublicKey> decode_p256(ByteView spki);

/// errors: unsupported_algorithm (another curve or algorithm), crypto::bad_key.
[[nodiscard]] Result<crypto::P384PublicKey> decode_p384(ByteView spki);

/// ecdsa-with-SHA256.
/// errors: unsupported_algorithm, bad_signature.
[[nodiscard]] Result<void> verify_signed(const SignedData& data, const crypto::P256PublicKey& key);

/// RSASSA-PSS with SHA-384, MGF1 with SHA-384, 48 bytes of salt: the one form that AMD uses.
/// errors: unsupported_algorithm, bad_signature.
[[nodiscard]] Result<void> verify_signed(const SignedData& data, const crypto::RsaPublicKey& key);

/// Signs with ecdsa-with-SHA256 and puts the frame around it.
Bytes write_signed(ByteView tbs, const crypto::P256PrivateKey& key);
/// As verify_signed() takes it from an RSA key.
Bytes write_signed(ByteView tbs, const crypto::RsaPrivateKey& key);

/// Appends the AlgorithmIdentifier of ecdsa-with-SHA256.
void write_ecdsa_with_sha256(DerWriter& out);

/// The AlgorithmIdentifier of what a key of this type signs, whole.
ByteView signature_algorithm_of(const crypto::P256PrivateKey& key);
ByteView signature_algorithm_of(const crypto::RsaPrivateKey& key);

}  // namespace eos::x509
