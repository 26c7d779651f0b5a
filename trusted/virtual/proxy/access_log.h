// SPDX-License-Identifier: AGPL-3.0-only
// A line for every request that was forwarded or refused. What is not in AccessRecord cannot get
// into the log: no path, no query, no field of any message.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/bytes.h"
#include "common/base/time.h"
#include "common/http/message.h"
#include "trusted/os/line_sink.h"
#include "trusted/os/log.h"
#include "trusted/virtual/proxy/routes.h"

namespace eos::cvm::proxy {

/// What is written of one request.
struct AccessRecord {
    ByteArray<16> client{};              ///< IPv4 mapped into IPv6
    std::string_view route;              ///< its configured name
    std::optional<http::Method> method;  ///< absent: the head was never understood
    int status = 0;  ///< 0: the client was gone before, or its stream was reset in its place
    Outcome outcome = Outcome::kAnswered;
    std::uint64_t request_bytes = 0;
    std::uint64_t response_bytes = 0;
    std::uint64_t duration_ms = 0;
};

/// One line, with its end.
std::string access_line(const AccessRecord& record, os::LogFormat format, UnixTime now);

/// Adds a request that is over to the numbers of its route.
void count(RouteStatistics& statistics, const AccessRecord& record);

/// Lines of one loop, written in pieces: at kFlushBytes, or after kFlushMs. threads: the loop's.
class AccessLog {
  public:
    static constexpr std::size_t kFlushBytes = 16 * 1024;
    static constexpr std::uint64_t kFlushMs = 250;

    /// Whether requests get lines.
    enum class Lines : std::uint8_t { kWritten, kDropped };

    /// `sink` outlives this.
    AccessLog(os::LineSink& sink, os::LogFormat format) : sink_(sink), format_(format) {}
    ~AccessLog() { flush(); }
    AccessLog(const AccessLog&) = delete;
    AccessLog& operator=(const AccessLog&) = delete;

    void configure(os::LogFormat format, Lines lines) {
        format_ = format;
        is_on_ = lines == Lines::kWritten;
    }
    /// If lines are written.
    void write(const AccessRecord& record, const runtime::Clock& clock);
    /// Once a turn of the loop.
    void turn(std::uint64_t now_ms);
    std::optional<std::uint64_t> next_deadline_ms() const { return flush_ms_; }

  private:
    void flush();

    os::LineSink& sink_;
    os::LogFormat format_;
    bool is_on_ = true;
    std::string lines_;
    std::optional<std::uint64_t> flush_ms_;
};

}  // namespace eos::cvm::proxy
