// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/virtual/proxy/access_log.h"

#include "trusted/virtual/proxy/request_fields.h"

namespace eos::cvm::proxy {
namespace {

/// Every value is a number, of a closed list, or made of letters, digits, '-', '.' and ':': nothing
/// needs an escape in either form.
class Line {
  public:
    explicit Line(os::LogFormat format) : is_json_(format == os::LogFormat::json) {
        if (is_json_) text_ = "{";
    }
    void word(std::string_view name, std::string_view value) {
        begin(name);
        if (is_json_) text_ += '"';
        text_ += value;
        if (is_json_) text_ += '"';
    }
    /// The beginning of every line, in either form as os::Log writes it.
    void event(std::string_view time) {
        if (!is_json_) {
            text_.append(time).append(" info request");
            return;
        }
        word("time", time);
        word("level", "info");
        word("event", "request");
    }
    void number(std::string_view name, std::uint64_t value) {
        begin(name);
        text_ += std::to_string(value);
    }
    std::string take() && {
        text_ += is_json_ ? "}\n" : "\n";
        return std::move(text_);
    }

  private:
    void begin(std::string_view name) {
        if (text_.size() > 1) text_ += is_json_ ? ',' : ' ';
        if (is_json_) text_ += '"';
        text_ += name;
        text_ += is_json_ ? "\":" : "=";
    }

    const bool is_json_;
    std::string text_;
};

}  // namespace

std::string access_line(const AccessRecord& record, os::LogFormat format, UnixTime now) {
    Line line(format);
    line.event(rfc3339(now));
    line.word("client", address_text(record.client));
    line.word("route", record.route);
    line.word("method", record.method ? http::to_string(*record.method) : "-");
    line.number("status", static_cast<std::uint64_t>(record.status));
    line.word("outcome", to_string(record.outcome));
    line.number("request_bytes", record.request_bytes);
    line.number("response_bytes", record.response_bytes);
    line.number("duration_ms", record.duration_ms);
    return std::move(line).take();
}

void count(RouteStatistics& statistics, const AccessRecord& record) {
    statistics.outcomes[static_cast<std::size_t>(record.outcome)].add();
    if (record.status >= 200) {
        statistics.answers[static_cast<std::size_t>(record.status / 100 - 2)].add();
    }
    statistics.duration_ms.add(record.duration_ms);
    statistics.request_bytes.add(record.request_bytes);
    statistics.response_bytes.add(record.response_bytes);
}

void AccessLog::write(const AccessRecord& record, const runtime::Clock& clock) {
    if (!is_on_) return;
    lines_ += access_line(record, format_, clock.now());
    if (!flush_ms_) flush_ms_ = clock.monotonic_ms() + kFlushMs;
    if (lines_.size() >= kFlushBytes) flush();
}

void AccessLog::turn(std::uint64_t now_ms) {
    if (flush_ms_ && now_ms >= *flush_ms_) flush();
}

void AccessLog::flush() {
    flush_ms_.reset();
    if (lines_.empty()) return;
    sink_.write(lines_, os::LineSink::kMaxBytes / 2);
    lines_.clear();
}

}  // namespace eos::cvm::proxy
