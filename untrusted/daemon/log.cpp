// SPDX-License-Identifier: AGPL-3.0-only
#include "untrusted/daemon/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <nlohmann/json.hpp>

namespace eos::daemon {
namespace {

spdlog::level::level_enum level_of(Severity severity) {
    switch (severity) {
        case Severity::kInfo:
            return spdlog::level::info;
        case Severity::kWarning:
            return spdlog::level::warn;
        case Severity::kError:
            return spdlog::level::err;
    }
    return spdlog::level::err;
}

std::string json_string(std::string_view text) {
    return nlohmann::json(text).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
}

}  // namespace

Log::Log(LogFormat format)
    : format_(format),
      logger_(std::make_unique<spdlog::logger>("daemon",
                                               std::make_shared<spdlog::sinks::stderr_sink_mt>())) {
    logger_->set_pattern(format == LogFormat::kJson
                             ? R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l",%v})"
                             : "%Y-%m-%dT%H:%M:%S.%eZ %-7l %v",
                         spdlog::pattern_time_type::utc);
    logger_->flush_on(spdlog::level::info);
}

Log::~Log() = default;

void Log::write(Severity severity, std::string_view event, std::string_view text) const {
    if (format_ == LogFormat::kJson) {
        logger_->log(level_of(severity), R"("event":{},"text":{})", json_string(event),
                     json_string(text));
        return;
    }
    logger_->log(level_of(severity), "{}: {}", event, text);
}

}  // namespace eos::daemon
