// SPDX-License-Identifier: AGPL-3.0-only
// The character devices of confidential guests, for kernels without configfs-tsm. Sizes, numbers
// and layouts are Linux's (include/uapi/linux/sev-guest.h, include/uapi/linux/tdx-guest.h) and
// AMD's; nothing here was ever run on silicon, only against functions that stand in for ioctl().
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "trusted/virtual/evidence/measurement.h"
#include "trusted/virtual/evidence/tee_evidence.h"
#include "trusted/virtual/evidence/tsm_directory.h"

namespace eos::cvm {

inline constexpr Code malformed_response{kEvidenceLibrary, "malformed_response",
                                         "a guest device's answer is not what it must be"};

/// One ioctl on an open device; its argument is read and written. An errno on failure.
using DeviceCall = std::function<SystemResult<void>(unsigned long request, void* argument)>;

/// Opens a device and calls it. errors: an errno.
[[nodiscard]] SystemResult<DeviceCall> open_device(const std::string& path);

inline constexpr unsigned long kTdxGetReport0 = 0xc4405401;
inline constexpr unsigned long kSnpGetReport = 0xc0205300;
inline constexpr unsigned long kSnpGetExtendedReport = 0xc0205302;

inline constexpr std::size_t kTdReportBytes = 1024;
inline constexpr std::size_t kSnpResponseBytes = 4000;

/// RTMR3 in a TDREPORT, as TDG.MR.REPORT makes it.
/// errors:  malformed_response (size, or no TDREPORT of a trust domain).
/// source:  Intel TDX module ABI, TDREPORT_STRUCT: TDINFO at 512, RTMR3 at 352 in it.
[[nodiscard]] Result<Digest48> rtmr3_of_td_report(ByteView td_report);

/// The report in the firmware's answer.
/// errors:  malformed_response (status, size).
/// source:  AMD 56860, MSG_REPORT_RSP: status, size, 24 reserved bytes, report.
[[nodiscard]] Result<Bytes> report_of_snp_response(ByteView response);

/// RTMR3 by way of /dev/tdx_guest: it can be read but not extended, which no ioctl of Linux does.
class TdReportRegister final : public RuntimeRegister {
  public:
    explicit TdReportRegister(DeviceCall call) : call_(std::move(call)) {}
    /// errors: register_unavailable, malformed_response.
    [[nodiscard]] Result<Digest48> read() override;
    /// errors: register_unavailable, always.
    [[nodiscard]] Result<void> extend(const Digest48& digest) override;
    /// errors: register_unavailable, always.
    [[nodiscard]] Result<void> expect_extendable() override;

  private:
    DeviceCall call_;
};

/// Evidence by way of /dev/sev-guest: the report, and the certificates that the host has for it.
class SevGuestDevice final : public TeeEvidence {
  public:
    SevGuestDevice(DeviceCall call, Waiting waiting)
        : call_(std::move(call)), waiting_(std::move(waiting)) {}

    TeeKind kind() const override { return TeeKind::kSevSnp; }
    /// errors:  as TeeEvidence::evidence(); malformed_response.
    [[nodiscard]] Result<FreshEvidence> evidence(const ratls::ReportData& report_data,
                                                 Deadline deadline) override;

  private:
    Result<Bytes> request(const ratls::ReportData& report_data, Deadline deadline) const;

    DeviceCall call_;
    Waiting waiting_;
};

}  // namespace eos::cvm
