// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/os/system_clock.h"

#include <algorithm>
#include <chrono>

namespace eos::os {

UnixTime SystemClock::now() const {
    auto since = std::chrono::system_clock::now().time_since_epoch();
    latest_ = std::max(latest_,
                       UnixTime{std::chrono::duration_cast<std::chrono::seconds>(since).count()});
    return latest_;
}

std::uint64_t SystemClock::monotonic_ms() const {
    auto since = std::chrono::steady_clock::now().time_since_epoch();
    auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(since).count();
    return static_cast<std::uint64_t>(ms);
}

void TurnClock::read() {
    now_ = clock_.now();
    monotonic_ms_ = clock_.monotonic_ms();
}

}  // namespace eos::os
