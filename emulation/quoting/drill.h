// SPDX-License-Identifier: AGPL-3.0-only
// What the emulated Intel would state after an event that an operator wants to rehearse.
#pragma once

#include <string>
#include <vector>

#include "common/attestation/endorsements/tcb.h"
#include "common/base/result.h"
#include "common/base/time.h"
#include "emulation/quoting/provisioning.h"
#include "emulation/sgx_cpu/cpu_identity.h"

namespace eos::emulation::quoting {

/// An event, and the platform's collateral as it would be after it.
struct Drill {
    std::string name;  ///< as docs/formats/drill.md lists them
    std::string what;  ///< for people
    std::string collateral_json;
};

/// The platform that is drilled: its CPU, its emulated Intel, and what was issued for it.
struct DrillSubject {
    const sgx_cpu::CpuIdentity& cpu;
    const IssuingKeys& issuing;
    std::string pck_chain_pem;    ///< PCK, platform CA, root
    std::string collateral_json;  ///< as provisioned: names the TCB signing certificate
    attestation::endorsements::IntelTee tee = attestation::endorsements::IntelTee::sgx;
};

/// All drills, the undisturbed state first. Signed by the platform's own emulated Intel, so that
/// the very evidence that the platform gives is judged by them.
/// errors:  those of parsing the chain and the collateral.
[[nodiscard]] Result<std::vector<Drill>> make_drills(const DrillSubject& subject, UnixTime now);

/// The file that `enclavectl rehearse` reads.
/// source: docs/formats/drill.md.
std::string drills_json(const std::vector<Drill>& drills);

}  // namespace eos::emulation::quoting
