// SPDX-License-Identifier: AGPL-3.0-only
#include "boundary/time_page.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "boundary/test_block.h"

namespace eos::boundary {
namespace {

HostTime taken(std::optional<FromHost<HostTime>> time) {
    EXPECT_TRUE(time.has_value());
    return std::move(*time).take_unverifiable("test");
}

TEST(TimePage, ReadsWhatWasWritten) {
    TestBlock block({});
    TimePageWriter writer(block.layout().time());
    TimePageReader reader(block.layout().time());
    writer.write({.wall_ns = 10, .monotonic_ns = 20});
    writer.write({.wall_ns = 11, .monotonic_ns = 21});
    HostTime time = taken(reader.read());
    EXPECT_EQ(time.wall_ns, 11u);
    EXPECT_EQ(time.monotonic_ns, 21u);
}

// A host that never finishes writing does not hang the reader.
TEST(TimePage, GivesUpOnAWriterThatNeverEnds) {
    TestBlock block({});
    *block.layout().time().sequence = 7;
    EXPECT_FALSE(TimePageReader(block.layout().time()).read().has_value());
}

TEST(TimePage, TheTwoValuesBelongTogether) {
    TestBlock block({});
    std::atomic<bool> stop = false;
    std::atomic<std::uint64_t> reads = 0;
    std::thread writing([&] {
        TimePageWriter writer(block.layout().time());
        for (std::uint64_t i = 0; !stop; ++i) writer.write({.wall_ns = i, .monotonic_ns = 2 * i});
    });
    TimePageReader reader(block.layout().time());
    bool torn = false;
    for (int i = 0; i < 200000 || (reads == 0 && i < 100000000); ++i) {
        auto time = reader.read();
        if (!time) continue;
        ++reads;
        HostTime value = taken(std::move(time));
        torn = torn || value.monotonic_ns != 2 * value.wall_ns;
    }
    stop = true;
    writing.join();
    EXPECT_FALSE(torn);
    EXPECT_GT(reads, 0u);
}

}  // namespace
}  // namespace eos::boundary
