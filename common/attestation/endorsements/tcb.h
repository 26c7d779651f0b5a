// SPDX-License-Identifier: AGPL-3.0-only
// What Intel states about platforms and quoting enclaves: TCB info and enclave identities. Syntax
// and matching; whether Intel really states it is for common/attestation/verify.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/base/time.h"

namespace eos::attestation::endorsements {

inline constexpr Code bad_tcb_info{"common/attestation/endorsements", "bad_tcb_info",
                                   "not a TCB info of version 2 or 3"};
inline constexpr Code bad_identity{"common/attestation/endorsements", "bad_identity",
                                   "not an identity of a quoting enclave of version 2"};

inline constexpr std::size_t kMaxCollateralBytes = 256 * 1024;
inline constexpr std::size_t kMaxTcbLevels = 256;
inline constexpr std::size_t kMaxAdvisories = 128;
inline constexpr std::size_t kMaxTdxModuleIdentities = 16;
inline constexpr std::size_t kTcbComponents = 16;

/// Which of Intel's TEEs a statement is about.
enum class IntelTee { sgx, tdx };

/// "SGX", "TDX".
std::string_view intel_tee_name(IntelTee tee);

/// Intel's verdict on a TCB level, best first except that the order decides nothing. The last two
/// are no level's: they come from comparing a TD's launch with the TDX module that runs now.
enum class TcbStatus {
    up_to_date,
    sw_hardening_needed,
    configuration_needed,
    configuration_and_sw_hardening_needed,
    out_of_date,
    out_of_date_configuration_needed,
    revoked,
    td_relaunch_advised,
    td_relaunch_advised_configuration_needed,
};

/// "UpToDate", as Intel writes it.
std::string_view tcb_status_name(TcbStatus status);
std::optional<TcbStatus> tcb_status_from(std::string_view name);

using Fmspc = ByteArray<6>;
using PceId = ByteArray<2>;
/// The security version numbers of the platform's components, each compared on its own.
using TcbComponents = ByteArray<kTcbComponents>;

/// What a platform must reach, and what Intel thinks of one that does.
struct TcbLevel {
    TcbComponents sgx_components{};
    std::uint16_t pce_svn = 0;
    TcbComponents tdx_components{};  ///< of TCB info for TDX only
    UnixTime date;
    TcbStatus status = TcbStatus::revoked;
    std::vector<std::string> advisories;
};

/// The same for an enclave or a TDX module.
struct EnclaveLevel {
    std::uint16_t isv_svn = 0;
    UnixTime date;
    TcbStatus status = TcbStatus::revoked;
    std::vector<std::string> advisories;
};

/// Who signs TDX modules, and their attributes; in the byte order of a TD report.
struct TdxModule {
    ByteArray<48> mr_signer{};
    ByteArray<8> attributes{};
    ByteArray<8> attributes_mask{};
};

/// One generation of the TDX module: "TDX_01", "TDX_03", ….
struct TdxModuleIdentity {
    std::uint8_t major_svn = 0;
    TdxModule module;
    std::vector<EnclaveLevel> levels;  ///< isv_svn is the module's minor SVN
};

/// TCB info: the levels of one platform model, in Intel's order.
struct TcbInfo {
    std::uint32_t version = 0;
    IntelTee tee = IntelTee::sgx;
    UnixTime issue_date;
    UnixTime next_update;
    Fmspc fmspc{};
    std::optional<PceId> pce_id;  ///< version 2 may lack it, and then fits no platform
    std::uint32_t evaluation_data_number = 0;
    std::vector<TcbLevel> levels;
    TdxModule tdx_module;                                  ///< TDX only
    std::vector<TdxModuleIdentity> tdx_module_identities;  ///< TDX only; of old statements: none
};

/// Parses the inner TCB info object, the exact bytes that Intel signs.
/// errors:  those of json::parse; json::missing_member, wrong_type, out_of_range; bad_tcb_info
///          (another version or TEE, no levels, not 16 components, an unknown status, a bad date,
///          a TDX module identity that is malformed or there twice).
/// source:  Intel PCS API v3 and v4, "TCB info".
/// bound:   kMaxCollateralBytes, kMaxTcbLevels, kMaxTdxModuleIdentities.
[[nodiscard]] Result<TcbInfo> parse_tcb_info(ByteView in);

/// The identity of a quoting enclave. Masks and masked values are in the byte order of a report.
struct QeIdentity {
    IntelTee tee = IntelTee::sgx;  ///< whose quoting enclave: "QE" or "TD_QE"
    UnixTime issue_date;
    UnixTime next_update;
    std::uint32_t evaluation_data_number = 0;
    ByteArray<4> misc_select{};
    ByteArray<4> misc_select_mask{};
    ByteArray<16> attributes{};
    ByteArray<16> attributes_mask{};
    ByteArray<32> mr_signer{};
    std::uint16_t isv_prod_id = 0;
    std::vector<EnclaveLevel> levels;
};

/// Parses the inner enclave identity object, the exact bytes that Intel signs.
/// errors:  as parse_tcb_info, with bad_identity (also: QVE, QAE).
/// source:  Intel PCS API v3 and v4, "enclave identity".
[[nodiscard]] Result<QeIdentity> parse_qe_identity(ByteView in);

/// The SVNs of one platform, from its PCK certificate.
struct PlatformTcb {
    TcbComponents components{};
    std::uint16_t pce_svn = 0;
};

/// The first level, in the given order, that the platform reaches in every SGX component and in
/// pce_svn; nullptr if there is none: such a platform is not to be accepted. Borrowed.
/// in:      TCB info for SGX; one for TDX has no level here, but in tdx_tcb.h.
const TcbLevel* match(const TcbInfo& info, const PlatformTcb& platform);

/// The first level that the enclave reaches, or nullptr. Borrowed.
const EnclaveLevel* match(const QeIdentity& identity, std::uint16_t isv_svn);

/// Status of a platform and of an enclave or TDX module on it, together.
struct PlatformAndEnclave {
    TcbStatus platform;
    TcbStatus enclave;
};
/// errors:  none: an enclave status that Intel does not define for enclaves counts as revoked.
/// source:  Intel SGX DCAP quote verification library, "converge TCB status".
TcbStatus merge(const PlatformAndEnclave& statuses);

}  // namespace eos::attestation::endorsements
