// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/os/line_sink.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

namespace eos::os {
namespace {

using namespace std::chrono_literals;

void write_all(int fd, std::string_view rest) {
    while (!rest.empty()) {
        const ssize_t count = ::write(fd, rest.data(), rest.size());
        if (count < 0 && errno == EINTR) continue;
        // A log that is gone is not worth stopping for.
        if (count <= 0) return;
        rest.remove_prefix(static_cast<std::size_t>(count));
    }
}

}  // namespace

struct LineSink::Queue {
    explicit Queue(int descriptor) : fd(descriptor) {}

    bool is_done() const { return waiting.empty() && !is_writing; }

    /// The thread's work.
    void run() {
        std::unique_lock lock(mutex);
        while (true) {
            changed.wait(lock, [this] { return !waiting.empty() || is_over; });
            if (waiting.empty()) return;
            const std::string lines = std::exchange(waiting, {});
            is_writing = true;
            lock.unlock();
            write_all(fd, lines);
            lock.lock();
            is_writing = false;
            changed.notify_all();
        }
    }

    const int fd;
    std::mutex mutex;
    std::condition_variable changed;
    std::string waiting;
    bool is_started = false;
    bool is_writing = false;
    bool is_over = false;
};

LineSink::LineSink(int fd) : queue_(std::make_shared<Queue>(fd)) {}

LineSink::~LineSink() {
    std::unique_lock lock(queue_->mutex);
    queue_->is_over = true;
    queue_->changed.notify_all();
    queue_->changed.wait_for(lock, 1s, [this] { return queue_->is_done(); });
}

void LineSink::write(std::string_view lines, std::size_t room) {
    const std::lock_guard lock(queue_->mutex);
    if (queue_->waiting.size() + lines.size() > room) {
        dropped_ += static_cast<std::uint64_t>(std::ranges::count(lines, '\n'));
        return;
    }
    queue_->waiting += lines;
    if (!std::exchange(queue_->is_started, true)) {
        std::thread([queue = queue_] { queue->run(); }).detach();
    }
    queue_->changed.notify_all();
}

}  // namespace eos::os
