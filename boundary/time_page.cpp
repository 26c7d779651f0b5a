// SPDX-License-Identifier: AGPL-3.0-only
#include "boundary/time_page.h"

#include <atomic>

#include "boundary/speculation.h"

namespace eos::boundary {

// A sequence lock without fences (thread sanitizer knows none): the values are published with
// release and read with acquire, so that the second look at the sequence cannot come too early.
void TimePageWriter::write(const HostTime& time) {
    std::atomic_ref sequence(*memory_.sequence);
    std::uint64_t odd = sequence.load(std::memory_order_relaxed) | 1;
    sequence.store(odd, std::memory_order_relaxed);
    std::atomic_ref(*memory_.wall_ns).store(time.wall_ns, std::memory_order_release);
    std::atomic_ref(*memory_.monotonic_ns).store(time.monotonic_ns, std::memory_order_release);
    sequence.store(odd + 1, std::memory_order_release);
}

std::optional<FromHost<HostTime>> TimePageReader::read() const {
    std::atomic_ref sequence(*memory_.sequence);
    for (int i = 0; i < kMaxTries; ++i) {
        std::uint64_t before = sequence.load(std::memory_order_acquire);
        HostTime time{
            .wall_ns = std::atomic_ref(*memory_.wall_ns).load(std::memory_order_acquire),
            .monotonic_ns = std::atomic_ref(*memory_.monotonic_ns).load(std::memory_order_acquire)};
        std::uint64_t after = sequence.load(std::memory_order_relaxed);
        if (before == after && before % 2 == 0) return FromHost(time);
        spin_hint();
    }
    return std::nullopt;
}

}  // namespace eos::boundary
