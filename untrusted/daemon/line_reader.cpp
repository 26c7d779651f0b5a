// SPDX-License-Identifier: AGPL-3.0-only
#include "untrusted/daemon/line_reader.h"

#include <array>
#include <cerrno>

namespace eos::daemon {
namespace {

constexpr unsigned kMaxReadsAtOnce = 16;  // a child that never stops talking must not hold the loop

}  // namespace

LineReader::LineReader(EventLoop& loop, UniqueFd pipe, OnLine on_line)
    : loop_(loop), pipe_(std::move(pipe)), on_line_(std::move(on_line)) {
    loop_.add(pipe_.get(), EPOLLIN, *this);
}

LineReader::~LineReader() {
    if (pipe_) loop_.remove(pipe_.get(), *this);
}

void LineReader::read() {
    for (unsigned i = 0; pipe_ && i < kMaxReadsAtOnce; ++i) {
        std::array<char, 4096> chunk;
        const ssize_t got = ::read(pipe_.get(), chunk.data(), chunk.size());
        if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
        if (got <= 0) return end();
        partial_.append(chunk.data(), static_cast<std::size_t>(got));
        cut_lines();
    }
}

void LineReader::cut_lines() {
    std::string_view rest = partial_;
    while (true) {
        const std::size_t end = rest.substr(0, kMaxLineBytes).find('\n');
        if (end != rest.npos) {
            on_line_(rest.substr(0, end));
            rest.remove_prefix(end + 1);
        } else if (rest.size() > kMaxLineBytes) {
            on_line_(rest.substr(0, kMaxLineBytes));
            rest.remove_prefix(kMaxLineBytes);
        } else {
            break;
        }
    }
    partial_.erase(0, partial_.size() - rest.size());
}

void LineReader::end() {
    if (!partial_.empty()) on_line_(partial_);
    partial_.clear();
    loop_.remove(pipe_.get(), *this);
    pipe_.reset();
}

}  // namespace eos::daemon
