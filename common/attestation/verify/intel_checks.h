// SPDX-License-Identifier: AGPL-3.0-only
// The checks of Intel evidence, in groups. For this folder only.
#pragma once

#include <optional>
#include <vector>

#include "common/attestation/verify/pck_chain.h"
#include "common/attestation/verify/verify.h"

namespace eos::attestation::verify {

/// What all groups are given.
struct Inputs {
    const endorsements::Endorsements& endorsements;
    const Roots& roots;
    UnixTime time;
};

/// What one group finds out and others need. Nothing in it is trusted unless its check passed.
struct Findings {
    std::optional<PckChain> chain;
    std::optional<RootIdentity> root;
    std::optional<endorsements::PckExtension> platform;
    std::vector<x509::Certificate> signers;  ///< of TCB info and QE identity
    std::optional<endorsements::TcbInfo> tcb_info;
    const endorsements::TcbLevel* level = nullptr;  ///< in tcb_info
    std::optional<endorsements::QeIdentity> qe_identity;
    const endorsements::EnclaveLevel* qe_level = nullptr;  ///< in qe_identity
};

/// "pck": certificates, chain, validity, root, extension.
Check pck_checks(std::string_view pem, const Inputs& inputs, Findings& findings);

/// "tcb": TCB info, its signer, the platform's level.
Check tcb_checks(const Inputs& inputs, Findings& findings);

/// "qe": identity of the quoting enclave, its signer, its level.
Check qe_identity_checks(const sgx_arch::ReportBody& qe_report, const Inputs& inputs,
                         Findings& findings);

/// "crl": both revocation lists, for all certificates found so far.
Check crl_checks(const Inputs& inputs, const Findings& findings);

/// The merged view, if there is a platform level.
std::optional<TcbResult> tcb_result(const Findings& findings);

}  // namespace eos::attestation::verify
