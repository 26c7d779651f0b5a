// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "trusted/os/line_sink.h"

namespace eos::os {

/// Lines for people, or one JSON object a line.
enum class LogFormat { text, json };

/// How much somebody should care.
enum class Severity { info, warning, error };

/// One line an event, on standard error, or to a sink for programs that must not be held up.
/// `event` is a stable word for machines. No token, no claim
/// of a caller's, no evidence: values are of this program, or passed through printable().
/// threads: any.
class Log {
  public:
    using Field = std::pair<std::string_view, std::string>;

    explicit Log(LogFormat format) : format_(format) {}
    /// `sink` outlives this.
    Log(LogFormat format, LineSink& sink) : format_(format), sink_(&sink) {}

    void write(Severity severity, std::string_view event,
               std::initializer_list<Field> fields = {}) const;

  private:
    LogFormat format_;
    LineSink* sink_ = nullptr;  ///< null: standard error itself
};

/// A warning that others cause as often as they like: one line a second at most, which says how
/// often it was so far.
/// threads: one.
class FrequentWarning {
  public:
    /// Both outlive this.
    FrequentWarning(const Log& log, std::string_view event) : log_(log), event_(event) {}

    void write(const Log::Field& field);

  private:
    const Log& log_;
    const std::string_view event_;
    std::uint64_t count_ = 0;
    std::optional<std::chrono::steady_clock::time_point> written_;
};

}  // namespace eos::os
