// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "common/base/result.h"

namespace eos::cvm {

inline constexpr Code sandbox_failed{"trusted/virtual/minter", "sandbox_failed",
                                     "the system call filter cannot be set"};

/// Whether this build closes the sandbox; builds with sanitizers need more calls.
enum class SandboxKind { kFilter, kNone };

/// Leaves this process, all its threads, the system calls that minting takes: files, the socket
/// that is open, TEE devices; no new socket, no new program, no memory that can be executed.
/// Whatever else is called ends the process.
/// errors: sandbox_failed.
[[nodiscard]] Result<SandboxKind> close_sandbox();

}  // namespace eos::cvm
