// SPDX-License-Identifier: AGPL-3.0-only
// Whether measurement registers are as Linux's sysfs shows them.
#pragma once

#include <string>

namespace eos::emulation::tsm {

/// Checks the registers in a directory, and extends RTMR3, which is another one afterwards.
/// returns: 0, or 1 if something is not as it must be.
int check_registers(const std::string& directory);

}  // namespace eos::emulation::tsm
