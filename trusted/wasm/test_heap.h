// SPDX-License-Identifier: AGPL-3.0-only
// What the allocator has and remembers (glibc's; under a sanitizer's, tests of it see nothing).
#pragma once

#include <malloc.h>

#include <cstddef>
#include <cstdlib>

namespace eos::wasm::testing {

/// Bytes allocated now.
inline std::size_t allocated_bytes() {
    const auto now = mallinfo2();
    return now.uordblks + now.hblkhd;
}

/// Whether `value` is still in memory of that size that was given back just now: the allocator
/// hands it out next, if it is small enough to be kept.
inline bool freed_memory_holds(std::byte value, std::size_t size) {
    void* volatile place = std::malloc(size);  // volatile: the compiler knows nothing is in it
    const auto* memory = static_cast<const volatile std::byte*>(place);
    const bool holds = memory[size / 2] == value;
    std::free(place);
    return holds;
}

}  // namespace eos::wasm::testing
