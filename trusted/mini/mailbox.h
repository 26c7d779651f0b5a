// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <mutex>

namespace eos::mini {

/// Work that other workers hand to this one. Little of it: changes of what is served, and the
/// requests and answers of the management API, so a lock is cheap here. threads: post() and
/// has_work() any, run_all() the owner.
class Mailbox {
  public:
    using Task = std::move_only_function<void()>;

    /// The poster then wakes the owner (Platform::wake).
    void post(Task task) {
        std::lock_guard lock(mutex_);
        tasks_.push_back(std::move(task));
        has_work_.store(true, std::memory_order_release);
    }

    bool has_work() const { return has_work_.load(std::memory_order_acquire); }

    /// Runs what was posted before this call, in order.
    void run_all() {
        if (!has_work()) return;
        std::deque<Task> tasks;
        {
            std::lock_guard lock(mutex_);
            tasks.swap(tasks_);
            has_work_.store(false, std::memory_order_release);
        }
        for (Task& task : tasks) task();
    }

  private:
    std::mutex mutex_;
    std::deque<Task> tasks_;
    std::atomic<bool> has_work_{false};
};

}  // namespace eos::mini
