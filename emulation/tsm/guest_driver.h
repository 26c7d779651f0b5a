// SPDX-License-Identifier: AGPL-3.0-only
// What Linux's drivers tdx_guest and sev_guest make of a request for a report, and of a host or a
// firmware that fails. Every error is minus an errno. source: Linux 6.16,
// drivers/virt/coco/tdx-guest/tdx-guest.c, drivers/virt/coco/sev-guest/sev-guest.c,
// arch/x86/coco/sev/core.c.
#pragma once

#include <chrono>
#include <expected>
#include <functional>

#include "emulation/tsm/behaviour.h"

namespace eos::emulation::tsm {

inline constexpr std::size_t kReportDataBytes = 64;

/// How long tdx_guest waits for the host.
inline constexpr std::chrono::seconds kHostPatience{30};

/// Whether the caller has a signal to take. Asked while a driver waits; empty: never.
using Interrupted = std::function<bool()>;

/// Time, as a parameter.
struct Clock {
    using Point = std::chrono::steady_clock::time_point;

    std::function<Point()> now;
    std::function<void(std::chrono::milliseconds)> sleep;

    static Clock real();
};

/// One of the two drivers. threads: one request at a time, which tsm_rwsem sees to.
class GuestDriver {
  public:
    struct Request {
        ByteView inblob;
        unsigned privilege_level = 0;
    };
    struct Answer {
        MadeReport report;
        bool foreign_write = false;  ///< Fault::kWrongGeneration
    };

    GuestDriver(ReportMaker& maker, const Behaviour& behaviour, Clock clock);

    std::expected<Answer, int> report(const Request& request, const Interrupted& interrupted);
    /// Whether the driver starts: sev_guest does not without its key, which no reload brings back.
    bool can_start() const { return !key_gone_; }
    const ReportMaker& maker() const { return maker_; }

  private:
    std::expected<Answer, int> tdx(const Request& request, const Interrupted& interrupted);
    std::expected<Answer, int> snp(const Request& request);
    std::expected<Answer, int> make(const Request& request, Fault fault);
    int wait_for_host(Fault fault, const Interrupted& interrupted);
    int wait_until(Clock::Point end, const Interrupted& interrupted);
    Fault next_fault();

    ReportMaker& maker_;
    Behaviour behaviour_;
    Clock clock_;
    std::uint64_t attempts_ = 0;
    Clock::Point in_flight_until_{};  ///< TDX: the host has the buffer of an abandoned request
    bool key_gone_ = false;           ///< SEV-SNP: the VMPCK was wiped
};

}  // namespace eos::emulation::tsm
