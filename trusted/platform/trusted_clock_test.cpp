// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/platform/trusted_clock.h"

#include <gtest/gtest.h>

#include <atomic>
#include <limits>
#include <thread>
#include <vector>

#include "boundary/test_block.h"
#include "trusted/platform/platform.h"

namespace eos::platform {
namespace {

class Clock : public testing::Test {
  protected:
    boundary::TestBlock block_{{}};
    boundary::TimePageWriter host_{block_.layout().time()};
    TrustedClock clock_{block_.layout().time()};
};

TEST_F(Clock, TellsWhatTheHostSays) {
    host_.write({.wall_ns = 100, .monotonic_ns = 7});
    EXPECT_EQ(clock_.wall_ns(), 100u);
    EXPECT_EQ(clock_.monotonic_ns(), 7u);
}

TEST_F(Clock, NeverGoesBack) {
    host_.write({.wall_ns = 100, .monotonic_ns = 7});
    EXPECT_EQ(clock_.wall_ns(), 100u);
    host_.write({.wall_ns = 50, .monotonic_ns = 3});
    EXPECT_EQ(clock_.wall_ns(), 100u);
    EXPECT_EQ(clock_.monotonic_ns(), 7u);
    host_.write({.wall_ns = 101, .monotonic_ns = 3});
    EXPECT_EQ(clock_.wall_ns(), 101u);
    EXPECT_EQ(clock_.monotonic_ns(), 7u);
}

// What one clock was told binds the other readings of the same page too.
TEST_F(Clock, ReadingOneClampsBoth) {
    host_.write({.wall_ns = 100, .monotonic_ns = 7});
    EXPECT_EQ(clock_.monotonic_ns(), 7u);
    host_.write({.wall_ns = 1, .monotonic_ns = 8});
    EXPECT_EQ(clock_.wall_ns(), 100u);
}

TEST_F(Clock, KnowsNoTimeBeforeItsFloor) {
    host_.write({.wall_ns = 100, .monotonic_ns = 7});
    clock_.raise_wall_ns(500);
    EXPECT_EQ(clock_.wall_ns(), 500u);
    host_.write({.wall_ns = 499, .monotonic_ns = 8});
    EXPECT_EQ(clock_.wall_ns(), 500u);
    EXPECT_EQ(clock_.monotonic_ns(), 8u);
    host_.write({.wall_ns = 501, .monotonic_ns = 9});
    EXPECT_EQ(clock_.wall_ns(), 501u);
    clock_.raise_wall_ns(10);
    EXPECT_EQ(clock_.wall_ns(), 501u);
}

TEST_F(Clock, StandsStillWhereThePageCannotBeRead) {
    host_.write({.wall_ns = 100, .monotonic_ns = 7});
    EXPECT_EQ(clock_.wall_ns(), 100u);
    *block_.layout().time().wall_ns = 200;
    *block_.layout().time().sequence |= 1;  // a writer that never ends
    EXPECT_EQ(clock_.wall_ns(), 100u);
}

TEST_F(Clock, SurvivesTheEndOfTime) {
    constexpr auto kLast = std::numeric_limits<std::uint64_t>::max();
    host_.write({.wall_ns = kLast, .monotonic_ns = kLast});
    EXPECT_EQ(clock_.wall_ns(), kLast);
    host_.write({.wall_ns = 0, .monotonic_ns = 0});
    EXPECT_EQ(clock_.monotonic_ns(), kLast);
}

TEST_F(Clock, IsMonotonicOnEveryThreadUnderALyingHost) {
    std::atomic<bool> stop = false;
    std::atomic<bool> went_back = false;
    std::thread host([&] {
        for (std::uint64_t i = 0; !stop; ++i)
            host_.write({.wall_ns = i * 7919 % 100000, .monotonic_ns = i % 1000});
    });
    run_workers(3, [&](unsigned) {
        std::uint64_t wall = 0;
        std::uint64_t monotonic = 0;
        for (int i = 0; i < 20000; ++i) {
            std::uint64_t next_wall = clock_.wall_ns();
            std::uint64_t next_monotonic = clock_.monotonic_ns();
            if (next_wall < wall || next_monotonic < monotonic) went_back = true;
            wall = next_wall;
            monotonic = next_monotonic;
        }
    });
    stop = true;
    host.join();
    EXPECT_FALSE(went_back);
}

TEST(RunWorkers, RunsEachOnceAndWaits) {
    std::vector<std::atomic<int>> runs(5);
    run_workers(5, [&](unsigned worker) { ++runs[worker]; });
    for (auto& count : runs) EXPECT_EQ(count, 1);
}

TEST(Assurance, IsTheTextOfTheExtension) {
    EXPECT_EQ(to_string(Assurance::kProduction), "production");
    EXPECT_EQ(to_string(Assurance::kDebug), "debug");
    EXPECT_EQ(to_string(Assurance::kProcess), "process");
}

}  // namespace
}  // namespace eos::platform
