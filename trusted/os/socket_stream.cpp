// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/os/socket_stream.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "common/base/assert.h"

namespace eos::os {
namespace {

// Whoever was held up by the window had filled it. Whoever sent less at once has said all it had.
constexpr std::size_t kHeldUpBytes = SocketStream::kWindowBytes / 2;

bool is_passing(int error) {
    return error == EAGAIN || error == EINTR;
}

}  // namespace

std::size_t SocketStream::writable_bytes() const {
    if (closed_ || broken_) return 0;
    return kWindowBytes - (output_.size() - offset_);
}

void SocketStream::send(ByteView bytes) {
    EOS_ASSERT(bytes.size() <= writable_bytes());
    const std::size_t sent = output_.empty() ? send_now(bytes) : 0;
    append(output_, bytes.subspan(sent));
    needs_flush_ = needs_flush_ || !output_.empty() || bytes.size() >= kHeldUpBytes;
}

std::size_t SocketStream::send_now(ByteView bytes) {
    std::size_t sent = 0;
    while (sent < bytes.size() && !broken_) {
        const ByteView rest = bytes.subspan(sent);
        const ssize_t count = ::send(fd_.get(), rest.data(), rest.size(), MSG_NOSIGNAL);
        if (count < 0 && errno == EAGAIN) break;
        if (count < 0 && errno != EINTR) broken_ = true;
        if (count > 0) sent += static_cast<std::size_t>(count);
    }
    return sent;
}

ByteView SocketStream::receive(MutableByteView buffer) {
    const std::size_t room = kWindowBytes - std::min(unconsumed_, kWindowBytes);
    buffer = buffer.first(std::min(buffer.size(), room));
    if (buffer.empty() || has_ended_) return {};
    ssize_t count = ::recv(fd_.get(), buffer.data(), buffer.size(), 0);
    if (count < 0 && !is_passing(errno)) broken_ = true;
    if (count == 0) has_ended_ = true;
    buffer = buffer.first(count > 0 ? static_cast<std::size_t>(count) : 0);
    unconsumed_ += buffer.size();
    return buffer;
}

std::size_t SocketStream::discard() {
    ByteArray<16 * 1024> scratch;
    ssize_t count = ::recv(fd_.get(), scratch.data(), scratch.size(), 0);
    if (count < 0 && !is_passing(errno)) broken_ = true;
    if (count == 0) has_ended_ = true;
    return count > 0 ? static_cast<std::size_t>(count) : 0;
}

void SocketStream::flush() {
    offset_ += send_now(ByteView(output_).subspan(offset_));
    needs_flush_ = offset_ < output_.size();
    if (!needs_flush_) {
        // Most connections are idle most of the time: they keep nothing.
        output_ = Bytes();
        offset_ = 0;
    } else if (offset_ > output_.size() / 2) {
        output_.erase(output_.begin(), output_.begin() + static_cast<std::ptrdiff_t>(offset_));
        offset_ = 0;
    }
}

void SocketStream::shut_down() {
    if (::shutdown(fd_.get(), SHUT_WR) != 0) broken_ = true;
}

}  // namespace eos::os
