// SPDX-License-Identifier: AGPL-3.0-only
// What Intel's provisioning service would state about the emulated platform, as JSON.
#pragma once

#include <string>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/time.h"
#include "common/crypto/p256.h"
#include "emulation/sgx_cpu/cpu_identity.h"

namespace eos::emulation::quoting {

/// From when to when a statement holds.
struct Window {
    UnixTime from;
    UnixTime to;
};

/// One TCB level, by its distance from what this CPU has.
struct TcbStep {
    int above_cpu = 0;  ///< added to each component SVN that the CPU has
    std::string status;
    std::vector<std::string> advisories;
};

/// What is stated about this CPU.
struct TcbStatement {
    int evaluation_data_number = 17;
    /// Best first. Normally its security versions are UpToDate, lower ones OutOfDate.
    std::vector<TcbStep> steps{{0, "UpToDate", {}}, {-1, "OutOfDate", {"EMULATED-SA-00001"}}};
    /// TDX: what an UpToDate module needs more than the emulated one's security version.
    std::uint16_t tdx_module_above = 0;
};

/// TCB info, version 3.
/// source: Intel PCS API v4, "Get TCB Info".
std::string tcb_info_json(const sgx_cpu::CpuIdentity& cpu, const Window& window,
                          const TcbStatement& statement = {});

/// QE identity, version 2, of quoting_enclave_identity().
/// source: Intel PCS API v4, "Get SGX QE identity".
std::string qe_identity_json(const Window& window);

/// TCB info for TDX, of the emulated module on this CPU.
std::string tdx_tcb_info_json(const sgx_cpu::CpuIdentity& cpu, const Window& window,
                              const TcbStatement& statement = {});

/// The identity of td_quoting_enclave_identity().
/// source: Intel PCS API v4, "Get TDX QE identity".
std::string td_qe_identity_json(const Window& window);

/// What Intel states, as the exact bytes that are signed.
struct Statements {
    std::string tcb_info;
    std::string qe_identity;
};

/// The pieces of collateral.json that are no JSON of their own.
struct CollateralParts {
    Bytes root_ca_crl;  ///< DER
    Bytes pck_crl;      ///< DER
    std::string pck_crl_issuer_chain_pem;
    std::string tcb_signing_chain_pem;
};

/// collateral.json: the statements, signed by the TCB signing key over their exact bytes, with
/// chains and CRLs. source: docs/formats/emulated-platform.md.
std::string collateral_json(const Statements& statements, const CollateralParts& parts,
                            const crypto::P256PrivateKey& tcb_signing_key);

}  // namespace eos::emulation::quoting
