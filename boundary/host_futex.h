// SPDX-License-Identifier: AGPL-3.0-only
// The futex calls under the bells, for the daemon and for emulation/process. Trusted code has no
// system calls: it sleeps through its platform.
#pragma once

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cstdint>

#include "boundary/endpoint.h"

namespace eos::boundary {

/// Sleeps while *word is `expected`, at most `timeout_ms` (kNoTimeout: for ever). May return early.
/// The word lies in memory shared between processes.
inline void futex_wait(std::uint32_t* word, std::uint32_t expected, std::uint32_t timeout_ms) {
    timespec timeout{.tv_sec = timeout_ms / 1000, .tv_nsec = timeout_ms % 1000 * 1000000L};
    syscall(SYS_futex, word, FUTEX_WAIT, expected, timeout_ms == kNoTimeout ? nullptr : &timeout,
            nullptr, 0);
}

/// Wakes the one who sleeps on *word.
inline void futex_wake(std::uint32_t* word) {
    syscall(SYS_futex, word, FUTEX_WAKE, 1, nullptr, nullptr, 0);
}

}  // namespace eos::boundary
