// SPDX-License-Identifier: AGPL-3.0-only
// How the emulated machine behaves: what it takes, and what goes wrong.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "common/base/bytes.h"
#include "common/base/result.h"

namespace eos::emulation::tsm {

/// What goes wrong when evidence is made.
enum class Fault : std::uint8_t {
    kNone,
    kBusy,             ///< EBUSY: an earlier quote is still with the host
    kInterrupted,      ///< EINTR: as if a signal had come at once
    kTimedOut,         ///< ETIMEDOUT: host or firmware do not answer
    kNoDevice,         ///< ENXIO
    kInputOutput,      ///< EIO: host or firmware refuse
    kKeyGone,          ///< ENOTTY: SEV-SNP, the guest's key to the firmware was wiped
    kWrongReport,      ///< genuine evidence over report data with one bit flipped
    kWrongGeneration,  ///< as if another process had written to the entry meanwhile
};

/// Latency of one report, and a fault in every Nth.
struct Behaviour {
    std::chrono::milliseconds latency{0};
    Fault fault = Fault::kNone;
    std::uint32_t fault_every = 1;
    std::string fault_file;  ///< only while this file exists; empty: always
};

/// What a report consists of.
struct MadeReport {
    Bytes outblob;
    Bytes auxblob;  ///< SEV-SNP: the host's certificate table
};

/// Stands for driver, firmware and host. threads: one report at a time.
class ReportMaker {
  public:
    virtual ~ReportMaker() = default;
    /// "tdx_guest", "sev_guest".
    virtual std::string provider() const = 0;
    /// The attributes of SEV-SNP: auxblob, privlevel, privlevel_floor.
    virtual bool has_privilege_levels() const = 0;
    /// The VMPL that the guest's kernel runs at: it gets no report of a lower one.
    virtual unsigned privilege_level_floor() const = 0;
    /// in: privilege_level: of SEV-SNP, the VMPL that the report is asked for; else 0.
    virtual Result<MadeReport> make(const ByteArray<64>& report_data, unsigned privilege_level) = 0;
};

}  // namespace eos::emulation::tsm
