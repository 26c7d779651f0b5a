// SPDX-License-Identifier: AGPL-3.0-only
// The C library's ways out of the enclave, answered inside: libc_overrides.cpp defines the symbols
// themselves, so that the link takes them instead of libc's. Only programs that run enclave code
// link this folder; a test that links it cannot open a socket.
#pragma once

#include <cstdint>

#include "trusted/platform/trusted_clock.h"

namespace eos::platform {

/// From now on time(), gettimeofday(), clock_gettime() and what stands on them are answered from
/// `clock`, which must outlive its use; without one it is 1970. threads: not while others run.
void set_libc_clock(const TrustedClock* clock);

/// How many calls were answered "not available": dynamic linking and the network.
std::uint64_t refused_libc_calls();

}  // namespace eos::platform
