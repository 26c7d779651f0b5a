// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <cstdint>

namespace eos::boundary {

/// Stops speculation past a bounds check. Without it the processor may run on with an index or
/// length that the check refuses, and leave in the cache a trace of trusted memory that the other
/// side chose (Spectre variant 1). Stands between a bounds check of a value from shared memory and
/// the first access that depends on it, where speculation_clamp() does not do the same for less.
/// source: Intel SDM 3A 9.3 and "Bounds Check Bypass", LFENCE.
inline void speculation_barrier() {
    __asm__ volatile("lfence" ::: "memory");
}

/// `value` if it is at most `limit`, else 0, without a branch that could be predicted: also a
/// processor that runs on past a refused check works with a value in bounds.
/// source: Intel, "Bounds Check Bypass", bounds clipping with CMP and SBB.
inline std::uint64_t speculation_clamp(std::uint64_t value, std::uint64_t limit) {
    std::uint64_t exceeds;  // all ones or none
    __asm__ volatile("cmp %[value], %[limit]\n\tsbb %[exceeds], %[exceeds]"
                     : [exceeds] "=r"(exceeds)
                     : [limit] "r"(limit), [value] "r"(value)
                     : "cc");
    return value & ~exceeds;
}

/// Tells the core that this is a spin loop, so that the sibling thread gets its share.
inline void spin_hint() {
    __builtin_ia32_pause();
}

}  // namespace eos::boundary
