// SPDX-License-Identifier: AGPL-3.0-only
// What apps write to standard error: kept inside, bounded, read by the owner over the attested
// connection.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/base/time.h"

namespace eos::mini {

inline constexpr Code too_many_readers{"trusted/mini", "too_many_readers",
                                       "too many connections follow this app's log"};

/// Text kept for each app; the oldest lines make room.
inline constexpr std::size_t kMaxLogBytesPerApp = 256 * 1024;
/// One line; longer ones are cut.
inline constexpr std::size_t kMaxLogLineBytes = 4 * 1024;
/// Who may follow one app's log at the same time, on all workers.
inline constexpr std::size_t kMaxLogReadersPerApp = 8;

/// threads: any; all workers write to the same rings. Outlives its readers.
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

    /// An app as it was loaded: when its name is unloaded and loaded again, its id is another.
    struct App {
        std::string name;
        ByteArray<16> id{};
    };

    /// Makes room for what the app writes; what an earlier load of the name wrote makes way.
    void open(const App& app);

    /// Appends text that may hold several lines; what follows the last line end is a line, too. Of
    /// a load that was forgotten since it was opened, nothing is kept.
    void append(const App& app, UnixTime time, ByteView text);

    /// The lines after `sequence`. One that was never reached is of an earlier load of the app: all
    /// lines come after it.
    Page read(const std::string& app, std::uint64_t sequence) const;

    /// Of calls that still run nothing is kept any more, either.
    void forget(const std::string& app);

    /// Goes along with one app's log, at its own pace: what it is too slow for is counted, not
    /// kept. threads: one.
    class Reader {
      public:
        ~Reader();
        Reader(const Reader&) = delete;
        Reader& operator=(const Reader&) = delete;

        struct Next {
            std::uint64_t missed = 0;  ///< lines before this one that made room unread
            Line line;
        };
        /// The next line. If there is none, `wake` will be called, once.
        std::optional<Next> next();

      private:
        friend class AppLogs;
        Reader(AppLogs& logs, std::string app, std::uint64_t sequence, std::function<void()> wake)
            : logs_(logs), app_(std::move(app)), sequence_(sequence), wake_(std::move(wake)) {}

        AppLogs& logs_;
        const std::string app_;
        std::uint64_t sequence_;  // of the last line it was given
        const std::function<void()> wake_;
        bool waits_ = false;  // under the lock of logs_
    };

    /// A reader of the lines after `sequence`. `wake` is called on whichever thread appends; it
    /// must return at once and not call back.
    /// errors: too_many_readers.
    [[nodiscard]] Result<std::unique_ptr<Reader>> follow(const std::string& app,
                                                         std::uint64_t sequence,
                                                         std::function<void()> wake);

  private:
    struct Ring {
        ByteArray<16> app_id{};
        std::deque<Line> lines;
        std::size_t bytes = 0;
        std::uint64_t last = 0;
        std::uint64_t dropped = 0;

        void push(Line line);
    };
    mutable std::mutex mutex_;
    std::map<std::string, Ring> rings_;
    std::map<std::string, std::set<Reader*>> readers_;
};

}  // namespace eos::mini
