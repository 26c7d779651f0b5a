// SPDX-License-Identifier: AGPL-3.0-only
// The checks of Intel evidence, in groups. For this folder only.
#pragma once

#include <optional>
#include <vector>

#include "common/attestation/endorsements/tdx_tcb.h"
#include "common/attestation/verify/intel_collateral.h"
#include "common/attestation/verify/verify.h"

namespace eos::attestation::verify {

/// What all groups are given.
struct Inputs {
    const IntelCollateral& collateral;
    std::uint32_t seen_evaluation_data_number;
    const Roots& roots;
    Instant& at;
    Signatures& signatures;
    std::span<const x509::KnownSignature> known_signatures;
    const evidence::TdReport* td = nullptr;  ///< null for SGX

    endorsements::IntelTee tee() const {
        return td == nullptr ? endorsements::IntelTee::sgx : endorsements::IntelTee::tdx;
    }
};

/// The levels that one state of the platform reaches. Borrowed from the collateral.
struct Levels {
    const endorsements::TcbLevel* platform = nullptr;
    const endorsements::EnclaveLevel* tdx_module = nullptr;  ///< from its second generation on
};

/// What one group finds out and others need. Nothing in it is trusted unless its check passed.
struct Findings {
    std::optional<PckChain> chain;
    std::optional<RootIdentity> root;
    std::optional<endorsements::PckExtension> platform;
    std::vector<x509::Certificate> signers;  ///< of TCB info and QE identity
    // Borrowed from the collateral; null: not given, or cannot be read.
    const endorsements::TcbInfo* tcb_info = nullptr;
    const endorsements::QeIdentity* qe_identity = nullptr;
    Levels launch;   ///< SGX: the only ones
    Levels current;  ///< TDX 1.5: with the module that runs now
    const endorsements::EnclaveLevel* qe_level = nullptr;  ///< in qe_identity
    std::vector<CollateralDate> collateral;                ///< statements and lists in use
};

/// "pck": certificates, chain, validity, root, extension.
Check pck_checks(const Result<PckChain>& chain, const Inputs& inputs, Findings& findings);

/// "tcb": TCB info, its signer, the platform's level at launch and now.
Check tcb_checks(const Inputs& inputs, Findings& findings);

/// "tdx_module": who signed the module beneath the TD, its level at launch and now. After
/// tcb_checks, for TDX only.
Check tdx_module_checks(const Inputs& inputs, Findings& findings);

/// "qe": identity of the quoting enclave, its signer, its level.
Check qe_identity_checks(const sgx_arch::ReportBody& qe_report, const Inputs& inputs,
                         Findings& findings);

/// "crl": both revocation lists, for all certificates found so far.
Check crl_checks(const Inputs& inputs, Findings& findings);

/// The security versions in which a platform is behind a level; empty if in none.
std::string shortfall(const endorsements::PlatformTcb& platform,
                      const endorsements::TcbLevel& level);
std::string shortfall(const endorsements::TdxPlatformTcb& platform,
                      const endorsements::TcbLevel& level);

/// The merged view, if there is a platform level. `isv_svn` is the quoting enclave's.
std::optional<TcbResult> tcb_result(const Inputs& inputs, const Findings& findings,
                                    std::uint16_t isv_svn);

/// The words for a level: "OutOfDate since 2024-03-13".
template <typename Level>
std::string describe_level(const Level& level) {
    return std::string(tcb_status_name(level.status)) + " since " +
           rfc3339(level.date).substr(0, 10);
}

}  // namespace eos::attestation::verify
