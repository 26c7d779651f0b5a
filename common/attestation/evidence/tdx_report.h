// SPDX-License-Identifier: AGPL-3.0-only
// What the TDX module says about a trust domain: the body of a TDX quote, as a value with an
// explicit codec.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/sgx_arch/report.h"

namespace eos::attestation::evidence {

inline constexpr Code wrong_td_report_size{"common/attestation/evidence", "wrong_td_report_size",
                                           "the TD report does not have the size of its kind"};

/// The kinds of TD report; the values are the body types of quote version 5.
enum class TdReportKind : std::uint16_t { tdx10 = 2, tdx15 = 3, tdx15_extended = 4 };

inline constexpr std::size_t kTd10ReportBytes = 584;
inline constexpr std::size_t kTd15ReportBytes = 648;
inline constexpr std::size_t kTd15ExtendedReportBytes = 885;

/// "TDX 1.0", "TDX 1.5", "TDX 1.5 extended".
std::string_view td_report_kind_name(TdReportKind kind);
std::size_t td_report_size_bytes(TdReportKind kind);

using TdMeasurement = ByteArray<48>;
/// Security versions of the TDX module and its loader: [0] is the module's minor, [1] its major
/// version; the rest is compared with the TDX components of TCB info.
using TeeTcbSvn = ByteArray<16>;

/// TD ATTRIBUTES. source: Intel TDX module ABI, "ATTRIBUTES".
inline constexpr std::uint64_t kTdDebug = 1u << 0;
inline constexpr std::uint64_t kTdUntrusted = 0xff;  ///< TUD: any bit opens the TD to its host
inline constexpr std::uint64_t kTdSeptVeDisable = 1u << 28;
inline constexpr std::uint64_t kTdMigratable = 1u << 29;
inline constexpr std::uint64_t kTdPks = 1u << 30;
inline constexpr std::uint64_t kTdKeyLocker = std::uint64_t{1} << 31;
inline constexpr std::uint64_t kTdPerfmon = std::uint64_t{1} << 63;

/// What a TDX 1.5 module adds.
struct Td15Fields {
    TeeTcbSvn tee_tcb_svn_2{};      ///< of the module that runs now; the other is the launch's
    TdMeasurement mr_service_td{};  ///< of bound service TDs; zero: none

    friend bool operator==(const Td15Fields&, const Td15Fields&) = default;
};

/// What the extended report of a TDX 1.5 module adds.
struct Td15ExtendedFields {
    std::uint8_t vm_id = 0;  ///< 0: the TD itself; else a VM that the TD runs
    ByteArray<32> td_id{};
    TdMeasurement device_info{};
    TdMeasurement initial_service_td_hash{};
    ByteArray<8> initial_service_td_attributes{};
    ByteArray<16> initial_cpu_svn{};
    TeeTcbSvn initial_tee_tcb_svn{};
    ByteArray<12> initial_fmspc{};
    TdMeasurement current_service_td_hash{};
    ByteArray<8> current_service_td_attributes{};

    friend bool operator==(const Td15ExtendedFields&, const Td15ExtendedFields&) = default;
};

/// A TD report: who the trust domain is and what runs beneath it.
struct TdReport {
    TeeTcbSvn tee_tcb_svn{};
    TdMeasurement mr_seam{};
    TdMeasurement mr_signer_seam{};
    ByteArray<8> seam_attributes{};
    std::uint64_t td_attributes = 0;
    std::uint64_t xfam = 0;
    TdMeasurement mr_td{};
    TdMeasurement mr_config_id{};
    TdMeasurement mr_owner{};
    TdMeasurement mr_owner_config{};
    std::array<TdMeasurement, 4> rtmr{};
    sgx_arch::ReportData report_data{};
    std::optional<Td15Fields> td15;
    std::optional<Td15ExtendedFields> extended;  ///< never without td15

    TdReportKind kind() const {
        if (extended.has_value()) return TdReportKind::tdx15_extended;
        return td15.has_value() ? TdReportKind::tdx15 : TdReportKind::tdx10;
    }
    bool debug() const { return (td_attributes & kTdDebug) != 0; }

    friend bool operator==(const TdReport&, const TdReport&) = default;
};

/// in:      exactly the bytes of one report of this kind; not retained.
/// returns: every field, copied; no byte is left over.
/// errors:  wrong_td_report_size.
/// source:  Intel TDX DCAP Quoting Library API, A.3.2 (1.0, 1.5).
[[nodiscard]] Result<TdReport> parse_td_report(ByteView in, TdReportKind kind);

/// The bytes of a report, of the size of its kind; parse_td_report() of them gives it again.
Bytes encode(const TdReport& report);

}  // namespace eos::attestation::evidence
