// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <utility>
#include <vector>

namespace eos::daemon {

/// What became of an item given to a queue.
enum class Queued { kYes, kFull, kClosed };

/// Items from any thread to one thread, in order, at most `limit` of them. threads: any.
template <typename T>
class BoundedQueue {
  public:
    explicit BoundedQueue(std::size_t limit) : limit_(limit) {}
    BoundedQueue(const BoundedQueue&) = delete;
    BoundedQueue& operator=(const BoundedQueue&) = delete;

    /// Never waits. `item` is moved from only if the answer is kYes.
    Queued push(T& item) {
        {
            std::lock_guard lock(mutex_);
            if (closed_) return Queued::kClosed;
            if (items_.size() >= limit_) return Queued::kFull;
            items_.push_back(std::move(item));
        }
        ready_.notify_one();
        return Queued::kYes;
    }

    /// Waits for items and takes up to `max_count`; empty only when the queue is closed and
    /// drained.
    std::vector<T> pop(std::size_t max_count) {
        std::unique_lock lock(mutex_);
        ready_.wait(lock, [this] { return closed_ || !items_.empty(); });
        std::vector<T> out;
        while (!items_.empty() && out.size() < max_count) {
            out.push_back(std::move(items_.front()));
            items_.pop_front();
        }
        return out;
    }

    /// Refuses further items; what was accepted can still be taken.
    void close() {
        {
            std::lock_guard lock(mutex_);
            closed_ = true;
        }
        ready_.notify_all();
    }

    std::size_t size() const {
        std::lock_guard lock(mutex_);
        return items_.size();
    }

  private:
    const std::size_t limit_;
    mutable std::mutex mutex_;
    std::condition_variable ready_;
    std::deque<T> items_;
    bool closed_ = false;
};

}  // namespace eos::daemon
