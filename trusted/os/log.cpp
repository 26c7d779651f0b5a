// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/os/log.h"

#include <unistd.h>

#include "common/base/encoding.h"
#include "common/base/time.h"
#include "common/json/json.h"

namespace eos::os {
namespace {

std::string_view name_of(Severity severity) {
    switch (severity) {
        case Severity::info:
            return "info";
        case Severity::warning:
            return "warning";
        case Severity::error:
            return "error";
    }
    __builtin_unreachable();
}

std::string now_text() {
    auto since = std::chrono::system_clock::now().time_since_epoch();
    return rfc3339({std::chrono::duration_cast<std::chrono::seconds>(since).count()});
}

}  // namespace

void Log::write(Severity severity, std::string_view event,
                std::initializer_list<Field> fields) const {
    std::string line;
    if (format_ == LogFormat::json) {
        json::Value value = {{"time", now_text()}, {"level", name_of(severity)}, {"event", event}};
        for (const auto& [name, text] : fields) value[std::string(name)] = text;
        line = json::compact(value);
    } else {
        line = now_text() + " " + std::string(name_of(severity)) + " " + std::string(event);
        for (const auto& [name, text] : fields) {
            line.append(" ").append(name).append("=").append(printable(as_bytes(text), 1024));
        }
    }
    line += '\n';
    if (sink_ != nullptr) return sink_->write(line);
    // One call a line, so that lines of several threads do not mix; a log that is gone is not
    // worth stopping for.
    (void)!::write(STDERR_FILENO, line.data(), line.size());
}

void FrequentWarning::write(const Log::Field& field) {
    ++count_;
    const auto now = std::chrono::steady_clock::now();
    if (written_ && now - *written_ < std::chrono::seconds(1)) return;
    written_ = now;
    log_.write(Severity::warning, event_, {field, {"so_far", std::to_string(count_)}});
}

}  // namespace eos::os
