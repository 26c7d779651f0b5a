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

}  // namespace eos::os
