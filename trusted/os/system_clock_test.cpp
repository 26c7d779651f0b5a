// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/os/system_clock.h"

#include <gtest/gtest.h>

namespace eos::os {
namespace {

TEST(TurnClock, StandsStillUntilItIsRead) {
    TurnClock turn;
    const SystemClock clock;
    const std::uint64_t read_ms = turn.monotonic_ms();
    const UnixTime read_at = turn.now();
    const std::uint64_t later_ms = clock.monotonic_ms() + 5;
    while (clock.monotonic_ms() < later_ms) continue;
    EXPECT_EQ(turn.monotonic_ms(), read_ms);
    EXPECT_EQ(turn.now(), read_at);
    turn.read();
    EXPECT_GE(turn.monotonic_ms(), later_ms);
    EXPECT_GE(turn.now(), read_at);
}

}  // namespace
}  // namespace eos::os
