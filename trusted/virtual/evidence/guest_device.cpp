// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/virtual/evidence/guest_device.h"

#include <fcntl.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "common/attestation/evidence/snp_evidence.h"
#include "common/base/codec.h"
#include "trusted/os/unique_fd.h"

namespace eos::cvm {

namespace {

constexpr std::size_t kMaxTable = attestation::evidence::kMaxSnpTableBytes;
constexpr std::chrono::milliseconds kRetryPause{20};

/// struct tdx_report_req.
struct TdxReportRequest {
    std::array<std::uint8_t, ratls::kReportDataBytes> report_data{};
    std::array<std::uint8_t, kTdReportBytes> td_report{};
};
static_assert(sizeof(TdxReportRequest) == 1088);

/// struct snp_ext_report_req, which begins with struct snp_report_req.
struct SnpExtendedRequest {
    std::array<std::uint8_t, ratls::kReportDataBytes> user_data{};
    std::uint32_t vmpl = 0;
    std::array<std::uint8_t, 28> reserved{};
    std::uint64_t certificates = 0;
    std::uint32_t certificates_bytes = 0;
    std::uint32_t padding = 0;
};
static_assert(sizeof(SnpExtendedRequest) == 112);

/// struct snp_guest_request_ioctl.
struct SnpGuestRequest {
    std::uint8_t message_version = 1;
    std::array<std::uint8_t, 7> padding{};
    std::uint64_t request = 0;
    std::uint64_t response = 0;
    std::uint64_t exit_info_2 = 0;

    std::uint32_t vmm_error() const { return static_cast<std::uint32_t>(exit_info_2 >> 32); }
};
static_assert(sizeof(SnpGuestRequest) == 32);

constexpr std::uint32_t kVmmInvalidLength = 1;  // the buffer for certificates has another size
constexpr std::uint32_t kVmmBusy = 2;

std::uint64_t address(void* memory) {
    return reinterpret_cast<std::uintptr_t>(memory);
}

template <std::size_t N>
void copy_report_data(std::array<std::uint8_t, N>& out, const ratls::ReportData& report_data) {
    static_assert(N == ratls::kReportDataBytes);
    std::ranges::transform(report_data.bytes(), out.begin(),
                           [](std::byte b) { return std::to_integer<std::uint8_t>(b); });
}

Error device_error(Errno error, std::uint64_t exit_info) {
    const std::string detail =
        "/dev/sev-guest: " + describe(error) + ", exitinfo2 " + std::to_string(exit_info);
    if (error.value == EACCES || error.value == EPERM) return Error(not_permitted, detail);
    if (error.value == ENOTTY) return Error(firmware_key_gone, detail);
    return Error(kernel_refused, detail);
}

}  // namespace

SystemResult<DeviceCall> open_device(const std::string& path) {
    auto device = std::make_shared<os::UniqueFd>(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    if (!device->valid()) return std::unexpected(Errno{errno});
    return [device](unsigned long request, void* argument) -> SystemResult<void> {
        if (::ioctl(device->get(), request, argument) != 0) return std::unexpected(Errno{errno});
        return {};
    };
}

Result<Digest48> rtmr3_of_td_report(ByteView td_report) {
    constexpr std::byte kTdx{0x81};
    constexpr std::size_t kRtmr3At = 512 + 352;
    if (td_report.size() != kTdReportBytes)
        return fail(malformed_response, "a TDREPORT has 1024 bytes");
    if (td_report[0] != kTdx) return fail(malformed_response, "not the report of a trust domain");
    return to_array<sizeof(Digest48)>(td_report.subspan(kRtmr3At, sizeof(Digest48)));
}

Result<Bytes> report_of_snp_response(ByteView response) {
    Reader reader(response);
    const std::uint32_t status = EOS_TRY(reader.u32le());
    const std::uint32_t size = EOS_TRY(reader.u32le());
    if (status != 0) return fail(malformed_response, "status " + std::to_string(status));
    if (size != snp_arch::kReportBytes)
        return fail(malformed_response, "a report of " + std::to_string(size) + " bytes");
    EOS_TRY(reader.bytes(24));
    return to_bytes(EOS_TRY(reader.bytes(size)));
}

Result<Digest48> TdReportRegister::read() {
    TdxReportRequest request;
    const SystemResult<void> done = call_(kTdxGetReport0, &request);
    if (!done) return fail(register_unavailable, "/dev/tdx_guest: " + describe(done.error()));
    return rtmr3_of_td_report(std::as_bytes(std::span(request.td_report)));
}

Result<void> TdReportRegister::extend(const Digest48&) {
    return expect_extendable();
}

Result<void> TdReportRegister::expect_extendable() {
    return fail(register_unavailable, "/dev/tdx_guest only reads");
}

Result<Bytes> SevGuestDevice::request(const ratls::ReportData& report_data,
                                      Deadline deadline) const {
    Bytes certificates(kMaxTable);
    for (;;) {
        SnpExtendedRequest request;
        copy_report_data(request.user_data, report_data);
        request.certificates = address(certificates.data());
        request.certificates_bytes = static_cast<std::uint32_t>(certificates.size());
        std::array<std::uint8_t, kSnpResponseBytes> response{};
        SnpGuestRequest outer{.request = address(&request), .response = address(response.data())};
        const SystemResult<void> done = call_(kSnpGetExtendedReport, &outer);
        if (done) {
            Bytes out = EOS_TRY(report_of_snp_response(std::as_bytes(std::span(response))));
            append(out, certificates);
            return out;
        }
        // The largest table was offered already.
        if (outer.vmm_error() == kVmmInvalidLength)
            return fail(answer_too_large,
                        std::to_string(request.certificates_bytes) + " bytes of certificates");
        const int error = done.error().value;
        const bool again =
            error == EINTR || error == EAGAIN || error == EBUSY || outer.vmm_error() == kVmmBusy;
        if (!again) return fail(device_error(done.error(), outer.exit_info_2));
        if (waiting_.now() + kRetryPause > deadline)
            return fail(evidence_deadline, "/dev/sev-guest: " + describe(done.error()));
        waiting_.sleep(kRetryPause);
    }
}

Result<FreshEvidence> SevGuestDevice::evidence(const ratls::ReportData& report_data,
                                               Deadline deadline) {
    Bytes out = EOS_TRY(request(report_data, deadline));
    // A host without certificates leaves the buffer as it was: no table then.
    if (all_zero(ByteView(out).subspan(snp_arch::kReportBytes))) out.resize(snp_arch::kReportBytes);
    return check_answer(TeeKind::kSevSnp, out, report_data);
}

}  // namespace eos::cvm
