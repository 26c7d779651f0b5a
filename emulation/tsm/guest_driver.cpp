// SPDX-License-Identifier: AGPL-3.0-only
#include "emulation/tsm/guest_driver.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <thread>
#include <utility>

namespace eos::emulation::tsm {

namespace {

constexpr std::chrono::milliseconds kPoll{5};

/// What a fault is told as; 0 for those that give a report.
int error_of(Fault fault) {
    switch (fault) {
        case Fault::kBusy:
            return -EBUSY;
        case Fault::kInterrupted:
            return -EINTR;
        case Fault::kTimedOut:
            return -ETIMEDOUT;
        case Fault::kNoDevice:
            return -ENXIO;
        case Fault::kInputOutput:
            return -EIO;
        case Fault::kKeyGone:
            return -ENOTTY;
        case Fault::kNone:
        case Fault::kWrongReport:
        case Fault::kWrongGeneration:
            return 0;
    }
    return 0;
}

}  // namespace

Clock Clock::real() {
    return {.now = [] { return std::chrono::steady_clock::now(); },
            .sleep = [](std::chrono::milliseconds time) { std::this_thread::sleep_for(time); }};
}

GuestDriver::GuestDriver(ReportMaker& maker, const Behaviour& behaviour, Clock clock)
    : maker_(maker), behaviour_(behaviour), clock_(std::move(clock)) {}

std::expected<GuestDriver::Answer, int> GuestDriver::report(const Request& request,
                                                            const Interrupted& interrupted) {
    return maker_.has_privilege_levels() ? snp(request) : tdx(request, interrupted);
}

std::expected<GuestDriver::Answer, int> GuestDriver::tdx(const Request& request,
                                                         const Interrupted& interrupted) {
    if (clock_.now() < in_flight_until_) return std::unexpected(-EBUSY);
    if (request.inblob.size() != kReportDataBytes) return std::unexpected(-EINVAL);
    const Fault fault = next_fault();
    if (fault == Fault::kBusy || fault == Fault::kNoDevice || fault == Fault::kInputOutput)
        return std::unexpected(error_of(fault));
    const int waited = wait_for_host(fault, interrupted);
    if (waited < 0) return std::unexpected(waited);
    return make(request, fault);
}

int GuestDriver::wait_for_host(Fault fault, const Interrupted& interrupted) {
    const Clock::Point start = clock_.now();
    const std::chrono::milliseconds latency = behaviour_.latency;
    const bool ordered = fault == Fault::kInterrupted || fault == Fault::kTimedOut;
    const auto patience = std::min(latency, std::chrono::milliseconds(kHostPatience));
    int error = error_of(fault);
    if (fault != Fault::kInterrupted) {
        const int waited = wait_until(start + patience, interrupted);
        if (waited < 0) error = waited;
    }
    if (error == 0 && latency > kHostPatience) error = -ETIMEDOUT;
    // The buffer is the host's until it answers; after an ordered fault that takes as long again.
    if (error < 0) in_flight_until_ = (ordered ? clock_.now() : start) + latency;
    return error;
}

std::expected<GuestDriver::Answer, int> GuestDriver::snp(const Request& request) {
    if (request.inblob.size() != kReportDataBytes) return std::unexpected(-EINVAL);
    if (key_gone_) return std::unexpected(-ENOTTY);
    const Fault fault = next_fault();
    // Neither comes from sev_guest; they are given to see what a program makes of them.
    if (fault == Fault::kBusy || fault == Fault::kInterrupted)
        return std::unexpected(error_of(fault));
    if (fault != Fault::kKeyGone) wait_until(clock_.now() + behaviour_.latency, {});
    // A request that failed may have used a nonce up: Linux wipes the key, for good.
    key_gone_ =
        fault == Fault::kKeyGone || fault == Fault::kTimedOut || fault == Fault::kInputOutput;
    if (error_of(fault) < 0) return std::unexpected(error_of(fault));
    if (request.privilege_level < maker_.privilege_level_floor()) return std::unexpected(-EINVAL);
    return make(request, fault);
}

std::expected<GuestDriver::Answer, int> GuestDriver::make(const Request& request, Fault fault) {
    auto report_data = to_array<kReportDataBytes>(request.inblob);
    if (fault == Fault::kWrongReport) report_data[0] ^= std::byte{1};
    Result<MadeReport> made = maker_.make(report_data, request.privilege_level);
    if (!made) return std::unexpected(-EIO);
    return Answer{.report = *std::move(made), .foreign_write = fault == Fault::kWrongGeneration};
}

int GuestDriver::wait_until(Clock::Point end, const Interrupted& interrupted) {
    for (auto now = clock_.now(); now < end; now = clock_.now()) {
        if (interrupted && interrupted()) return -EINTR;
        const auto rest = std::chrono::ceil<std::chrono::milliseconds>(end - now);
        clock_.sleep(std::min(rest, kPoll));
    }
    return 0;
}

Fault GuestDriver::next_fault() {
    if (behaviour_.fault == Fault::kNone) return Fault::kNone;
    const std::string& file = behaviour_.fault_file;
    if (!file.empty() && ::access(file.c_str(), F_OK) != 0) return Fault::kNone;
    return ++attempts_ % behaviour_.fault_every == 0 ? behaviour_.fault : Fault::kNone;
}

}  // namespace eos::emulation::tsm
