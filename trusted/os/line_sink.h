// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string_view>

namespace eos::os {

/// Lines for a descriptor that nobody may be reading: a pipe that is full holds up a thread of
/// this, and no loop. bound: kMaxBytes waiting and as many being written; what is more is dropped
/// and counted. threads: any.
class LineSink {
  public:
    static constexpr std::size_t kMaxBytes = 1024 * 1024;

    /// `fd` outlives the program. No thread is started before the first line.
    explicit LineSink(int fd);
    /// Waits a second at most for what was taken to be written.
    ~LineSink();
    LineSink(const LineSink&) = delete;
    LineSink& operator=(const LineSink&) = delete;

    /// in: whole lines. All of them are taken, or dropped where more than `room` would wait: what
    ///     there may be any amount of leaves room for what there is not.
    void write(std::string_view lines, std::size_t room = kMaxBytes);

    std::uint64_t dropped_lines() const { return dropped_.load(std::memory_order_relaxed); }

  private:
    struct Queue;

    const std::shared_ptr<Queue> queue_;  ///< the thread's, too: it may be held up for ever
    std::atomic<std::uint64_t> dropped_{0};
};

}  // namespace eos::os
