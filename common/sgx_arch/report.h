// SPDX-License-Identifier: AGPL-3.0-only
// The structures of EREPORT, as values with an explicit codec: memory that somebody else filled is
// never reinterpreted.
#pragma once

#include <cstdint>

#include "common/base/bytes.h"
#include "common/base/result.h"

namespace eos::sgx_arch {

inline constexpr Code wrong_size{"common/sgx_arch", "wrong_size",
                                 "the structure does not have its architectural size"};
inline constexpr Code reserved_not_zero{"common/sgx_arch", "reserved_not_zero",
                                        "a reserved field is not zero"};

inline constexpr std::size_t kReportBodyBytes = 384;
inline constexpr std::size_t kReportBytes = 432;
inline constexpr std::size_t kTargetInfoBytes = 512;
inline constexpr std::size_t kReportDataBytes = 64;

using CpuSvn = ByteArray<16>;
using Measurement = ByteArray<32>;
using KeyId = ByteArray<32>;
using ReportData = ByteArray<kReportDataBytes>;
using Mac = ByteArray<16>;

/// ATTRIBUTES.FLAGS. source: SDM 3D, "ATTRIBUTES".
inline constexpr std::uint64_t kAttributeInit = 1u << 0;
inline constexpr std::uint64_t kAttributeDebug = 1u << 1;
inline constexpr std::uint64_t kAttributeMode64 = 1u << 2;
inline constexpr std::uint64_t kAttributeProvisionKey = 1u << 4;
inline constexpr std::uint64_t kAttributeEinitTokenKey = 1u << 5;
inline constexpr std::uint64_t kAttributeCet = 1u << 6;
inline constexpr std::uint64_t kAttributeKss = 1u << 7;
inline constexpr std::uint64_t kAttributeAexNotify = 1u << 10;

/// The two XFRM bits that every enclave has: x87 and SSE.
inline constexpr std::uint64_t kXfrmLegacy = 3;

/// MISCSELECT bit 0: the SSA reports the address of #PF and #GP.
inline constexpr std::uint32_t kMiscExinfo = 1u << 0;

/// ATTRIBUTES: what an enclave may do and is; not part of MRENCLAVE.
struct Attributes {
    std::uint64_t flags = 0;
    std::uint64_t xfrm = 0;

    bool debug() const { return (flags & kAttributeDebug) != 0; }

    friend bool operator==(const Attributes&, const Attributes&) = default;
};

/// What the CPU says about an enclave: the first 384 bytes of a REPORT, and the body of a quote.
struct ReportBody {
    CpuSvn cpu_svn{};
    std::uint32_t misc_select = 0;
    std::uint8_t cet_attributes = 0;
    ByteArray<16> isv_ext_prod_id{};
    Attributes attributes;
    Measurement mr_enclave{};
    Measurement mr_signer{};
    ByteArray<64> config_id{};
    std::uint16_t isv_prod_id = 0;
    std::uint16_t isv_svn = 0;
    std::uint16_t config_svn = 0;
    ByteArray<16> isv_family_id{};
    ReportData report_data{};

    friend bool operator==(const ReportBody&, const ReportBody&) = default;
};

/// REPORT: a body that the CPU authenticated for one target enclave on the same machine.
struct Report {
    ReportBody body;
    KeyId key_id{};
    Mac mac{};  ///< AES-128-CMAC of the encoded body under the target's report key

    friend bool operator==(const Report&, const Report&) = default;
};

/// TARGETINFO: for whom EREPORT makes a REPORT.
struct TargetInfo {
    Measurement mr_enclave{};
    Attributes attributes;
    std::uint8_t cet_attributes = 0;
    std::uint16_t config_svn = 0;
    std::uint32_t misc_select = 0;
    ByteArray<64> config_id{};

    friend bool operator==(const TargetInfo&, const TargetInfo&) = default;
};

/// in:      exactly 384 bytes; not retained.
/// returns: every field, copied. Reserved bytes are not looked at, because a later CPU may give
/// them
///          a meaning: whoever authenticates a body does so over the bytes, never over a
///          re-encoding.
/// errors:  wrong_size.
/// source:  SDM 3D, "REPORT".
[[nodiscard]] Result<ReportBody> parse_report_body(ByteView in);

/// The 384 bytes; reserved bytes are zero.
ByteArray<kReportBodyBytes> encode(const ReportBody& body);

/// in:      exactly 432 bytes; not retained.
/// errors:  wrong_size.
[[nodiscard]] Result<Report> parse_report(ByteView in);

/// The 432 bytes; reserved bytes are zero.
ByteArray<kReportBytes> encode(const Report& report);

/// in:      exactly 512 bytes; not retained.
/// errors:  wrong_size, reserved_not_zero (as EREPORT, which faults).
/// source:  SDM 3D, "TARGETINFO".
[[nodiscard]] Result<TargetInfo> parse_target_info(ByteView in);

/// The 512 bytes; reserved bytes are zero.
ByteArray<kTargetInfoBytes> encode(const TargetInfo& target);

/// The TARGETINFO that names the enclave which `body` describes.
TargetInfo target_of(const ReportBody& body);

}  // namespace eos::sgx_arch
