// SPDX-License-Identifier: AGPL-3.0-only
// One emulated platform on disk. The format is in docs/formats/emulated-platform.md.
#pragma once

#include <filesystem>
#include <string>

#include "common/base/result.h"
#include "common/base/time.h"
#include "emulation/quoting/provisioning.h"
#include "emulation/quoting/quoting_enclave.h"
#include "emulation/quoting/td_quoting_enclave.h"

namespace eos::emulation::quoting {

inline constexpr Code directory_unusable{"emulation/quoting", "directory_unusable",
                                         "the emulated platform's directory cannot be used"};
inline constexpr Code already_initialised{
    "emulation/quoting", "already_initialised",
    "the directory holds an emulated platform already; what is sealed to it would be lost"};
inline constexpr Code file_unreadable{"emulation/quoting", "file_unreadable",
                                      "a file of the emulated platform cannot be read"};
inline constexpr Code file_unwritable{"emulation/quoting", "file_unwritable",
                                      "a file of the emulated platform cannot be written"};
inline constexpr Code keys_malformed{
    "emulation/quoting", "keys_malformed",
    "the quoting enclave's keys are damaged, or sealed to another emulated CPU"};

inline constexpr const char* kCpuFile = "cpu.identity";
inline constexpr const char* kKeysFile = "quoting_enclave.sealed";
inline constexpr const char* kChainFile = "pck_chain.pem";
inline constexpr const char* kRootFile = "root.pem";
inline constexpr const char* kCollateralFile = "collateral.json";
inline constexpr const char* kTdKeysFile = "td_quoting_enclave.sealed";
inline constexpr const char* kTdxCollateralFile = "collateral-tdx.json";
inline constexpr const char* kIssuingFile = "issuing.keys";

/// Whether init_platform() may replace a platform.
enum class Overwrite { kNo, kYes };

/// Makes a new platform: CPU, root, certificates, keys, collateral. The directory is made with mode
/// 0700 if it is missing; its parent must exist. cpu.identity is written last, so that a directory
/// without it holds no platform.
/// errors:  already_initialised (any of the files is there, with Overwrite::kNo),
///          directory_unusable, file_unwritable, those of provision().
[[nodiscard]] Result<void> init_platform(const std::filesystem::path& directory,
                                         Overwrite overwrite, UnixTime now);

/// errors:  those of sgx_cpu::load_identity; file_unreadable, keys_malformed, inconsistent_keys.
[[nodiscard]] Result<QuotingEnclave> load_platform(const std::filesystem::path& directory);

/// The TD quoting enclave of the same platform.
/// errors:  as load_platform; file_unreadable also for a platform that was made before there was
/// TDX: make a new one.
[[nodiscard]] Result<TdQuotingEnclave> load_td_platform(const std::filesystem::path& directory);

/// The keys of the platform's emulated Intel.
/// errors:  file_unreadable, keys_malformed.
[[nodiscard]] Result<IssuingKeys> load_issuing_keys(const std::filesystem::path& directory);

/// The whole file, at most 64 KiB.
/// errors:  file_unreadable.
[[nodiscard]] Result<Bytes> read_file(const std::filesystem::path& path);

}  // namespace eos::emulation::quoting
