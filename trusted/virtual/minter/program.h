// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

namespace eos::cvm {

/// The program enclave-os-minter: reads its command line, and does what it says.
/// returns: exit code: 0 done, 1 failed, 2 the command line.
int run_minter(int argc, char** argv);

}  // namespace eos::cvm
