// SPDX-License-Identifier: AGPL-3.0-only
// Intel's SGX Root CA as facts: the key, and the SHA-256 of both certificates issued for it.
#pragma once

#include <array>
#include <string_view>

namespace eos::attestation::endorsements {

/// A root that is pinned by certificate and by key.
struct VendorRoot {
    std::string_view name;
    std::string_view sha256_hex;  ///< of the whole certificate, DER
    std::string_view spki_hex;    ///< SubjectPublicKeyInfo, DER
};

inline constexpr std::string_view kIntelSgxRootSpkiHex =
    "3059301306072a8648ce3d020106082a8648ce3d03010703420004"
    "0ba9c4c0c0c86193a3fe23d6b02cda10a8bbd4e88e48b4458561a36e705525f5"
    "67918e2edc88e40d860bd0cc4ee26aacc988e505a953558c453f6b0904ae7394";

/// Intel issued two certificates for one key: the second is in use, the first is found in quotes of
/// 2019 and 2020.
inline constexpr std::array<VendorRoot, 2> kIntelSgxRoots{{
    {"Intel SGX Root CA, valid to 2049",
     "44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3", kIntelSgxRootSpkiHex},
    {"Intel SGX Root CA, valid to 2033",
     "fc64f8076d79a4fee9d1d473d74c89eb8d8fd55c5abafeabeba7366d20429404", kIntelSgxRootSpkiHex},
}};

}  // namespace eos::attestation::endorsements
