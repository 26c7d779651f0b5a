// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/mini/apps/app_logs.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace eos::mini {
namespace {

constexpr UnixTime kNow{1'788'516'900};

struct Logs : ::testing::Test {
    void append(std::string_view text, const std::string& app = "a") {
        logs.open({app, {}});
        logs.append({app, {}}, kNow, as_bytes(text));
    }
    std::unique_ptr<AppLogs::Reader> follow(std::uint64_t sequence = 0) {
        return *logs.follow("a", sequence, [this] { ++wakes; });
    }
    AppLogs logs;
    std::atomic<int> wakes = 0;
};

TEST_F(Logs, LinesAreSplitAndCut) {
    append("one\ntwo\n\nrest");
    append(std::string(kMaxLogLineBytes + 5, 'x') + "\n");
    AppLogs::Page page = logs.read("a", 0);
    ASSERT_EQ(page.lines.size(), 5u);
    EXPECT_EQ(page.lines[1].text, "two");
    EXPECT_EQ(page.lines[2].text, "");
    EXPECT_EQ(page.lines[3].text, "rest");
    EXPECT_EQ(page.lines[4].text.size(), kMaxLogLineBytes);
    EXPECT_EQ(page.lines[4].sequence, 5u);
    EXPECT_EQ(logs.read("a", 4).lines.size(), 1u);
    EXPECT_TRUE(logs.read("b", 0).lines.empty());
}

TEST_F(Logs, TheOldestMakeRoomAndAreCounted) {
    for (int i = 0; i < 1000; ++i) append(std::string(1000, 'x') + "\n");
    AppLogs::Page page = logs.read("a", 0);
    std::size_t bytes = 0;
    for (const AppLogs::Line& line : page.lines) bytes += line.text.size();
    EXPECT_LE(bytes, kMaxLogBytesPerApp);
    EXPECT_GT(bytes, kMaxLogBytesPerApp / 2);
    EXPECT_EQ(page.dropped + page.lines.size(), 1000u);
    EXPECT_EQ(page.lines.back().sequence, 1000u);
}

TEST_F(Logs, EmptyLinesAreNotFree) {
    append(std::string(1 << 20, '\n'));
    EXPECT_LE(logs.read("a", 0).lines.size(), kMaxLogBytesPerApp / 64);
}

TEST_F(Logs, ASequenceOfAnEarlierLoadShowsAll) {
    append("1\n2\n3\n");
    logs.forget("a");
    append("new\n");
    ASSERT_EQ(logs.read("a", 3).lines.size(), 1u);
    EXPECT_EQ(logs.read("a", 3).lines[0].text, "new");
    EXPECT_EQ(follow(3)->next()->line.text, "new");
}

TEST_F(Logs, WhatAnEarlierLoadStillWritesIsNotKept) {
    const AppLogs::App earlier{"a", {}}, later{"a", {std::byte{1}}};
    append("1\n");
    logs.forget("a");
    logs.append(earlier, kNow, as_bytes("2\n"));
    EXPECT_TRUE(logs.read("a", 0).lines.empty());
    logs.open(later);
    logs.append(earlier, kNow, as_bytes("3\n"));
    EXPECT_TRUE(logs.read("a", 0).lines.empty());
    logs.append(later, kNow, as_bytes("4\n"));
    ASSERT_EQ(logs.read("a", 0).lines.size(), 1u);
    logs.open({"a", {std::byte{2}}});
    EXPECT_TRUE(logs.read("a", 0).lines.empty());
}

TEST_F(Logs, AReaderIsWokenOnceForEachTimeItWaits) {
    auto reader = follow();
    append("early\n");
    EXPECT_EQ(wakes, 0) << "it did not wait yet";
    EXPECT_EQ(reader->next()->line.text, "early");
    EXPECT_FALSE(reader->next().has_value());
    append("1\n2\n");
    append("3\n");
    append("of another\n", "b");
    EXPECT_EQ(wakes, 1);
    EXPECT_EQ(reader->next()->line.text, "1");
    EXPECT_EQ(reader->next()->line.text, "2");
    EXPECT_EQ(reader->next()->line.text, "3");
    EXPECT_FALSE(reader->next().has_value());
    append("4\n");
    EXPECT_EQ(wakes, 2);
}

TEST_F(Logs, ASlowReaderMissesLinesAndIsToldHowMany) {
    auto reader = follow();
    append("first\n");
    ASSERT_EQ(reader->next()->line.text, "first");
    for (int i = 0; i < 1000; ++i) append(std::string(1000, 'x') + "\n");
    auto next = reader->next();
    ASSERT_TRUE(next.has_value());
    EXPECT_GT(next->missed, 0u);
    EXPECT_EQ(next->line.sequence, 1 + next->missed + 1);
    EXPECT_EQ(next->missed + logs.read("a", 0).lines.size(), 1000u);
    EXPECT_EQ(reader->next()->missed, 0u);
}

TEST_F(Logs, ReadersAreCounted) {
    std::vector<std::unique_ptr<AppLogs::Reader>> readers;
    for (std::size_t i = 0; i < kMaxLogReadersPerApp; ++i) readers.push_back(follow());
    EXPECT_EQ(logs.follow("a", 0, [] {}).error().code(), too_many_readers);
    EXPECT_TRUE(logs.follow("b", 0, [] {}).has_value());
    readers.pop_back();
    EXPECT_TRUE(logs.follow("a", 0, [] {}).has_value());
}

// Writers on several workers, a reader that comes and goes: nothing is lost unseen.
TEST_F(Logs, ThreadsWriteWhileOneReads) {
    constexpr int kLines = 2000;
    std::vector<std::thread> writers;
    for (int i = 0; i < 2; ++i) {
        writers.emplace_back([this] {
            for (int line = 0; line < kLines; ++line) append("a line of some length\n");
        });
    }
    auto reader = follow();
    std::uint64_t seen = 0;
    while (seen < 2 * kLines) {
        auto next = reader->next();
        if (!next) {
            std::this_thread::yield();
            continue;
        }
        seen += next->missed + 1;
        ASSERT_EQ(next->line.sequence, seen);
    }
    for (std::thread& writer : writers) writer.join();
}

}  // namespace
}  // namespace eos::mini
