// SPDX-License-Identifier: AGPL-3.0-only
// EREPORT and EGETKEY in software. The policy semantics are the SDM's; the key derivation is our
// own, since the hardware's is secret. Protects nothing: whoever reads the identity file has every
// key.
#pragma once

#include <cstdint>
#include <filesystem>

#include "common/base/result.h"
#include "common/sgx_arch/key_request.h"
#include "common/sgx_arch/report.h"
#include "emulation/sgx_cpu/cpu_identity.h"

namespace eos::emulation::sgx_cpu {

inline constexpr Code not_an_emulated_enclave{
    "emulation/sgx_cpu", "not_an_emulated_enclave",
    "the emulated CPU runs initialised debug enclaves only (ATTRIBUTES.INIT and DEBUG)"};
inline constexpr Code general_protection{"emulation/sgx_cpu", "general_protection",
                                         "the instruction faults with #GP"};
inline constexpr Code report_mac_mismatch{
    "emulation/sgx_cpu", "report_mac_mismatch",
    "the REPORT was not made by this CPU for this enclave, or was altered"};
inline constexpr Code invalid_attribute{"emulation/sgx_cpu", "invalid_attribute",
                                        "EGETKEY: SGX_INVALID_ATTRIBUTE (2)"};
inline constexpr Code invalid_cpu_svn{"emulation/sgx_cpu", "invalid_cpu_svn",
                                      "EGETKEY: SGX_INVALID_CPUSVN (32)"};
inline constexpr Code invalid_isv_svn{"emulation/sgx_cpu", "invalid_isv_svn",
                                      "EGETKEY: SGX_INVALID_ISVSVN (64)"};
inline constexpr Code invalid_key_name{"emulation/sgx_cpu", "invalid_key_name",
                                       "EGETKEY: SGX_INVALID_KEYNAME (256)"};

/// What the CPU knows about the enclave that executes the instruction: its SECS.
struct EnclaveIdentity {
    sgx_arch::Measurement mr_enclave{};
    sgx_arch::Measurement mr_signer{};
    sgx_arch::Attributes attributes{
        .flags = sgx_arch::kAttributeInit | sgx_arch::kAttributeDebug | sgx_arch::kAttributeMode64,
        .xfrm = sgx_arch::kXfrmLegacy};
    std::uint32_t misc_select = 0;
    std::uint16_t isv_prod_id = 0;
    std::uint16_t isv_svn = 0;
    // Used by enclaves with ATTRIBUTES.KSS only.
    std::uint16_t config_svn = 0;
    ByteArray<64> config_id{};
    ByteArray<16> isv_family_id{};
    ByteArray<16> isv_ext_prod_id{};
};

/// One emulated CPU. Every object made from one identity file is the same CPU.
/// threads: const calls from any thread.
class Cpu {
  public:
    /// in:      a file that `sgx-quoting-emulator init` made.
    /// errors:  those of load_identity.
    [[nodiscard]] static Result<Cpu> load(const std::filesystem::path& path);

    explicit Cpu(CpuIdentity identity);

    /// The root secret stays in here; the rest is public.
    const CpuIdentity& identity() const { return identity_; }

    /// EREPORT.
    /// returns: a REPORT that only `target`, and this CPU, can check.
    /// errors:  not_an_emulated_enclave, general_protection (target without ATTRIBUTES.INIT).
    /// source:  SDM 3D, "EREPORT".
    [[nodiscard]] Result<sgx_arch::Report> report(const EnclaveIdentity& enclave,
                                                  const sgx_arch::TargetInfo& target,
                                                  const sgx_arch::ReportData& report_data) const;

    /// EGETKEY, key names REPORT and SEAL. The keys of the architectural enclaves (EINITTOKEN,
    /// PROVISION, PROVISION_SEAL) are given to none.
    /// errors:  not_an_emulated_enclave, general_protection (reserved KEYPOLICY bits; bits or
    ///          CONFIGSVN of KSS without KSS), invalid_attribute, invalid_cpu_svn, invalid_isv_svn,
    ///          invalid_key_name.
    /// source:  SDM 3D, "EGETKEY".
    [[nodiscard]] Result<sgx_arch::Key128> get_key(const EnclaveIdentity& enclave,
                                                   const sgx_arch::KeyRequest& request) const;

  private:
    sgx_arch::Key128 report_key(const sgx_arch::TargetInfo& target,
                                const sgx_arch::KeyId& key_id) const;
    Result<sgx_arch::Key128> seal_key(const EnclaveIdentity& enclave,
                                      const sgx_arch::KeyRequest& request) const;

    CpuIdentity identity_;
    sgx_arch::KeyId report_key_id_;  ///< CR_REPORT_KEYID: new at each start, as at a reset
};

/// The TARGETINFO that names `enclave`.
sgx_arch::TargetInfo target_of(const EnclaveIdentity& enclave);

/// What EGETKEY leaves in EAX for one of its errors; 0 for an error that is a fault instead.
std::uint32_t egetkey_status(const Error& error);

/// Checks a REPORT as its target does: EGETKEY(REPORT) with the report's KEYID, then the MAC.
/// in:      a whole REPORT as it came, reserved bytes included; not retained.
/// returns: its contents.
/// errors:  wrong_size, report_mac_mismatch, and those of get_key.
[[nodiscard]] Result<sgx_arch::Report> verify_report(const Cpu& cpu, const EnclaveIdentity& target,
                                                     ByteView report);

}  // namespace eos::emulation::sgx_cpu
