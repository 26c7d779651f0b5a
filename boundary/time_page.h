// SPDX-License-Identifier: AGPL-3.0-only
// The time, as the host tells it: a page that the daemon keeps current and the trusted side reads
// without leaving. A sequence lock makes the two values belong together.
#pragma once

#include <cstdint>
#include <optional>

#include "boundary/from_host.h"
#include "boundary/layout.h"

namespace eos::boundary {

/// How old the page may get while messages flow: the daemon writes it at least this often, and
/// always before it publishes messages.
inline constexpr std::uint32_t kTimePageMaxAgeMs = 10;
/// The same once no message has crossed for a second: waking more often would cost an idle machine
/// more than a finer clock is worth to its timers.
inline constexpr std::uint32_t kTimePageIdleMaxAgeMs = 100;

/// Both clocks at one instant.
struct HostTime {
    std::uint64_t wall_ns = 0;       ///< since 1970-01-01T00:00:00Z
    std::uint64_t monotonic_ns = 0;  ///< since an arbitrary start
};

/// The daemon's end. threads: one at a time.
class TimePageWriter {
  public:
    explicit TimePageWriter(const TimeMemory& memory) : memory_(memory) {}
    void write(const HostTime& time);

  private:
    TimeMemory memory_;
};

/// The trusted end. threads: any.
class TimePageReader {
  public:
    explicit TimePageReader(const TimeMemory& memory) : memory_(memory) {}

    /// The two values as written together, or nothing if the host was seen writing kMaxTries times
    /// in a row.
    std::optional<FromHost<HostTime>> read() const;

    static constexpr int kMaxTries = 100;

  private:
    TimeMemory memory_;
};

}  // namespace eos::boundary
