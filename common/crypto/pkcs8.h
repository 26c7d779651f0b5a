// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "common/crypto/p256.h"

// What the private keys of all algorithms share. For this folder only.

namespace eos::crypto {

/// in:      unencrypted PrivateKeyInfo and nothing after it.
/// errors:  bad_key (not DER, not of this libcrypto key type, inconsistent).
[[nodiscard]] Result<PkeyHandle> pkey_from_pkcs8(ByteView der, int key_type);

/// Unencrypted PrivateKeyInfo.
SecretBytes pkey_to_pkcs8(const PkeyHandle& key);

}  // namespace eos::crypto
