// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/attestd/signature_cache.h"

#include <gtest/gtest.h>

#include <atomic>
#include <vector>

namespace eos::attestd {
namespace {

using attestation::verify::SignatureOf;
using attestation::verify::SignatureSet;

crypto::Digest32 digest(std::uint8_t n) {
    return {std::byte{n}};
}

SignatureSet some() {
    SignatureSet out;
    out.add(SignatureOf::quote);
    return out;
}

// Waits until so many threads wait in begin().
void await_waits(const SignatureCache& cache, std::uint64_t count) {
    auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (cache.counters().waits < count) {
        ASSERT_LT(std::chrono::steady_clock::now(), deadline);
        std::this_thread::yield();
    }
}

TEST(SignatureCache, OneVerifiesAndTheOthersHaveItsSignatures) {
    SignatureCache cache(8);
    EXPECT_TRUE(cache.begin(digest(1)).is_empty());
    std::atomic<int> with{0};
    std::vector<std::jthread> others;
    for (int i = 0; i < 4; ++i) {
        others.emplace_back([&] {
            SignatureSet known = cache.begin(digest(1));
            with += known == some() ? 1 : 0;
            cache.end(digest(1), known);
        });
    }
    await_waits(cache, 4);
    EXPECT_EQ(with, 0);
    cache.end(digest(1), some());
    others.clear();
    EXPECT_EQ(with, 4);
    EXPECT_EQ(cache.counters().misses, 1U);
    EXPECT_EQ(cache.counters().hits, 4U);
    EXPECT_EQ(cache.counters().entries, 1U);
}

// Nobody waits twice: evidence in which nothing is good must not be verified one after the other.
TEST(SignatureCache, WhoWaitedInVainVerifiesForItself) {
    SignatureCache cache(8);
    EXPECT_TRUE(cache.begin(digest(1)).is_empty());
    std::atomic<int> inside{0};
    std::atomic<bool> leave{false};
    std::vector<std::jthread> others;
    for (int i = 0; i < 3; ++i) {
        others.emplace_back([&] {
            EXPECT_TRUE(cache.begin(digest(1)).is_empty());
            ++inside;
            inside.notify_all();
            leave.wait(false);
            cache.end(digest(1), {});
        });
    }
    await_waits(cache, 3);
    cache.end(digest(1), {});
    for (int n = inside; n != 3; n = inside) inside.wait(n);  // all at once
    leave = true;
    leave.notify_all();
    others.clear();
    EXPECT_EQ(cache.counters().misses, 4U);
    EXPECT_EQ(cache.counters().entries, 0U);
    // Nothing is left behind.
    EXPECT_TRUE(cache.begin(digest(1)).is_empty());
    cache.end(digest(1), some());
    EXPECT_EQ(cache.begin(digest(1)), some());
    cache.end(digest(1), some());
}

TEST(SignatureCache, OtherInputsDoNotWait) {
    SignatureCache cache(8);
    EXPECT_TRUE(cache.begin(digest(1)).is_empty());
    EXPECT_TRUE(cache.begin(digest(2)).is_empty());
    cache.end(digest(2), some());
    EXPECT_EQ(cache.begin(digest(2)), some());
    cache.end(digest(2), some());
    cache.end(digest(1), some());
    EXPECT_EQ(cache.counters().waits, 0U);
}

}  // namespace
}  // namespace eos::attestd
