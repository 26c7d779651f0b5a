// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

namespace eos::boundary {

/// Stops speculation past a bounds check. Without it the processor may run on with an index or
/// length that the check refuses, and leave in the cache a trace of trusted memory that the other
/// side chose (Spectre variant 1). Stands after every bounds check of a value from shared memory
/// and before the first access that depends on it.
/// source: Intel SDM 3A 9.3 and "Bounds Check Bypass", LFENCE.
inline void speculation_barrier() {
    __asm__ volatile("lfence" ::: "memory");
}

/// Tells the core that this is a spin loop, so that the sibling thread gets its share.
inline void spin_hint() {
    __builtin_ia32_pause();
}

}  // namespace eos::boundary
