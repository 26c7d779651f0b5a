// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/virtual/mint_protocol/frame_channel.h"

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace eos::cvm {
namespace {

/// What was sent is dropped from the queue once it is so much, and half of it.
constexpr std::size_t kKeptSentBytes = 64 * 1024;

}  // namespace

FrameChannel::FrameChannel(os::EventLoop& loop, os::UniqueFd fd, Limits limits, Events events)
    : loop_(loop),
      fd_(std::move(fd)),
      limits_(limits),
      events_(std::move(events)),
      reader_(limits.frame_bytes) {
    loop_.add(fd_.get(), EPOLLIN, *this);
}

FrameChannel::~FrameChannel() {
    if (is_watched_) loop_.remove(fd_.get(), *this);
}

void FrameChannel::send(const Bytes& frame) {
    if (is_closing_) return;
    if (queued_.size() - sent_ + frame.size() > limits_.queued_bytes) {
        return close("the other side does not read what it is sent");
    }
    append(queued_, frame);
    loop_.modify(fd_.get(), EPOLLIN | EPOLLOUT, *this);
}

// A socket that can be written to is an event that comes at once.
void FrameChannel::close(std::string why) {
    if (is_closing_) return;
    is_closing_ = true;
    why_ = std::move(why);
    loop_.modify(fd_.get(), EPOLLOUT, *this);
    ::shutdown(fd_.get(), SHUT_RDWR);
}

void FrameChannel::on_events(std::uint32_t events) {
    if (!is_closing_ && (events & EPOLLOUT) != 0) write();
    if (!is_closing_ && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) read();
    if (is_closing_) finish();
}

void FrameChannel::read() {
    std::array<std::byte, 64 * 1024> buffer;
    const ssize_t count = ::recv(fd_.get(), buffer.data(), buffer.size(), 0);
    if (count > 0) {
        reader_.receive(ByteView(buffer).first(static_cast<std::size_t>(count)));
        return hand_out();
    }
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
    close(count == 0 ? "the other side closed" : std::strerror(errno));
}

void FrameChannel::hand_out() {
    while (!is_closing_) {
        Result<std::optional<Bytes>> frame = reader_.next();
        if (!frame) return close(frame.error().message());
        if (!*frame) return;
        events_.frame(*std::move(*frame));
    }
}

void FrameChannel::write() {
    const ByteView rest = ByteView(queued_).subspan(sent_);
    const ssize_t count = ::send(fd_.get(), rest.data(), rest.size(), MSG_NOSIGNAL);
    if (count < 0) {
        if (errno != EAGAIN && errno != EINTR) close(std::strerror(errno));
        return;
    }
    sent_ += static_cast<std::size_t>(count);
    if (sent_ < queued_.size()) {
        if (sent_ < kKeptSentBytes || sent_ < queued_.size() / 2) return;
        queued_.erase(queued_.begin(), queued_.begin() + static_cast<std::ptrdiff_t>(sent_));
        sent_ = 0;
        return;
    }
    queued_.clear();
    sent_ = 0;
    loop_.modify(fd_.get(), EPOLLIN, *this);
}

void FrameChannel::finish() {
    if (!is_watched_) return;
    is_watched_ = false;
    loop_.remove(fd_.get(), *this);
    events_.closed(std::move(why_));
}

}  // namespace eos::cvm
