// SPDX-License-Identifier: AGPL-3.0-only
// What ECDSA keys of every curve share, over OpenSSL; for p256.cpp and p384.cpp only.
#pragma once

#include <openssl/types.h>

#include "common/crypto/p256.h"

namespace eos::crypto::ecdsa {

/// The curves in use.
enum class Group { p256, p384 };

/// The key that is this point 04 ‖ x ‖ y of a named group; null if it is not on the curve. The
/// groups in use have cofactor 1, so a point on the curve is a valid key (SP 800-56A §5.6.2.3).
PkeyHandle public_key(Group group, ByteView point);

/// SubjectPublicKeyInfo DER of the key's public half; empty if it has none.
Bytes spki_of(const PkeyHandle& key);

/// in:     key: of public_key() (asserted). raw: r ‖ s, two numbers of equal width.
/// errors: bad_signature.
[[nodiscard]] Result<void> verify(EVP_PKEY* key, ByteView digest, ByteView raw);

/// returns: Ecdsa-Sig-Value. `key` must not be null (asserted).
Bytes sign_der(const PkeyHandle& key, const EVP_MD* hash, ByteView message);

/// Ecdsa-Sig-Value of r ‖ s, two numbers of equal width.
Bytes to_der(ByteView raw);

/// Fills r ‖ s. One strict encoding only.
/// errors: bad_signature.
[[nodiscard]] Result<void> to_raw(ByteView der, MutableByteView raw);

}  // namespace eos::crypto::ecdsa
