// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "untrusted/daemon/event_loop.h"

namespace eos::daemon {

/// Reads a child's words from a pipe, line by line. threads: the loop's.
class LineReader : public EventHandler {
  public:
    static constexpr std::size_t kMaxLineBytes = 1024;  ///< a longer one comes in pieces

    using OnLine = std::function<void(std::string_view line)>;

    /// in: `pipe`: the reading end, non-blocking. `loop` must outlive this.
    LineReader(EventLoop& loop, UniqueFd pipe, OnLine on_line);
    ~LineReader() override;
    LineReader(const LineReader&) = delete;
    LineReader& operator=(const LineReader&) = delete;

    void on_events(std::uint32_t /*events*/) override { read(); }

    /// Takes what is there now, up to a bound, a last line without its end included if the pipe is
    /// closed.
    void read();

  private:
    void cut_lines();
    void end();

    EventLoop& loop_;
    UniqueFd pipe_;
    OnLine on_line_;
    std::string partial_;
};

}  // namespace eos::daemon
