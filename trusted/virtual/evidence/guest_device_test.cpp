// SPDX-License-Identifier: AGPL-3.0-only
// Stand-ins for ioctl() that answer as the drivers do. They are written from the kernel's headers,
// not from silicon.
#include "trusted/virtual/evidence/guest_device.h"

#include <gtest/gtest.h>
#include <sys/ioctl.h>

#include <cstring>

#include "common/attestation/evidence/snp_evidence.h"
#include "common/base/codec.h"
#include "trusted/virtual/evidence/fake_tsm_test.h"

namespace eos::cvm {
namespace {

using namespace std::chrono_literals;
using testing::FakeTime;
using testing::some_report_data;

struct GuestRequest {
    std::uint8_t version;
    std::uint64_t request, response, exit_info;
};
struct ExtendedRequest {
    std::uint8_t user_data[64];
    std::uint32_t vmpl;
    std::uint8_t reserved[28];
    std::uint64_t certificates;
    std::uint32_t certificates_bytes;
};
static_assert(_IOWR('S', 0x2, GuestRequest) == kSnpGetExtendedReport);
static_assert(_IOWR('S', 0x0, GuestRequest) == kSnpGetReport);
static_assert(_IOWR('T', 1, std::uint8_t[64 + 1024]) == kTdxGetReport0);

void* pointer(std::uint64_t address) {
    return reinterpret_cast<void*>(static_cast<std::uintptr_t>(address));
}

/// The driver, its firmware and the host.
struct SevGuest {
    std::uint32_t status = 0;
    std::uint32_t size = snp_arch::kReportBytes;
    Bytes table = testing::snp_table();
    std::vector<int> errors;
    std::uint64_t exit_info = 0;
    bool other_report = false;
    FakeTime time;

    DeviceCall call() {
        return [this](unsigned long request, void* argument) -> SystemResult<void> {
            EXPECT_EQ(request, kSnpGetExtendedReport);
            auto* outer = static_cast<GuestRequest*>(argument);
            EXPECT_NE(outer->version, 0);
            if (!errors.empty()) {
                const int error = errors.front();
                errors.erase(errors.begin());
                outer->exit_info = exit_info;
                return std::unexpected(Errno{error});
            }
            auto* inner = static_cast<ExtendedRequest*>(pointer(outer->request));
            EXPECT_EQ(inner->vmpl, 0u);
            Bytes data = to_bytes(std::as_bytes(std::span(inner->user_data)));
            if (other_report) data[0] ^= std::byte{1};
            Writer response;
            response.u32le(status).u32le(size).zeros(24).bytes(testing::snp_report(data));
            std::memcpy(pointer(outer->response), response.view().data(), response.view().size());
            EXPECT_LE(table.size(), inner->certificates_bytes);
            if (!table.empty())
                std::memcpy(pointer(inner->certificates), table.data(), table.size());
            return {};
        };
    }
    Result<FreshEvidence> ask() {
        return SevGuestDevice(call(), time.waiting()).evidence(some_report_data(), time.in(200ms));
    }
};

TEST(SevGuestDevice, gives_the_report_and_its_chain) {
    SevGuest guest;
    const Result<FreshEvidence> evidence = guest.ask();
    ASSERT_TRUE(evidence) << evidence.error().message();
    const auto parsed = attestation::evidence::parse_snp_evidence(evidence->bytes);
    ASSERT_TRUE(parsed);
    EXPECT_EQ(parsed->table.size(), 3u);
    EXPECT_TRUE(equal(parsed->report.report_data, some_report_data().bytes()));
}

TEST(SevGuestDevice, the_host_may_have_no_certificates) {
    SevGuest guest;
    guest.table.clear();
    EXPECT_EQ(guest.ask().value().bytes.size(), snp_arch::kReportBytes);
}

TEST(SevGuestDevice, the_report_must_be_the_one_that_was_asked_for) {
    SevGuest guest;
    guest.other_report = true;
    EXPECT_EQ(guest.ask().error().code(), wrong_report);
}

TEST(SevGuestDevice, the_firmware_may_refuse) {
    SevGuest guest;
    guest.status = 0x16;
    EXPECT_EQ(guest.ask().error().code(), malformed_response);
    guest.status = 0;
    for (std::uint32_t size : {0u, 1183u, 1185u, 0xffffffffu}) {
        guest.size = size;
        EXPECT_EQ(guest.ask().error().code(), malformed_response);
    }
}

TEST(SevGuestDevice, waits_while_the_host_is_busy) {
    SevGuest guest;
    guest.errors = {EAGAIN, EINTR, EBUSY};
    EXPECT_TRUE(guest.ask());
    EXPECT_EQ(guest.time.sleeps, 3);
    guest.errors = {EIO};
    guest.exit_info = std::uint64_t{2} << 32;
    EXPECT_TRUE(guest.ask()) << "the host says busy";
    guest.errors.assign(1000, EAGAIN);
    EXPECT_EQ(guest.ask().error().code(), evidence_deadline);
}

TEST(SevGuestDevice, other_failures_are_said) {
    SevGuest guest;
    guest.errors = {EIO};
    EXPECT_EQ(guest.ask().error().code(), kernel_refused);
    guest.errors = {EACCES};
    EXPECT_EQ(guest.ask().error().code(), not_permitted);
    guest.errors = {ENOTTY};
    EXPECT_EQ(guest.ask().error().code(), firmware_key_gone);
    guest.errors = {EIO};
    guest.exit_info = std::uint64_t{1} << 32;
    EXPECT_EQ(guest.ask().error().code(), answer_too_large);
}

/// A TDREPORT with a recognisable RTMR3.
Bytes td_report() {
    Writer out;
    out.u8(0x81).zeros(863);
    for (int i = 0; i < 48; ++i) out.u8(static_cast<std::uint8_t>(i));
    out.zeros(1024 - 864 - 48);
    return std::move(out).take();
}

TEST(TdReport, rtmr3_lies_at_864) {
    const Digest48 rtmr3 = rtmr3_of_td_report(td_report()).value();
    EXPECT_EQ(rtmr3[0], std::byte{0});
    EXPECT_EQ(rtmr3[47], std::byte{47});
}

TEST(TdReport, other_bytes_are_refused) {
    Bytes sgx = td_report();
    sgx[0] = std::byte{0};
    EXPECT_EQ(rtmr3_of_td_report(sgx).error().code(), malformed_response);
    EXPECT_EQ(rtmr3_of_td_report(ByteView(sgx).first(1023)).error().code(), malformed_response);
}

TEST(TdReport, the_device_reads_and_does_not_extend) {
    TdReportRegister rtmr3([](unsigned long request, void* argument) -> SystemResult<void> {
        EXPECT_EQ(request, kTdxGetReport0);
        const Bytes report = td_report();
        std::memcpy(static_cast<std::byte*>(argument) + 64, report.data(), report.size());
        return {};
    });
    EXPECT_EQ(rtmr3.read().value()[1], std::byte{1});
    EXPECT_EQ(rtmr3.extend({}).error().code(), register_unavailable);
    EXPECT_EQ(rtmr3.expect_extendable().error().code(), register_unavailable);
    TdReportRegister absent(
        [](unsigned long, void*) -> SystemResult<void> { return std::unexpected(Errno{ENOTTY}); });
    EXPECT_EQ(absent.read().error().code(), register_unavailable);
}

TEST(OpenDevice, gives_the_errno) {
    const SystemResult<DeviceCall> device = open_device("/nonexistent/tdx_guest");
    ASSERT_FALSE(device);
    EXPECT_EQ(device.error().value, ENOENT);
}

}  // namespace
}  // namespace eos::cvm
