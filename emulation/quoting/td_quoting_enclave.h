// SPDX-License-Identifier: AGPL-3.0-only
// Intel's TD quoting enclave in software: quotes for trust domains of an emulated TDX platform. The
// platform is the one that an emulated CPU and its provisioning PKI make.
#pragma once

#include <string>

#include "common/attestation/evidence/tdx_report.h"
#include "emulation/quoting/quoting_enclave.h"

namespace eos::emulation::quoting {

inline constexpr Code not_an_emulated_td{
    "emulation/quoting", "not_an_emulated_td",
    "the emulated platform quotes debug trust domains on its own TDX module only"};

inline constexpr std::uint16_t kTdQeIsvSvn = 6;
inline constexpr std::uint16_t kTdQeIsvProdId = 2;

/// Generation and security version of the emulated TDX module, as TCB info names them.
inline constexpr std::uint8_t kTdxModuleMajor = 1;
inline constexpr std::uint8_t kTdxModuleMinor = 5;

/// Who the TD quoting enclave is: the same on every emulated platform.
sgx_cpu::EnclaveIdentity td_quoting_enclave_identity();

/// TEE_TCB_SVN of the emulated module.
attestation::evidence::TeeTcbSvn emulated_tee_tcb_svn();

/// A trust domain on the emulated module, in debug mode as everything that is emulated. Whoever
/// emulates a TD fills in measurements and report data.
attestation::evidence::TdReport emulated_td_report(attestation::evidence::TdReportKind kind);

/// threads: const calls from any thread.
class TdQuotingEnclave {
  public:
    /// in:      keys: certified for td_quoting_enclave_identity() by the leaf of pck_chain_pem.
    /// errors:  inconsistent_keys, and those of parsing the chain.
    [[nodiscard]] static Result<TdQuotingEnclave> create(QuotingKeys keys,
                                                         std::string pck_chain_pem);

    /// A quote of version 4 for a TDX 1.0 report, else of version 5.
    /// errors:  not_an_emulated_td (no DEBUG, another module, signer or security version).
    /// source:  Intel TDX DCAP Quoting Library API, appendix A.3.
    [[nodiscard]] Result<Bytes> quote(const attestation::evidence::TdReport& report) const;

  private:
    TdQuotingEnclave(QuotingKeys keys, std::string pck_chain_pem)
        : keys_(std::move(keys)), pck_chain_pem_(std::move(pck_chain_pem)) {}

    Bytes auth_data(ByteView signed_part) const;

    QuotingKeys keys_;
    std::string pck_chain_pem_;
};

}  // namespace eos::emulation::quoting
