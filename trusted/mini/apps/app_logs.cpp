// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/mini/apps/app_logs.h"

namespace eos::mini {
namespace {

// What a line costs beside its text, so that empty lines are not free.
constexpr std::size_t kLineOverheadBytes = 64;

}  // namespace

void AppLogs::append(const std::string& app, UnixTime time, ByteView text) {
    std::lock_guard lock(mutex_);
    Ring& ring = rings_[app];
    std::string_view rest = as_chars(text);
    while (!rest.empty()) {
        std::size_t end = rest.find('\n');
        std::string_view line = rest.substr(0, end);
        rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
        ring.lines.push_back({++ring.last, time, std::string(line.substr(0, kMaxLogLineBytes))});
        ring.bytes += ring.lines.back().text.size() + kLineOverheadBytes;
        while (ring.bytes > kMaxLogBytesPerApp) {
            ring.bytes -= ring.lines.front().text.size() + kLineOverheadBytes;
            ring.lines.pop_front();
            ++ring.dropped;
        }
    }
}

AppLogs::Page AppLogs::read(const std::string& app, std::uint64_t sequence) const {
    std::lock_guard lock(mutex_);
    Page page;
    auto ring = rings_.find(app);
    if (ring == rings_.end()) return page;
    page.dropped = ring->second.dropped;
    for (const Line& line : ring->second.lines) {
        if (line.sequence > sequence) page.lines.push_back(line);
    }
    return page;
}

void AppLogs::forget(const std::string& app) {
    std::lock_guard lock(mutex_);
    rings_.erase(app);
}

}  // namespace eos::mini
