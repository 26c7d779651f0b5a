// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "trusted/runtime/interfaces.h"

namespace eos::os {

/// The machine's clock; what it says of the time of day never goes back.
/// threads: one.
class SystemClock final : public runtime::Clock {
  public:
    UnixTime now() const override;
    std::uint64_t monotonic_ms() const override;

  private:
    mutable UnixTime latest_;
};

/// The same as it was when it was last read: for a loop that reads it once a turn. A turn is short
/// beside every deadline there is, and has many questions.
/// threads: one.
class TurnClock final : public runtime::Clock {
  public:
    TurnClock() { read(); }
    void read();
    UnixTime now() const override { return now_; }
    std::uint64_t monotonic_ms() const override { return monotonic_ms_; }

  private:
    const SystemClock clock_;
    UnixTime now_;
    std::uint64_t monotonic_ms_ = 0;
};

}  // namespace eos::os
