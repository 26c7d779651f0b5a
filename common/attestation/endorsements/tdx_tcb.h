// SPDX-License-Identifier: AGPL-3.0-only
// How a TDX platform is measured against TCB info: platform level, TDX module, and a module that
// was updated while the TD ran.
#pragma once

#include "common/attestation/endorsements/tcb.h"

namespace eos::attestation::endorsements {

/// The SVNs of one platform: of its PCK certificate, and of the TDX module as a TD report has them
/// (tee_tcb_svn or tee_tcb_svn_2): [0] the module's minor, [1] its major version.
struct TdxPlatformTcb {
    PlatformTcb platform;
    TcbComponents tee_tcb_svn{};

    std::uint8_t module_minor() const { return std::to_integer<std::uint8_t>(tee_tcb_svn[0]); }
    std::uint8_t module_major() const { return std::to_integer<std::uint8_t>(tee_tcb_svn[1]); }
    /// The first TDX component that levels are compared in: from the second module generation on
    /// the first two describe the module, which has levels of its own.
    std::size_t first_component() const { return module_major() == 0 ? 0 : 2; }
};

/// The first level, in the given order, that the platform reaches in every SGX component, in
/// pce_svn and in every TDX component that counts; nullptr if there is none. Borrowed.
/// in:      TCB info for TDX; one for SGX has no level for a TDX platform.
/// source:  docs/formats/verification.md 3.5; Intel's quote verification library.
const TcbLevel* match(const TcbInfo& info, const TdxPlatformTcb& platform);

/// "TDX_01".
std::string tdx_module_id(std::uint8_t major);

/// The identity of this generation of the module, or nullptr. Borrowed.
const TdxModuleIdentity* find_tdx_module(const TcbInfo& info, std::uint8_t major);

/// The first level that the module reaches, or nullptr. Borrowed.
const EnclaveLevel* match(const TdxModuleIdentity& identity, std::uint8_t minor);

/// The merged statuses of a TD's launch and of what runs now.
struct LaunchAndCurrent {
    TcbStatus launch;
    TcbStatus current;
};
/// The launch's status, except that a launch on a module that was out of date, and has been updated
/// since, gives td_relaunch_advised(_configuration_needed).
/// source:  docs/formats/verification.md 3.7.
TcbStatus after_relaunch_rule(const LaunchAndCurrent& statuses);

}  // namespace eos::attestation::endorsements
