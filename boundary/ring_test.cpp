// SPDX-License-Identifier: AGPL-3.0-only
#include "boundary/ring.h"

#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <random>
#include <thread>

#include "boundary/speculation.h"
#include "boundary/test_block.h"

namespace eos::boundary {
namespace {

class Ring : public testing::Test {
  protected:
    TestBlock block_{{.data_ring_bytes = kMinRingBytes}};
    RingMemory memory_ = block_.layout().ring(0, RingId::kDataIn);
    RingProducer producer_{memory_};
    RingConsumer consumer_{memory_};

    std::uint64_t capacity() const { return memory_.words.size_bytes(); }

    // Publishes a position and first words that no honest producer would.
    Error receive_error(std::uint64_t produced, std::uint64_t header) {
        memory_.words[0] = header;
        *memory_.produced = produced;
        auto outcome = consumer_.receive();
        EXPECT_FALSE(outcome.has_value());
        return outcome.has_value() ? Error(ring_violated, "accepted") : outcome.error();
    }

    void expect_push_refused(std::uint64_t consumed) {
        *memory_.consumed = consumed;
        auto outcome = producer_.push(1, {Bytes(kMaxFramePayloadBytes)});
        ASSERT_FALSE(outcome.has_value());
        EXPECT_EQ(outcome.error().code(), ring_violated);
    }
};

TEST(Speculation, ClampKeepsWhatIsInBoundsAndZeroesTheRest) {
    constexpr std::uint64_t kMost = ~std::uint64_t{0};
    EXPECT_EQ(speculation_clamp(0, 0), 0U);
    EXPECT_EQ(speculation_clamp(7, 8), 7U);
    EXPECT_EQ(speculation_clamp(8, 8), 8U);
    EXPECT_EQ(speculation_clamp(9, 8), 0U);
    EXPECT_EQ(speculation_clamp(kMost, 8), 0U);
    EXPECT_EQ(speculation_clamp(kMost, kMost), kMost);
}

TEST_F(Ring, EmptyHasNothing) {
    EXPECT_FALSE(consumer_.has_input());
    auto nothing = consumer_.receive();
    ASSERT_TRUE(nothing.has_value());
    EXPECT_FALSE(nothing->has_value());
}

TEST_F(Ring, NothingIsSeenBeforePublish) {
    ASSERT_EQ(*producer_.push(7, {to_bytes("hello")}), Push::kDone);
    EXPECT_FALSE(consumer_.has_input());
    EXPECT_TRUE(producer_.publish());
    EXPECT_FALSE(producer_.publish());
    EXPECT_TRUE(consumer_.has_input());
    auto frame = consumer_.receive();
    ASSERT_TRUE(frame.has_value() && frame->has_value());
    EXPECT_EQ((*frame)->type, 7u);
    EXPECT_EQ(to_bytes((*frame)->payload), to_bytes("hello"));
}

TEST_F(Ring, PartsAreJoinedWhateverTheirSizes) {
    Bytes all;
    for (int i = 0; i < 64; ++i) all.push_back(static_cast<std::byte>(i));
    for (std::size_t first = 0; first <= 20; ++first) {
        for (std::size_t second = 0; second <= 20; ++second) {
            ByteView view(all);
            auto a = view.first(first);
            auto b = view.subspan(first, second);
            auto c = view.subspan(first + second);
            ASSERT_EQ(*producer_.push(1, {a, b, c}), Push::kDone);
            producer_.publish();
            auto frame = consumer_.receive();
            ASSERT_TRUE(frame.has_value() && frame->has_value());
            ASSERT_EQ(to_bytes((*frame)->payload), all);
        }
    }
}

TEST_F(Ring, FullIsFullUntilReleased) {
    Bytes payload(1000);
    int count = 0;
    while (*producer_.push(1, {payload}) == Push::kDone) ++count;
    EXPECT_EQ(count, static_cast<int>(capacity() / frame_bytes(payload.size())));
    EXPECT_TRUE(producer_.is_starved());
    EXPECT_FALSE(producer_.room_was_given());
    producer_.publish();
    ASSERT_TRUE(consumer_.receive()->has_value());
    EXPECT_TRUE(consumer_.release());
    EXPECT_FALSE(consumer_.release());
    EXPECT_TRUE(producer_.room_was_given());
    EXPECT_EQ(*producer_.push(1, {payload}), Push::kDone);
    EXPECT_FALSE(producer_.is_starved());
    EXPECT_EQ(*producer_.push(1, {payload}), Push::kFull);
}

// The consumer owns what it received: the producer may overwrite the ring at once.
TEST_F(Ring, FrameIsAPrivateCopy) {
    ASSERT_EQ(*producer_.push(1, {to_bytes("original")}), Push::kDone);
    producer_.publish();
    auto frame = consumer_.receive();
    ASSERT_TRUE(frame.has_value() && frame->has_value());
    for (std::uint64_t& word : memory_.words) word = ~0ULL;
    EXPECT_EQ(to_bytes((*frame)->payload), to_bytes("original"));
}

TEST_F(Ring, LargestFrameFits) {
    Bytes payload(kMaxFramePayloadBytes, std::byte{5});
    for (int i = 0; i < 5; ++i) {
        ASSERT_EQ(*producer_.push(1, {payload}), Push::kDone);
        producer_.publish();
        auto frame = consumer_.receive();
        ASSERT_TRUE(frame.has_value() && frame->has_value());
        EXPECT_EQ(to_bytes((*frame)->payload), payload);
        consumer_.release();
    }
}

// ---- a hostile producer

TEST_F(Ring, OversizedFrameIsRefused) {
    EXPECT_EQ(receive_error(capacity(), kMaxFramePayloadBytes + 1).code(), ring_violated);
}
TEST_F(Ring, HugeFrameIsRefused) {
    EXPECT_EQ(receive_error(capacity(), 0xffffffff).code(), ring_violated);
}
TEST_F(Ring, FrameLongerThanPublishedIsRefused) {
    EXPECT_EQ(receive_error(16, 9).code(), ring_violated);
}
TEST_F(Ring, ProducerPastTheRingIsRefused) {
    EXPECT_EQ(receive_error(capacity() + 8, 0).code(), ring_violated);
}
TEST_F(Ring, ProducerFarPastTheRingIsRefused) {
    EXPECT_EQ(receive_error(~7ULL, 0).code(), ring_violated);
}
TEST_F(Ring, ProducerBetweenWordsIsRefused) {
    EXPECT_EQ(receive_error(12, 0).code(), ring_violated);
}
TEST_F(Ring, ProducerThatGoesBackIsRefused) {
    ASSERT_EQ(*producer_.push(1, {Bytes(100)}), Push::kDone);
    producer_.publish();
    ASSERT_TRUE(consumer_.receive()->has_value());
    EXPECT_EQ(receive_error(8, 0).code(), ring_violated);
}
TEST_F(Ring, ProducerBeforeWhatWasReleasedIsRefused) {
    ASSERT_EQ(*producer_.push(1, {Bytes(100)}), Push::kDone);
    producer_.publish();
    ASSERT_TRUE(consumer_.receive()->has_value());
    consumer_.release();
    EXPECT_EQ(receive_error(0, 0).code(), ring_violated);
}

// ---- a hostile consumer

TEST_F(Ring, ConsumerThatGoesBackIsRefused) {
    for (int i = 0; i < 3; ++i) {
        ASSERT_EQ(*producer_.push(1, {Bytes(60 * 1024)}), Push::kDone);
        producer_.publish();
        ASSERT_TRUE(consumer_.receive()->has_value());
        consumer_.release();
    }
    ASSERT_EQ(*producer_.push(1, {Bytes(60 * 1024)}), Push::kDone);
    producer_.publish();
    expect_push_refused(8);
}
TEST_F(Ring, ConsumerPastThePublishedIsRefused) {
    ASSERT_EQ(*producer_.push(1, {Bytes(60 * 1024)}), Push::kDone);
    producer_.publish();
    expect_push_refused(frame_bytes(60 * 1024) + 8);
}
TEST_F(Ring, ConsumerBetweenWordsIsRefused) {
    ASSERT_EQ(*producer_.push(1, {Bytes(60 * 1024)}), Push::kDone);
    producer_.publish();
    expect_push_refused(4);
}
// Giving back what was written but not yet published would let the next frame overwrite it.
TEST_F(Ring, ConsumerOfTheUnpublishedIsRefused) {
    ASSERT_EQ(*producer_.push(1, {Bytes(60 * 1024)}), Push::kDone);
    expect_push_refused(frame_bytes(60 * 1024));
}

// ---- the model: a queue

TEST_F(Ring, BehavesLikeABoundedQueue) {
    std::mt19937_64 random(1);
    struct Sent {
        std::uint32_t type;
        Bytes payload;
    };
    std::deque<Sent> unpublished, published;
    std::uint64_t held = 0;      // bytes between the producer and what the consumer released
    std::uint64_t received = 0;  // of which received, not yet released
    std::size_t moved = 0;
    for (int step = 0; step < 40000; ++step) {
        switch (random() % 4) {
            case 0: {
                std::size_t most = random() % 8 == 0 ? kMaxFramePayloadBytes : 300;
                Bytes payload(random() % (most + 1), static_cast<std::byte>(step));
                Sent sent{.type = static_cast<std::uint32_t>(random()), .payload = payload};
                auto outcome = producer_.push(sent.type, {payload});
                ASSERT_TRUE(outcome.has_value());
                bool fits = held + frame_bytes(payload.size()) <= capacity();
                ASSERT_EQ(*outcome == Push::kDone, fits) << step;
                if (!fits) break;
                held += frame_bytes(payload.size());
                unpublished.push_back(std::move(sent));
                break;
            }
            case 1:
                ASSERT_EQ(producer_.publish(), !unpublished.empty());
                std::ranges::move(unpublished, std::back_inserter(published));
                unpublished.clear();
                break;
            case 2: {
                if (received >= capacity() / 4) held -= std::exchange(received, 0);
                ASSERT_EQ(consumer_.has_input(), !published.empty());
                auto frame = consumer_.receive();
                ASSERT_TRUE(frame.has_value());
                ASSERT_EQ(frame->has_value(), !published.empty());
                if (published.empty()) break;
                ASSERT_EQ((*frame)->type, published.front().type);
                ASSERT_TRUE(equal((*frame)->payload, published.front().payload)) << step;
                received += frame_bytes(published.front().payload.size());
                moved += published.front().payload.size();
                published.pop_front();
                break;
            }
            default:
                consumer_.release();
                held -= std::exchange(received, 0);
                break;
        }
    }
    EXPECT_GT(moved, 20 * capacity());  // it wrapped many times
}

// Both sides on threads of their own, both running into the other's pace.
TEST_F(Ring, CarriesEverythingBetweenThreads) {
    constexpr int kFrames = 30000;
    std::atomic<bool> failed = false;
    std::thread producing([&] {
        std::mt19937_64 random(2);
        for (int i = 0; i < kFrames && !failed; ++i) {
            Bytes payload(random() % (i % 100 == 0 ? 30000 : 200));
            for (std::size_t at = 0; at < payload.size(); ++at)
                payload[at] = static_cast<std::byte>(at * 7 + i);
            for (;;) {
                auto outcome = producer_.push(static_cast<std::uint32_t>(i), {payload});
                if (!outcome.has_value()) failed = true;
                if (!outcome.has_value() || *outcome == Push::kDone) break;
                producer_.publish();
                std::this_thread::yield();
            }
            if (random() % 3 == 0) producer_.publish();
        }
        producer_.publish();
    });
    std::mt19937_64 random(3);
    int next = 0;
    while (next < kFrames && !failed) {
        auto frame = consumer_.receive();
        if (!frame.has_value()) failed = true;
        if (failed) break;
        if (!frame->has_value()) {
            consumer_.release();
            std::this_thread::yield();
            continue;
        }
        bool right = (*frame)->type == static_cast<std::uint32_t>(next);
        for (std::size_t at = 0; at < (*frame)->payload.size(); ++at)
            right = right && (*frame)->payload[at] == static_cast<std::byte>(at * 7 + next);
        if (!right) failed = true;
        ++next;
        if (random() % 5 == 0) consumer_.release();
    }
    producing.join();
    EXPECT_FALSE(failed);
    EXPECT_EQ(next, kFrames);
}

}  // namespace
}  // namespace eos::boundary
