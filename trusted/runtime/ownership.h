// SPDX-License-Identifier: AGPL-3.0-only
// Whose machine this is, and the CA that its owner gave it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/secret.h"
#include "common/base/time.h"
#include "common/config_tree/tree.h"
#include "common/crypto/hash.h"

namespace eos::runtime {

inline constexpr std::size_t kMaxChainCertificates = 4;
inline constexpr std::size_t kMaxCertificateBytes = 8 * 1024;

/// Whether the CA key was ever outside. Once imported, always imported: see rotate_authority().
enum class CaKeyOrigin : std::uint8_t { kBornInside = 1, kImported = 2 };

/// The intermediate CA that signs leaves.
struct Authority {
    std::vector<Bytes> chain;  ///< DER, the intermediate first; 1..kMaxChainCertificates
    SecretBytes key;           ///< PKCS #8
    CaKeyOrigin origin = CaKeyOrigin::kBornInside;

    Authority duplicate() const { return {chain, key.duplicate(), origin}; }
};

/// Set once, by provisioning.
struct Ownership {
    crypto::Digest32 owner_spki_hash{};
    std::string platform_name;  ///< lower-case DNS name
    Authority authority;
    UnixTime provisioned_at;

    Ownership duplicate() const {
        return {owner_spki_hash, platform_name, authority.duplicate(), provisioned_at};
    }
};

/// Replaces the CA. The new one counts as imported if the old one did: whoever had the old key had
/// the names.
void rotate_authority(Ownership& ownership, Authority next);

/// The leaves of a policy tree that say whose machine this is; where there is no owner, they say
/// so. Nothing outside says how old the state is.
/// errors: config_tree::bad_value.
[[nodiscard]] Result<void> add_ownership_leaves(config_tree::TreeBuilder& out,
                                                const std::optional<Ownership>& owned,
                                                std::string_view platform_name);

}  // namespace eos::runtime
