// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <span>

namespace eos::emulation::process {

/// Descriptors that the daemon hands over: the shared block (a memfd sealed against shrinking and
/// growing) and the eventfd by which workers wake the host.
inline constexpr int kSharedBlockFd = 3;
inline constexpr int kNotifyFd = 4;

/// The whole of enclave-os-runner-process: prints the banner, loads the emulated CPU, measures its
/// own ELF file, maps the block, closes every other descriptor and the sandbox, then runs
/// eos::enclave_main. Ends with the thread that started it (PR_SET_PDEATHSIG).
/// in:      --identity FILE, a CPU identity that `sgx-quoting-emulator init` made; --keep-stderr,
///          for development: what enclave code prints leaves in clear.
/// returns: the program's exit code (boundary/exit_codes.h).
int run(std::span<char* const> arguments);

}  // namespace eos::emulation::process
