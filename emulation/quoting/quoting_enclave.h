// SPDX-License-Identifier: AGPL-3.0-only
// Intel's ECDSA quoting enclave in software: turns a REPORT of this emulated CPU into a quote.
#pragma once

#include <string>
#include <string_view>

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/crypto/hash.h"
#include "common/crypto/p256.h"
#include "common/sgx_arch/report.h"
#include "emulation/sgx_cpu/cpu.h"

namespace eos::emulation::quoting {

inline constexpr Code inconsistent_keys{
    "emulation/quoting", "inconsistent_keys",
    "the quoting enclave's keys and its certificates are not of the same platform"};

inline constexpr std::uint16_t kQeIsvSvn = 8;
inline constexpr std::uint16_t kQeIsvProdId = 1;
inline constexpr std::size_t kQeAuthDataBytes = 32;

/// Who the quoting enclave is: the same on every emulated platform, and what QE identity names. It
/// is a debug enclave, as everything that this CPU runs.
sgx_cpu::EnclaveIdentity quoting_enclave_identity();

/// An attestation key, and how the platform's PCK vouches for it.
struct QuotingKeys {
    crypto::P256PrivateKey attestation_key;
    ByteArray<kQeAuthDataBytes> auth_data{};
    ByteArray<sgx_arch::kReportBodyBytes> qe_report{};  ///< binds attestation key and auth_data
    ByteArray<64> qe_report_signature{};                ///< r ‖ s, by the PCK
};

/// What qe_report carries: SHA-256(attestation key ‖ auth data) ‖ 32 zero bytes.
sgx_arch::ReportData attestation_key_binding(const crypto::P256PublicKey& attestation_key,
                                             ByteView auth_data);

/// Whether qe_report binds the attestation key, and the chain's leaf signed it.
/// errors:  inconsistent_keys, and those of parsing the chain.
[[nodiscard]] Result<void> check_consistent(const QuotingKeys& keys,
                                            std::string_view pck_chain_pem);

/// threads: const calls from any thread.
class QuotingEnclave {
  public:
    /// in:      cpu: what it runs on; pck_chain_pem: leaf, platform CA, root; the leaf's key signed
    ///          keys.qe_report.
    /// errors:  inconsistent_keys, and those of parsing the chain.
    [[nodiscard]] static Result<QuotingEnclave> create(sgx_cpu::Cpu cpu, QuotingKeys keys,
                                                       std::string pck_chain_pem);

    const sgx_cpu::Cpu& cpu() const { return cpu_; }

    /// For whom a REPORT must be made to be quoted.
    sgx_arch::TargetInfo target_info() const;

    /// SHA-256 of the attestation key: how aesmd names it.
    crypto::Digest32 public_key_id() const;

    /// Of every quote of this platform.
    std::size_t quote_size_bytes() const;

    /// Quote version 3 over the REPORT's body.
    /// in:      a whole REPORT as it came; not retained.
    /// errors:  those of sgx_cpu::verify_report: only what this CPU made for this enclave is
    /// quoted. source:  Intel SGX ECDSA QuoteLibReference DCAP API, appendix A.4.
    [[nodiscard]] Result<Bytes> quote(ByteView report) const;

  private:
    QuotingEnclave(sgx_cpu::Cpu cpu, QuotingKeys keys, std::string pck_chain_pem)
        : cpu_(std::move(cpu)), keys_(std::move(keys)), pck_chain_pem_(std::move(pck_chain_pem)) {}

    Bytes signed_part(ByteView report_body) const;
    Bytes auth_data(ByteView signed_part) const;

    sgx_cpu::Cpu cpu_;
    QuotingKeys keys_;
    std::string pck_chain_pem_;
};

}  // namespace eos::emulation::quoting
