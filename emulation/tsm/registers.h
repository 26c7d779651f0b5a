// SPDX-License-Identifier: AGPL-3.0-only
// The measurement registers of an emulated trust domain, and the files that Linux shows them as.
// source: Linux 6.16, drivers/virt/coco/guest/tsm-mr.c, drivers/virt/coco/tdx-guest/tdx-guest.c,
// Documentation/ABI/testing/sysfs-devices-virtual-misc-tdx_guest; fs/sysfs/file.c.
#pragma once

#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "common/attestation/event_log/event_log.h"
#include "common/attestation/evidence/tdx_report.h"

namespace eos::emulation::tsm {

/// What an emulated domain measured while it booted: RTMR0 to 2, replayable.
attestation::event_log::EventLog boot_log();

/// MRTD of every emulated trust domain.
attestation::evidence::TdMeasurement emulated_mr_td();

/// A register file.
struct RegisterFile {
    std::string name;
    unsigned mode = 0444;
};

inline constexpr std::size_t kRegisterBytes = 48;

/// threads: any.
class Registers {
  public:
    /// Registers of a domain that has just booted: RTMR3 is zero.
    Registers();

    static const std::vector<RegisterFile>& files();
    static const RegisterFile* file(const std::string& name);

    /// As pread() and pwrite() of the file: at least 0, or minus an errno.
    int read(const RegisterFile& file, MutableByteView out, std::size_t offset) const;
    int write(const RegisterFile& file, ByteView value, std::size_t offset);

    attestation::event_log::Rtmrs rtmrs() const;

  private:
    attestation::evidence::TdMeasurement value_of(const RegisterFile& file) const;

    mutable std::mutex mutex_;
    attestation::event_log::Rtmrs rtmrs_;
};

}  // namespace eos::emulation::tsm
