// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "boundary/log_codes.h"

namespace spdlog {
class logger;
}

namespace eos::daemon {

using boundary::Severity;

/// Lines for people, or one JSON object a line.
enum class LogFormat { kText, kJson };

/// The daemon's log: one line an event, on standard error. `event` is a stable word for machines,
/// `text` a sentence for people. Text from outside is passed through printable() by the caller.
/// threads: any.
class Log {
  public:
    explicit Log(LogFormat format);
    ~Log();
    Log(const Log&) = delete;
    Log& operator=(const Log&) = delete;

    void write(Severity severity, std::string_view event, std::string_view text) const;
    void info(std::string_view event, std::string_view text) const {
        write(Severity::kInfo, event, text);
    }
    void warning(std::string_view event, std::string_view text) const {
        write(Severity::kWarning, event, text);
    }
    void error(std::string_view event, std::string_view text) const {
        write(Severity::kError, event, text);
    }

  private:
    LogFormat format_;
    std::unique_ptr<spdlog::logger> logger_;
};

}  // namespace eos::daemon
