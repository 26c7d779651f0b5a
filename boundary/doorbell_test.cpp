// SPDX-License-Identifier: AGPL-3.0-only
#include "boundary/doorbell.h"

#include <gtest/gtest.h>

#include "boundary/test_block.h"

namespace eos::boundary {
namespace {

class Bell : public testing::Test {
  protected:
    TestBlock block_{{}};
    BellMemory memory_ = block_.layout().trusted_bell(0);
    BellOwner owner_{memory_};
    BellRinger ringer_{memory_};
};

TEST_F(Bell, AwakeOwnerIsNotRung) {
    EXPECT_FALSE(ringer_.must_wake(RingReason::kPublished));
    EXPECT_FALSE(ringer_.must_wake(RingReason::kReleased));
    EXPECT_EQ(*memory_.sequence, 0u);
}

TEST_F(Bell, SleeperIsRungOnceAndItsWordChanges) {
    std::uint32_t expected = owner_.announce(WaitFor::kInput);
    EXPECT_TRUE(ringer_.must_wake(RingReason::kPublished));
    EXPECT_NE(*memory_.sequence, expected);
    EXPECT_FALSE(ringer_.must_wake(RingReason::kPublished));
}

TEST_F(Bell, ReleaseWakesOnlyWhoWaitsForRoom) {
    owner_.announce(WaitFor::kInput);
    EXPECT_FALSE(ringer_.must_wake(RingReason::kReleased));
    owner_.announce(WaitFor::kInputOrSpace);
    EXPECT_TRUE(ringer_.must_wake(RingReason::kReleased));
    owner_.announce(WaitFor::kInputOrSpace);
    EXPECT_TRUE(ringer_.must_wake(RingReason::kPublished));
}

TEST_F(Bell, AwakeTakesTheAnnouncementBack) {
    owner_.announce(WaitFor::kInputOrSpace);
    owner_.awake();
    EXPECT_FALSE(ringer_.must_wake(RingReason::kPublished));
}

// Share of waits spent spinning, and turns spun, when `rewarded` says what spinning finds.
template <typename Rewarded>
double turns_per_wait(AdaptiveSpin& spin, Rewarded&& rewarded) {
    constexpr int kWaits = 10000;
    double turns = 0;
    for (int wait = 0; wait < kWaits; ++wait) {
        std::uint32_t allowed = spin.turns();
        if (allowed == 0) continue;
        bool found = rewarded(wait);
        turns += found ? 10 : allowed;
        spin.learn(found ? AdaptiveSpin::Outcome::kRewarded : AdaptiveSpin::Outcome::kFruitless);
    }
    return turns / kWaits;
}

TEST(AdaptiveSpin, GivesUpWhereItIsFruitless) {
    AdaptiveSpin spin;
    EXPECT_LT(turns_per_wait(spin, [](int) { return false; }), 2.0);
}

TEST(AdaptiveSpin, SpinsAlwaysWhereItPays) {
    AdaptiveSpin spin;
    turns_per_wait(spin, [](int) { return true; });
    int spun = 0;
    for (int wait = 0; wait < 100; ++wait) {
        spun += spin.turns() > 0;
        spin.learn(AdaptiveSpin::Outcome::kRewarded);
    }
    EXPECT_EQ(spun, 100);
}

TEST(AdaptiveSpin, FindsItsWayBack) {
    AdaptiveSpin spin;
    turns_per_wait(spin, [](int) { return false; });
    int waits = 0;
    int in_a_row = 0;
    while (in_a_row < 10 && waits < 2000) {
        bool spins = spin.turns() > 0;
        in_a_row = spins ? in_a_row + 1 : 0;
        if (spins) spin.learn(AdaptiveSpin::Outcome::kRewarded);
        ++waits;
    }
    EXPECT_LT(waits, 1000);
}

TEST(AdaptiveSpin, IsNotFooledByLuck) {
    AdaptiveSpin spin;
    EXPECT_LT(turns_per_wait(spin, [](int wait) { return wait % 97 == 0; }), 4.0);
}

}  // namespace
}  // namespace eos::boundary
