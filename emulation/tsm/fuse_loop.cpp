// SPDX-License-Identifier: AGPL-3.0-only
#include "emulation/tsm/fuse_loop.h"

#define FUSE_USE_VERSION 35
#include <fcntl.h>
#include <fuse3/fuse.h>
#include <fuse3/fuse_lowlevel.h>
#include <linux/fuse.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace eos::emulation::tsm {

namespace {

/// What is answered at once and in its place: it cannot wait, and others go by it.
bool goes_first(ByteView request) {
    ::fuse_in_header header{};
    if (request.size() < sizeof(header)) return false;
    std::memcpy(&header, request.data(), sizeof(header));
    return header.opcode == FUSE_INIT || header.opcode == FUSE_RELEASE ||
           header.opcode == FUSE_INTERRUPT;
}

/// Memory that libfuse allocates at the first use.
struct ReceiveBuffer {
    ReceiveBuffer() = default;
    ReceiveBuffer(const ReceiveBuffer&) = delete;
    ReceiveBuffer& operator=(const ReceiveBuffer&) = delete;
    ~ReceiveBuffer() { std::free(buffer.mem); }

    ::fuse_buf buffer{};
};

}  // namespace

FuseLoop::FuseLoop(::fuse* fuse)
    : session_(::fuse_get_session(fuse)), stop_(::eventfd(0, EFD_CLOEXEC)) {
    // A request that was announced may be taken back.
    const int fd = ::fuse_session_fd(session_);
    ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
    receiver_ = std::thread([this] { receive(); });
}

FuseLoop::~FuseLoop() {
    ::eventfd_write(stop_, 1);
    receiver_.join();
    ::close(stop_);
    {
        const std::lock_guard lock(mutex_);
        ended_ = true;
    }
    wake_.notify_all();
    for (std::thread& worker : workers_) worker.join();
}

/// Whether there may be one; not once this loop is to end.
bool FuseLoop::wait_for_request() const {
    std::array<::pollfd, 2> files{
        {{.fd = ::fuse_session_fd(session_), .events = POLLIN, .revents = 0},
         {.fd = stop_, .events = POLLIN, .revents = 0}}};
    while (::poll(files.data(), files.size(), -1) < 0 && errno == EINTR) {
    }
    return files[1].revents == 0;
}

void FuseLoop::receive() {
    ReceiveBuffer memory;
    while (wait_for_request()) {
        const int size = ::fuse_session_receive_buf(session_, &memory.buffer);
        if (size == -EINTR || size == -EAGAIN) continue;
        if (size <= 0) return;
        Bytes request = to_bytes(ByteView(static_cast<const std::byte*>(memory.buffer.mem),
                                          static_cast<std::size_t>(size)));
        if (goes_first(request)) {
            answer(request);
        } else {
            hand_on(std::move(request));
        }
    }
}

void FuseLoop::hand_on(Bytes request) {
    const std::lock_guard lock(mutex_);
    queue_.push_back(std::move(request));
    if (queue_.size() > idle_ && workers_.size() < kMaxFuseThreads)
        workers_.emplace_back([this] { work(); });
    wake_.notify_one();
}

void FuseLoop::work() {
    std::unique_lock lock(mutex_);
    for (;;) {
        ++idle_;
        wake_.wait(lock, [this] { return ended_ || !queue_.empty(); });
        --idle_;
        if (queue_.empty()) return;
        Bytes request = std::move(queue_.front());
        queue_.pop_front();
        lock.unlock();
        answer(request);
        lock.lock();
    }
}

void FuseLoop::answer(Bytes& request) {
    ::fuse_buf buffer{};
    buffer.size = request.size();
    buffer.mem = request.data();
    ::fuse_session_process_buf(session_, &buffer);
}

}  // namespace eos::emulation::tsm
