// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace eos::os {

/// Threads for what takes longer than an event loop may wait.
class WorkerPool {
  public:
    using Job = std::move_only_function<void()>;

    WorkerPool(std::size_t threads, std::size_t max_queued);
    /// Ends the jobs under way and drops those that wait.
    ~WorkerPool();
    WorkerPool(const WorkerPool&) = delete;
    WorkerPool& operator=(const WorkerPool&) = delete;

    /// False if as many jobs wait as may. threads: any.
    [[nodiscard]] bool submit(Job job);

    std::size_t queued() const;

  private:
    void run();

    const std::size_t max_queued_;
    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<Job> jobs_;
    bool stopping_ = false;
    std::vector<std::jthread> threads_;
};

}  // namespace eos::os
