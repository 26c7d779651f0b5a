// SPDX-License-Identifier: AGPL-3.0-only
// An emulated Intel: a provisioning PKI of its own for one emulated CPU.
#pragma once

#include <string>

#include "common/base/result.h"
#include "common/base/time.h"
#include "common/crypto/p256.h"
#include "emulation/quoting/quoting_enclave.h"
#include "emulation/sgx_cpu/cpu.h"

namespace eos::emulation::quoting {

/// How long certificates, CRLs and collateral hold. Long, because there is no service to renew
/// them.
inline constexpr std::int64_t kValiditySeconds = 10 * 365 * kSecondsPerDay;

/// The keys of the emulated Intel, to state other things about the platform later (drill.h). The
/// root's key revokes; it certifies nothing any more.
struct IssuingKeys {
    crypto::P256PrivateKey root;
    crypto::P256PrivateKey platform_ca;
    crypto::P256PrivateKey tcb_signing;
};

/// Everything that provisioning gives to a platform and to those who verify it.
struct Provisioned {
    QuotingKeys keys;
    QuotingKeys td_keys;        ///< of the TD quoting enclave
    std::string pck_chain_pem;  ///< PCK leaf, platform CA, root: goes into every quote
    std::string root_pem;       ///< the test root, with the critical marker extension
    std::string collateral_json;
    std::string tdx_collateral_json;  ///< the same for TDX evidence of this platform
    IssuingKeys issuing;
};

/// Makes a root, a platform CA, a PCK certificate and two attestation keys for this CPU (SGX and
/// TDX), a TCB signing certificate, CRLs, TCB infos and identities of both quoting enclaves. The
/// private key of the PCK ends with the call: no other attestation key can be certified.
/// errors: those of the certificate builder.
[[nodiscard]] Result<Provisioned> provision(const sgx_cpu::Cpu& cpu, UnixTime now);

}  // namespace eos::emulation::quoting
