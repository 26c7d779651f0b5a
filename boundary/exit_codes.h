// SPDX-License-Identifier: AGPL-3.0-only
// With what exit code the trusted process leaves, and what that means to the daemon's log.
#pragma once

#include <cstdint>
#include <string_view>

#include "boundary/messages.h"

namespace eos::boundary {

/// Why the enclave gave up at once.
enum class AbortReason : std::uint8_t {
    kBadSharedBlock = 1,    ///< the header is not one this build understands
    kBoundaryViolated = 2,  ///< a ring or a message broke the rules
    kNoEntropy = 3,         ///< the processor gave no random bytes within bounds
    kInternal = 4,
};

// Before enclave code runs:
inline constexpr int kExitUsage = 2;  ///< the runner's command line
inline constexpr int kExitSetup = 3;  ///< the runner's identity file, descriptors or sandbox

/// The enclave gave up.
constexpr int exit_code(AbortReason reason) {
    return 64 + static_cast<int>(reason);
}

/// The enclave's program came to its end.
constexpr int exit_code(Exit::Why why) {
    return why == Exit::Why::kRequested ? 0 : 80 + static_cast<int>(why);
}

/// One clause for a person, or nothing for a code that is none of the above.
std::string_view describe_exit_code(int code);

}  // namespace eos::boundary
