// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <string>

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/crypto/p256.h"

namespace eos::os {

inline constexpr Code file_unreadable{"trusted/os", "file_unreadable", "the file cannot be read"};
inline constexpr Code file_exposed{"trusted/os", "file_exposed",
                                   "a private key may be read by others; chmod 600 it"};

/// The whole file, at most max_bytes.
/// errors: file_unreadable.
[[nodiscard]] Result<Bytes> read_file(const std::string& path, std::size_t max_bytes);

/// A P-256 key as PEM (PKCS #8) that nobody but its owner may read.
/// errors: file_unreadable, file_exposed, those of x509::parse_pem, crypto::bad_key.
[[nodiscard]] Result<crypto::P256PrivateKey> read_private_key(const std::string& path);

}  // namespace eos::os
