// SPDX-License-Identifier: AGPL-3.0-only
// The file that stands in for a CPU's fuses. One file serves reports, sealing and quoting; the
// format is in docs/formats/emulated-platform.md.
#pragma once

#include <cstdint>
#include <filesystem>

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/base/secret.h"
#include "common/sgx_arch/report.h"

namespace eos::emulation::sgx_cpu {

inline constexpr Code identity_unreadable{"emulation/sgx_cpu", "identity_unreadable",
                                          "the emulated CPU's identity file cannot be read"};
inline constexpr Code identity_not_private{
    "emulation/sgx_cpu", "identity_not_private",
    "the emulated CPU's identity file must be a regular file of this user with mode 0600"};
inline constexpr Code identity_malformed{"emulation/sgx_cpu", "identity_malformed",
                                         "not an intact identity file of an emulated CPU"};
inline constexpr Code identity_version{
    "emulation/sgx_cpu", "identity_version",
    "the emulated CPU's identity file is of a version that this program does not know"};

inline constexpr std::size_t kIdentityFileBytes = 144;
inline constexpr std::uint32_t kIdentityFileVersion = 1;

/// What distinguishes one emulated CPU from another.
struct CpuIdentity {
    sgx_arch::CpuSvn cpu_svn{};  ///< also the 16 component SVNs of its PCK certificate
    std::uint16_t pce_svn = 0;
    ByteArray<2> pce_id{};
    ByteArray<6> fmspc{};
    ByteArray<16> ppid{};
    ByteArray<16> platform_instance_id{};
    Secret<ByteArray<32>> root_secret;  ///< every key of this CPU is derived from it
};

/// A new CPU: fixed security versions and FMSPC, everything else random.
CpuIdentity generate_identity();

/// The whole file. Holds the root secret: goes into a file of mode 0600 and nowhere else.
SecretBytes encode_identity(const CpuIdentity& identity);

/// in:      the whole file; not retained.
/// errors:  identity_malformed (size, magic, checksum, reserved bytes), identity_version.
[[nodiscard]] Result<CpuIdentity> parse_identity(ByteView in);

/// errors:  identity_unreadable, identity_not_private (wider mode, other owner, link, no regular
///          file), and those of parse_identity.
[[nodiscard]] Result<CpuIdentity> load_identity(const std::filesystem::path& path);

}  // namespace eos::emulation::sgx_cpu
