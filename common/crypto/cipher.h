// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "common/base/bytes.h"
#include "common/base/result.h"

namespace eos::crypto {

inline constexpr Code decryption_failed{"common/crypto", "decryption_failed",
                                        "the data is not what was encrypted under this key"};

inline constexpr std::size_t kGcmTagBytes = 16;
using AesKey256 = ByteArray<32>;
using AesKey128 = ByteArray<16>;
using GcmNonce = ByteArray<12>;

/// AES-256-GCM. The caller guarantees that (key, nonce) is never used for two plaintexts.
/// in:      key: 32 bytes; plaintext and additional: any size below 2^31.
/// returns: ciphertext ‖ 16-byte tag.
Bytes aes256_gcm_seal(ByteView key, const GcmNonce& nonce, ByteView plaintext, ByteView additional);

/// Inverse of aes256_gcm_seal.
/// errors: decryption_failed (wrong key, nonce or additional data; altered or short input).
[[nodiscard]] Result<Bytes> aes256_gcm_open(ByteView key, const GcmNonce& nonce, ByteView sealed,
                                            ByteView additional);

/// AES-128-CMAC (RFC 4493), the MAC of SGX REPORTs.
/// in:      key: 16 bytes.
ByteArray<16> aes128_cmac(ByteView key, ByteView message);

}  // namespace eos::crypto
