// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/platform/trusted_clock.h"

#include <optional>

namespace eos::platform {
namespace {

void raise(std::atomic<std::uint64_t>& clock, std::uint64_t to) {
    std::uint64_t now = clock.load();
    while (now < to && !clock.compare_exchange_weak(now, to)) {
    }
}

}  // namespace

// Where the page cannot be read the clocks stand still: the host could stop them anyway.
void TrustedClock::update() const {
    auto claimed = page_.read();
    if (!claimed) return;
    boundary::HostTime time = std::move(*claimed).take_unverifiable("clamped below, by raise()");
    raise(wall_ns_, time.wall_ns);
    raise(monotonic_ns_, time.monotonic_ns);
}

std::uint64_t TrustedClock::wall_ns() const {
    update();
    return wall_ns_.load();
}

void TrustedClock::raise_wall_ns(std::uint64_t floor_ns) {
    raise(wall_ns_, floor_ns);
}

std::uint64_t TrustedClock::monotonic_ns() const {
    update();
    return monotonic_ns_.load();
}

}  // namespace eos::platform
