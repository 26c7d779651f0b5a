// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace eos::os {

/// Lines for people, or one JSON object a line.
enum class LogFormat { text, json };

/// How much somebody should care.
enum class Severity { info, warning, error };

/// One line an event, on standard error. `event` is a stable word for machines. No token, no claim
/// of a caller's, no evidence: values are of this program, or passed through printable().
/// threads: any.
class Log {
  public:
    using Field = std::pair<std::string_view, std::string>;

    explicit Log(LogFormat format) : format_(format) {}

    void write(Severity severity, std::string_view event,
               std::initializer_list<Field> fields = {}) const;

  private:
    LogFormat format_;
};

}  // namespace eos::os
