// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/os/line_sink.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <memory>
#include <string>

#include "trusted/os/log.h"
#include "trusted/os/unique_fd.h"

namespace eos::os {
namespace {

struct Pipe {
    Pipe() {
        int ends[2];
        EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
        reader = UniqueFd(ends[0]);
        writer = UniqueFd(ends[1]);
    }
    /// Blocks until that much has come.
    std::string read(std::size_t size) {
        std::string out;
        std::array<char, 4096> piece;
        while (out.size() < size) {
            const ssize_t count = ::read(reader.get(), piece.data(), piece.size());
            if (count <= 0) break;
            out.append(piece.data(), static_cast<std::size_t>(count));
        }
        return out;
    }

    UniqueFd reader;
    UniqueFd writer;
};

TEST(LineSink, WritesInOrderAndAllBeforeItEnds) {
    Pipe pipe;
    std::string wanted;
    {
        LineSink sink(pipe.writer.get());
        for (int i = 0; i < 100; ++i) {
            const std::string line = "line " + std::to_string(i) + "\n";
            sink.write(line);
            wanted += line;
        }
    }
    pipe.writer = UniqueFd();
    EXPECT_EQ(pipe.read(SIZE_MAX), wanted);
}

TEST(LineSink, APipeThatNobodyReadsHoldsUpNobody) {
    Pipe pipe;
    auto sink = std::make_unique<LineSink>(pipe.writer.get());
    const std::string lines = std::string(999, 'x') + "\n" + std::string(999, 'y') + "\n";
    std::uint64_t written = 0;
    while (sink->dropped_lines() == 0) {
        sink->write(lines);
        written += 2;
        ASSERT_LT(written, 10'000U) << "nothing is bounded";
    }
    EXPECT_EQ(sink->dropped_lines(), 2U);
    EXPECT_GT(written * 1000, LineSink::kMaxBytes);
    // Whoever reads again finds whole lines, and there is room for more.
    const std::string taken = pipe.read((written - sink->dropped_lines()) * 1000);
    EXPECT_EQ(taken.size(), (written - sink->dropped_lines()) * 1000);
    EXPECT_TRUE(taken.ends_with("y\n"));
    sink->write("once more\n");
    EXPECT_EQ(pipe.read(10), "once more\n");
}

TEST(LineSink, WhatThereIsAnyAmountOfLeavesRoom) {
    Pipe pipe;
    LineSink sink(pipe.writer.get());
    const std::string line = std::string(999, 'x') + "\n";
    std::uint64_t taken = 0;
    for (; sink.dropped_lines() == 0; ++taken) sink.write(line, LineSink::kMaxBytes / 2);
    sink.write("this is seldom\n");
    EXPECT_EQ(sink.dropped_lines(), 1U);
    const std::size_t wanted =
        (taken - 1) * line.size() + std::string_view("this is seldom\n").size();
    EXPECT_TRUE(pipe.read(wanted).ends_with("this is seldom\n"));
}

TEST(LineSink, EndsAlthoughItIsHeldUp) {
    Pipe pipe;
    auto sink = std::make_unique<LineSink>(pipe.writer.get());
    const std::string lines = std::string(512 * 1024 - 1, 'x') + "\n";
    sink->write(lines);
    sink.reset();
    // Its thread is there still, and ends here.
    EXPECT_EQ(pipe.read(lines.size()), lines);
}

TEST(FrequentWarning, IsOneLineASecondAtMost) {
    Pipe pipe;
    {
        LineSink sink(pipe.writer.get());
        const Log log(LogFormat::text, sink);
        FrequentWarning warning(log, "peer_refused");
        for (int i = 0; i < 1000; ++i) warning.write({"uid", "7"});
    }
    pipe.writer = UniqueFd();
    const std::string lines = pipe.read(1 << 20);
    EXPECT_LE(std::ranges::count(lines, '\n'), 3);
    EXPECT_NE(lines.find("warning peer_refused uid=7 so_far=1\n"), std::string::npos) << lines;
}

}  // namespace
}  // namespace eos::os
