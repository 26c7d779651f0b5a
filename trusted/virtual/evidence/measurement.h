// SPDX-License-Identifier: AGPL-3.0-only
// RTMR3 of a TDX guest: what the VM says about itself after it started. Every policy root is
// extended to it before anything is served under that policy; the log of what was extended lets a
// verifier replay it. source: docs/formats/policy-log.md.
#pragma once

#include <memory>
#include <string>

#include "common/attestation/event_log/event_log.h"
#include "trusted/virtual/evidence/tee_evidence.h"
#include "trusted/virtual/evidence/tsm_directory.h"

namespace eos::cvm {

using attestation::event_log::Digest48;

inline constexpr Code register_unavailable{
    kEvidenceLibrary, "register_unavailable",
    "this kernel does not let RTMR3 be extended: that needs Linux 6.16 or later with "
    "CONFIG_TSM_MEASUREMENTS, and the permission to write "
    "/sys/class/misc/tdx_guest/measurements/rtmr3:sha384"};
inline constexpr Code register_mismatch{
    kEvidenceLibrary, "register_mismatch",
    "RTMR3 does not hold what the log of its events says: something else extended it, or the log "
    "is of another boot; only a restart of the VM brings them together again"};
inline constexpr Code log_unusable{kEvidenceLibrary, "log_unusable",
                                   "the log of RTMR3's events cannot be read or written"};
inline constexpr Code log_full{kEvidenceLibrary, "log_full",
                               "the policy was changed too often since the VM started"};

inline constexpr std::size_t kMaxPolicyEvents = 4096;
/// The last of these are for the configuration: rotations of the CA cannot use up what it needs.
inline constexpr std::size_t kReservedPolicyEvents = 1024;

/// What another policy root comes of.
enum class PolicyChange : std::uint8_t { kConfiguration, kCaRotation };

/// The register, whoever provides it. threads: one at a time.
class RuntimeRegister {
  public:
    virtual ~RuntimeRegister() = default;
    /// errors: register_unavailable.
    [[nodiscard]] virtual Result<Digest48> read() = 0;
    /// Register = SHA-384(register ‖ digest).
    /// errors: register_unavailable.
    [[nodiscard]] virtual Result<void> extend(const Digest48& digest) = 0;
    /// Whether extend() can be done at all, without doing it.
    /// errors: register_unavailable.
    [[nodiscard]] virtual Result<void> expect_extendable() = 0;
};

/// Where Linux keeps the registers. Parameters, so that the emulator can stand in at any path.
struct RegisterPaths {
    std::string measurements = "/sys/class/misc/tdx_guest/measurements";
    std::string tdx_guest = "/dev/tdx_guest";
};

/// RTMR3 as Linux 6.16 and later show it; on older ones by way of the device, which only reads.
/// Such a register cannot stand for a policy: PolicyMeasurement::open() refuses it.
/// errors:  register_unavailable.
/// source:  Linux, Documentation/ABI/testing/sysfs-devices-virtual-misc-tdx_guest: a read gives the
///          48 bytes, a write of 48 bytes at offset 0 extends.
[[nodiscard]] Result<std::unique_ptr<RuntimeRegister>> open_rtmr3(const RegisterPaths& paths = {});

/// RTMR3 and the log of its events, which lies in a file that lives as long as the VM (under /run),
/// because the register does, and this program may not.
class PolicyMeasurement {
  public:
    /// Brings register and log together. An event that was logged but not extended, because the
    /// program ended in between, is taken out.
    /// in:      log_path: made if it is missing; it may begin with events of others.
    /// errors:  register_unavailable, register_mismatch, log_unusable, and those of
    ///          attestation::event_log::parse_runtime_log().
    [[nodiscard]] static Result<PolicyMeasurement> open(std::unique_ptr<RuntimeRegister> rtmr3,
                                                        std::string log_path);

    /// Extends the root, unless it is the last that was: then it is measured already. When this
    /// returns without an error, every quote made from then on says so.
    /// errors:  register_unavailable, register_mismatch, log_unusable, log_full.
    [[nodiscard]] Result<void> extend(const crypto::Digest32& policy_root,
                                      PolicyChange change = PolicyChange::kConfiguration);

    const attestation::event_log::EventLog& log() const { return log_; }
    /// For verifiers. source: docs/formats/policy-log.md.
    std::string log_json() const { return attestation::event_log::encode_runtime_log(log_); }

  private:
    PolicyMeasurement(std::unique_ptr<RuntimeRegister> rtmr3, std::string log_path,
                      attestation::event_log::EventLog log)
        : rtmr3_(std::move(rtmr3)), log_path_(std::move(log_path)), log_(std::move(log)) {}

    Result<void> check_register();

    std::unique_ptr<RuntimeRegister> rtmr3_;
    std::string log_path_;
    attestation::event_log::EventLog log_;
};

}  // namespace eos::cvm
