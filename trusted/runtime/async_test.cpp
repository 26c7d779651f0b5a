// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/runtime/async.h"

#include <gtest/gtest.h>

namespace eos::runtime {
namespace {

constexpr Code broken{"test", "broken", "broken"};

TEST(Repeat, AnswersAtOnceCostNoStack) {
    int steps = 0;
    bool finished = false;
    repeat(
        [&](Done<Progress> done) {
            done(++steps < 1'000'000 ? Progress::kMore : Progress::kFinished);
        },
        [&](Result<void> result) { finished = result.has_value(); });
    EXPECT_EQ(steps, 1'000'000);
    EXPECT_TRUE(finished);
}

TEST(Repeat, AnswersLater) {
    std::vector<Done<Progress>> waiting;
    int finished = 0;
    repeat([&](Done<Progress> done) { waiting.push_back(std::move(done)); },
           [&](const Result<void>&) { ++finished; });
    for (int i = 0; i < 3; ++i) {
        ASSERT_EQ(waiting.size(), 1u);
        Done<Progress> done = std::move(waiting.back());
        waiting.clear();
        EXPECT_EQ(finished, 0);
        done(i < 2 ? Progress::kMore : Progress::kFinished);
    }
    EXPECT_TRUE(waiting.empty());
    EXPECT_EQ(finished, 1);
}

TEST(Repeat, AnErrorEndsIt) {
    int steps = 0;
    Result<void> outcome;
    repeat(
        [&](Done<Progress> done) {
            if (++steps == 2) return done(fail(broken));
            done(Progress::kMore);
        },
        [&](Result<void> result) { outcome = std::move(result); });
    EXPECT_EQ(steps, 2);
    ASSERT_FALSE(outcome.has_value());
    EXPECT_EQ(outcome.error().code(), broken);
}

}  // namespace
}  // namespace eos::runtime
