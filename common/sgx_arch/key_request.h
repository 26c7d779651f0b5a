// SPDX-License-Identifier: AGPL-3.0-only
// The structure of EGETKEY and its answers.
#pragma once

#include <cstdint>

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/base/secret.h"
#include "common/sgx_arch/report.h"

namespace eos::sgx_arch {

inline constexpr std::size_t kKeyRequestBytes = 512;
inline constexpr std::size_t kKeyBytes = 16;

using Key128 = Secret<ByteArray<kKeyBytes>>;

/// KEYREQUEST.KEYNAME. source: SDM 3D, "KEYREQUEST".
inline constexpr std::uint16_t kKeyNameEinitToken = 0;
inline constexpr std::uint16_t kKeyNameProvision = 1;
inline constexpr std::uint16_t kKeyNameProvisionSeal = 2;
inline constexpr std::uint16_t kKeyNameReport = 3;
inline constexpr std::uint16_t kKeyNameSeal = 4;

/// KEYREQUEST.KEYPOLICY. source: SDM 3D, "KEYREQUEST".
inline constexpr std::uint16_t kKeyPolicyMrEnclave = 1u << 0;
inline constexpr std::uint16_t kKeyPolicyMrSigner = 1u << 1;
inline constexpr std::uint16_t kKeyPolicyNoIsvProdId = 1u << 2;
inline constexpr std::uint16_t kKeyPolicyConfigId = 1u << 3;
inline constexpr std::uint16_t kKeyPolicyIsvFamilyId = 1u << 4;
inline constexpr std::uint16_t kKeyPolicyIsvExtProdId = 1u << 5;
/// The bits that only an enclave with ATTRIBUTES.KSS may set.
inline constexpr std::uint16_t kKeyPolicyKss =
    kKeyPolicyNoIsvProdId | kKeyPolicyConfigId | kKeyPolicyIsvFamilyId | kKeyPolicyIsvExtProdId;
inline constexpr std::uint16_t kKeyPolicyKnown =
    kKeyPolicyMrEnclave | kKeyPolicyMrSigner | kKeyPolicyKss;

/// What EGETKEY leaves in EAX. source: SDM 3D, "EGETKEY".
inline constexpr std::uint32_t kStatusInvalidAttribute = 2;
inline constexpr std::uint32_t kStatusInvalidCpuSvn = 32;
inline constexpr std::uint32_t kStatusInvalidIsvSvn = 64;
inline constexpr std::uint32_t kStatusInvalidKeyName = 256;

/// KEYREQUEST: which key, and what it depends on. Any value of a field is representable: whether
/// the CPU serves it is EGETKEY's decision.
struct KeyRequest {
    std::uint16_t key_name = 0;
    std::uint16_t key_policy = 0;
    std::uint16_t isv_svn = 0;
    std::uint8_t cet_attributes_mask = 0;
    CpuSvn cpu_svn{};
    Attributes attribute_mask;
    KeyId key_id{};
    std::uint32_t misc_mask = 0;
    std::uint16_t config_svn = 0;

    friend bool operator==(const KeyRequest&, const KeyRequest&) = default;
};

/// in:      exactly 512 bytes; not retained.
/// errors:  wrong_size, reserved_not_zero (as EGETKEY, which faults).
/// source:  SDM 3D, "KEYREQUEST".
[[nodiscard]] Result<KeyRequest> parse_key_request(ByteView in);

/// The 512 bytes; reserved bytes are zero.
ByteArray<kKeyRequestBytes> encode(const KeyRequest& request);

}  // namespace eos::sgx_arch
