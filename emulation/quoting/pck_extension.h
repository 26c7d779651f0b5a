// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "common/base/bytes.h"
#include "emulation/sgx_cpu/cpu_identity.h"

namespace eos::emulation::quoting {

/// The value of the SGX extension of a PCK certificate that a Platform CA issues: PPID, TCB, PCEID,
/// FMSPC, type (scalable), platform instance and configuration.
/// source: Intel SGX PCK Certificate and CRL Profile Specification, 1.3.5.
Bytes pck_extension(const sgx_cpu::CpuIdentity& cpu);

}  // namespace eos::emulation::quoting
