// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/mini/apps/app_logs.h"

#include <algorithm>

namespace eos::mini {
namespace {

// What a line costs beside its text, so that empty lines are not free.
constexpr std::size_t kLineOverheadBytes = 64;

}  // namespace

void AppLogs::Ring::push(Line line) {
    bytes += line.text.size() + kLineOverheadBytes;
    lines.push_back(std::move(line));
    while (bytes > kMaxLogBytesPerApp) {
        bytes -= lines.front().text.size() + kLineOverheadBytes;
        lines.pop_front();
        ++dropped;
    }
}

void AppLogs::open(const App& app) {
    std::lock_guard lock(mutex_);
    auto [place, fresh] = rings_.try_emplace(app.name);
    if (!fresh && place->second.app_id == app.id) return;
    place->second = Ring();
    place->second.app_id = app.id;
}

void AppLogs::append(const App& app, UnixTime time, ByteView text) {
    std::lock_guard lock(mutex_);
    auto found = rings_.find(app.name);
    if (found == rings_.end() || found->second.app_id != app.id) return;
    Ring& ring = found->second;
    std::string_view rest = as_chars(text);
    while (!rest.empty()) {
        std::size_t end = rest.find('\n');
        std::string_view line = rest.substr(0, end);
        rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
        ring.push({++ring.last, time, std::string(line.substr(0, kMaxLogLineBytes))});
    }
    auto readers = readers_.find(app.name);
    if (readers == readers_.end()) return;
    // Under the lock, so that no reader dies meanwhile.
    for (Reader* reader : readers->second) {
        if (std::exchange(reader->waits_, false)) reader->wake_();
    }
}

AppLogs::Page AppLogs::read(const std::string& app, std::uint64_t sequence) const {
    std::lock_guard lock(mutex_);
    Page page;
    auto ring = rings_.find(app);
    if (ring == rings_.end()) return page;
    page.dropped = ring->second.dropped;
    std::uint64_t after = sequence > ring->second.last ? 0 : sequence;
    for (const Line& line : ring->second.lines) {
        if (line.sequence > after) page.lines.push_back(line);
    }
    return page;
}

void AppLogs::forget(const std::string& app) {
    std::lock_guard lock(mutex_);
    rings_.erase(app);
}

Result<std::unique_ptr<AppLogs::Reader>> AppLogs::follow(const std::string& app,
                                                         std::uint64_t sequence,
                                                         std::function<void()> wake) {
    std::lock_guard lock(mutex_);
    std::set<Reader*>& readers = readers_[app];
    if (readers.size() >= kMaxLogReadersPerApp) return fail(too_many_readers);
    std::unique_ptr<Reader> reader(new Reader(*this, app, sequence, std::move(wake)));
    readers.insert(reader.get());
    return reader;
}

AppLogs::Reader::~Reader() {
    std::lock_guard lock(logs_.mutex_);
    auto readers = logs_.readers_.find(app_);
    readers->second.erase(this);
    if (readers->second.empty()) logs_.readers_.erase(readers);
}

std::optional<AppLogs::Reader::Next> AppLogs::Reader::next() {
    std::lock_guard lock(logs_.mutex_);
    auto found = logs_.rings_.find(app_);
    const Ring* ring = found == logs_.rings_.end() ? nullptr : &found->second;
    std::uint64_t last = ring == nullptr ? 0 : ring->last;
    if (sequence_ > last) sequence_ = 0;  // of an earlier load
    if (sequence_ == last) {
        waits_ = true;
        return std::nullopt;
    }
    // Sequences follow one another, so the place is known; the newest line is always there.
    std::uint64_t first = ring->lines.front().sequence;
    std::uint64_t wanted = std::max(sequence_ + 1, first);
    Next out{wanted - (sequence_ + 1), ring->lines[wanted - first]};
    sequence_ = wanted;
    return out;
}

}  // namespace eos::mini
