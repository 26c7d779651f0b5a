// SPDX-License-Identifier: AGPL-3.0-only
// What the process back end may ask of the kernel once enclave code runs. It stands in for the
// enclave's inability to make system calls; it protects nothing from the host.
#pragma once

#include <cstdint>

#include "common/base/result.h"

namespace eos::emulation::process {

inline constexpr Code sandbox_failed{"emulation/process", "sandbox_failed",
                                     "the sandbox could not be closed"};

/// Whether what enclave code prints reaches standard error, for development. It leaves in clear.
enum class Stderr { kClosed, kKept };

/// Whether this build has a sandbox at all: sanitizers need the system calls it refuses.
#ifdef EOS_SANITIZED
inline constexpr bool kHasSandbox = false;
#else
inline constexpr bool kHasSandbox = true;
#endif

/// Closes the sandbox for this thread and all it will start: only the calls in sandbox.cpp are
/// left, and write() of 8 bytes to `notify_fd`. There is no way back. errors: sandbox_failed.
[[nodiscard]] Result<void> close_sandbox(int notify_fd, Stderr standard_error);

/// Calls that were answered instead of made, since the sandbox closed. threads: any.
std::uint64_t sandbox_file_opens();
std::uint64_t sandbox_other_calls();

}  // namespace eos::emulation::process
