// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/runtime/time_guard.h"

#include <gtest/gtest.h>

namespace eos::runtime {
namespace {

constexpr UnixTime kStart{1'788'516'900};
constexpr std::int64_t kHour = 3600;

struct TwoClocks final : Clock {
    UnixTime now() const override { return wall; }
    std::uint64_t monotonic_ms() const override { return ms; }
    void pass(std::int64_t seconds) {
        wall = wall + seconds;
        ms += static_cast<std::uint64_t>(seconds) * 1000;
    }
    UnixTime wall = kStart;
    std::uint64_t ms = 5000;
};

class TimeGuardTest : public ::testing::Test {
  protected:
    TwoClocks clock;
    TimeGuard guard{clock};
};

TEST_F(TimeGuardTest, TimeThatPassesIsNoJump) {
    for (int hours = 0; hours < 1000; ++hours) {
        clock.pass(kHour);
        ASSERT_FALSE(guard.look());
    }
    EXPECT_EQ(guard.trust(), TimeTrust::kUnconfirmed);
}

TEST_F(TimeGuardTest, TwentyFiveHoursAreTheLimit) {
    clock.wall = clock.wall + 25 * kHour;
    EXPECT_FALSE(guard.look());
    clock.wall = clock.wall + 1;
    EXPECT_TRUE(guard.look()) << "the steps add up";
    EXPECT_EQ(guard.jump_seconds(), 25 * kHour + 1);
    EXPECT_FALSE(guard.look()) << "told once";
    EXPECT_EQ(guard.trust(), TimeTrust::kJumped);
}

// A machine that slept, or a host that moves both clocks.
TEST_F(TimeGuardTest, AJumpOfBothClocksIsAJump) {
    clock.pass(25 * kHour + 1);
    EXPECT_TRUE(guard.look());
}

TEST_F(TimeGuardTest, ManySmallStepsAreAJump) {
    int steps = 0;
    while (!guard.look()) {
        clock.wall = clock.wall + kHour;
        ASSERT_LE(++steps, 26);
    }
    EXPECT_EQ(steps, 26);
}

TEST_F(TimeGuardTest, AClockThatStoodStillMayCatchUp) {
    for (int hours = 0; hours < 20; ++hours) {
        clock.ms += kHour * 1000;
        ASSERT_FALSE(guard.look());
    }
    clock.wall = clock.wall + 20 * kHour;
    EXPECT_FALSE(guard.look());
}

TEST_F(TimeGuardTest, WhoConfirmsMustKnowTheTime) {
    clock.wall = clock.wall + 30 * kHour;
    ASSERT_TRUE(guard.look());
    for (std::int64_t off : {-30 * kHour, -kMaxTimeDifferenceSeconds - 1, kHour}) {
        Result<void> said = guard.confirm(clock.wall + off);
        ASSERT_FALSE(said.has_value()) << off;
        EXPECT_EQ(said.error().code(), time_disputed);
        EXPECT_EQ(guard.trust(), TimeTrust::kJumped);
    }
    for (std::int64_t wild : {INT64_MIN, INT64_MIN + 1, INT64_MAX, std::int64_t{1} << 60})
        EXPECT_EQ(guard.confirm(UnixTime{wild}).error().code(), time_disputed);
    ASSERT_TRUE(guard.confirm(clock.wall - kMaxTimeDifferenceSeconds).has_value());
    EXPECT_EQ(guard.trust(), TimeTrust::kConfirmed);
    EXPECT_FALSE(guard.look());
    clock.wall = clock.wall + 26 * kHour;
    EXPECT_TRUE(guard.look()) << "a confirmation is for one jump";
}

TEST_F(TimeGuardTest, ARestartAcceptsWhatIsTold) {
    clock.wall = clock.wall + 1000 * kHour;
    ASSERT_TRUE(guard.look());
    guard.restart();
    EXPECT_EQ(guard.trust(), TimeTrust::kUnconfirmed);
    EXPECT_FALSE(guard.look());
}

}  // namespace
}  // namespace eos::runtime
