// SPDX-License-Identifier: AGPL-3.0-only
// What apps write to standard error: kept inside, bounded, read by the owner over the attested
// connection.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/time.h"

namespace eos::mini {

/// Text kept for each app; the oldest lines make room.
inline constexpr std::size_t kMaxLogBytesPerApp = 256 * 1024;
/// One line; longer ones are cut.
inline constexpr std::size_t kMaxLogLineBytes = 4 * 1024;

/// threads: any; all workers write to the same rings.
class AppLogs {
  public:
    struct Line {
        std::uint64_t sequence = 0;  ///< rises by one a line, from 1
        UnixTime time;
        std::string text;  ///< any bytes, without line ends
    };
    struct Page {
        std::vector<Line> lines;
        std::uint64_t dropped = 0;  ///< lines that made room since the app was loaded
    };

    /// Appends text that may hold several lines; what follows the last line end is a line, too.
    void append(const std::string& app, UnixTime time, ByteView text);

    /// The lines after `sequence`.
    Page read(const std::string& app, std::uint64_t sequence) const;

    void forget(const std::string& app);

  private:
    struct Ring {
        std::deque<Line> lines;
        std::size_t bytes = 0;
        std::uint64_t last = 0;
        std::uint64_t dropped = 0;
    };
    mutable std::mutex mutex_;
    std::map<std::string, Ring> rings_;
};

}  // namespace eos::mini
