// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <initializer_list>
#include <memory>
#include <string_view>

#include "common/base/bytes.h"
#include "common/base/secret.h"

struct evp_md_ctx_st;

namespace eos::crypto {

using Digest32 = ByteArray<32>;
using Digest64 = ByteArray<64>;

/// SHA-256 (FIPS 180-4) of the parts, one after the other.
Digest32 sha256(std::initializer_list<ByteView> parts);
inline Digest32 sha256(ByteView bytes) {
    return sha256({bytes});
}

/// SHA-512 of the parts, one after the other.
Digest64 sha512(std::initializer_list<ByteView> parts);

/// SHA-256 over data that comes in pieces.
class Sha256 {
  public:
    Sha256();
    ~Sha256();
    Sha256(Sha256&&) noexcept;
    Sha256& operator=(Sha256&&) noexcept;

    void update(ByteView bytes);
    /// The digest of all that came; the object then starts afresh.
    Digest32 finish();

  private:
    struct Free {
        void operator()(evp_md_ctx_st* context) const;
    };
    std::unique_ptr<evp_md_ctx_st, Free> context_;
};

/// The hash functions of the TLS 1.3 cipher suites.
enum class HashKind { kSha256, kSha384 };

/// 32 or 48.
std::size_t hash_size_bytes(HashKind kind);

/// The digest of `bytes`, hash_size_bytes(kind) long.
Bytes hash(HashKind kind, ByteView bytes);

/// HMAC-SHA-256 (RFC 2104).
Digest32 hmac_sha256(ByteView key, std::initializer_list<ByteView> parts);

/// HKDF-SHA-256 (RFC 5869), extract then expand, to 32 bytes.
Secret<ByteArray<32>> hkdf_sha256(ByteView key_material, ByteView salt, ByteView info);

/// HKDF-Expand-Label of RFC 8446 §7.1; "tls13 " is put before `label` here.
/// in:      secret: hash_size_bytes(kind); context at most 255 bytes; size_bytes at most one hash.
Bytes hkdf_expand_label(HashKind kind, ByteView secret, std::string_view label, ByteView context,
                        std::size_t size_bytes);

/// Equality whose time depends on the sizes only.
bool equal_constant_time(ByteView a, ByteView b);

}  // namespace eos::crypto
