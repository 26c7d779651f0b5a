// SPDX-License-Identifier: AGPL-3.0-only
// The emulated vendors of one installation, on disk, and the machines that they vouch for. The
// format is in docs/formats/emulated-platform.md.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/time.h"
#include "emulation/tsm/behaviour.h"
#include "emulation/tsm/registers.h"

namespace eos::emulation::tsm {

inline constexpr Code unknown_machine{"emulation/tsm", "unknown_machine",
                                      "there is no such emulated machine"};
inline constexpr Code installation_unusable{"emulation/tsm", "installation_unusable",
                                            "the emulated vendors' directory cannot be used"};
inline constexpr Code not_offered{"emulation/tsm", "not_offered",
                                  "the emulated vendor does not offer this"};

/// A kind of machine.
enum class Machine : std::uint8_t { kTdxV4, kTdxV5, kSnpMilan, kSnpGenoa, kSnpTurin };

/// "tdx-v4", "tdx-v5", "snp-milan", "snp-genoa", "snp-turin".
/// errors: unknown_machine.
[[nodiscard]] Result<Machine> machine_from_name(std::string_view name);

/// Which of AMD's keys signs reports.
enum class SnpKey : std::uint8_t { kVcek, kVlek };

/// Whether an SNP machine's host hands out the certificates of its chip.
enum class SnpCertificates : std::uint8_t { kFromHost, kNone };

/// What a machine is like beside its kind. All of it is SNP's.
struct MachineOptions {
    std::string tcb_status = "UpToDate";
    SnpKey snp_key = SnpKey::kVcek;
    SnpCertificates snp_certificates = SnpCertificates::kFromHost;
    unsigned vmpl = 0;  ///< that the guest's kernel runs at

    bool operator==(const MachineOptions&) const = default;
};

/// Makes the emulated Intel and three emulated AMDs, with a root each. Slow: RSA keys.
/// errors:  installation_unusable (not empty), those of quoting::init_platform().
[[nodiscard]] Result<void> init_installation(const std::filesystem::path& directory, UnixTime now);

/// TDX collateral under which this platform's TCB has `status`, for verifiers: "UpToDate",
/// "OutOfDate", "SWHardeningNeeded", "ConfigurationNeeded", "Revoked".
/// errors:  not_offered, those of reading the directory.
[[nodiscard]] Result<std::string> tdx_collateral(const std::filesystem::path& directory,
                                                 const std::string& status, UnixTime now);

/// A guest on a machine of this installation.
/// in:      registers: of the guest, borrowed; TDX only.
/// errors:  not_offered (an SNP machine has UpToDate and OutOfDate), those of reading the
///          directory.
[[nodiscard]] Result<std::unique_ptr<ReportMaker>> load_machine(
    const std::filesystem::path& directory, Machine machine, const MachineOptions& options,
    const Registers& registers);

inline bool is_tdx(Machine machine) {
    return machine == Machine::kTdxV4 || machine == Machine::kTdxV5;
}

/// The subdirectory with the roots and collateral of a machine: "tdx", "snp-genoa", ….
std::string vendor_directory(Machine machine);

}  // namespace eos::emulation::tsm
