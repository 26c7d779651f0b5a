// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <atomic>
#include <cstdint>

#include "boundary/time_page.h"

namespace eos::platform {

/// The host's time, clamped: neither clock ever goes back, on any thread, whatever the host writes.
/// A host can stop it or make it jump forwards. threads: any.
class TrustedClock {
  public:
    /// The block behind `memory` must outlive the clock.
    explicit TrustedClock(const boundary::TimeMemory& memory) : page_(memory) {}

    /// Nanoseconds since 1970-01-01T00:00:00Z, as the host claims.
    std::uint64_t wall_ns() const;
    /// Nanoseconds since an arbitrary start.
    std::uint64_t monotonic_ns() const;

    /// No earlier wall time is told from now on: a time that the sealed state has seen.
    void raise_wall_ns(std::uint64_t floor_ns);

  private:
    void update() const;

    boundary::TimePageReader page_;
    mutable std::atomic<std::uint64_t> wall_ns_{0};
    mutable std::atomic<std::uint64_t> monotonic_ns_{0};
};

}  // namespace eos::platform
