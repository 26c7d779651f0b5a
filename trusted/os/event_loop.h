// SPDX-License-Identifier: AGPL-3.0-only
// One thread's epoll, with a way in for others.
#pragma once

#include <sys/epoll.h>

#include <array>
#include <cstdint>
#include <functional>
#include <mutex>
#include <span>
#include <vector>

#include "trusted/os/unique_fd.h"

namespace eos::os {

/// Hears of what happens on a descriptor.
class EventHandler {
  public:
    virtual ~EventHandler() = default;
    /// in: EPOLLIN, EPOLLOUT, EPOLLRDHUP, EPOLLERR, EPOLLHUP. May remove any handler, itself
    /// included.
    virtual void on_events(std::uint32_t events) = 0;
};

/// Level-triggered. threads: one, the loop's, but for post().
class EventLoop {
  public:
    EventLoop();

    /// `handler` must be removed before it or its descriptor dies.
    void add(int fd, std::uint32_t events, EventHandler& handler);
    void modify(int fd, std::uint32_t events, EventHandler& handler);
    /// Also drops what this turn has still in store for the handler.
    void remove(int fd, const EventHandler& handler);

    /// wait(), then dispatch().
    void turn(int timeout_ms);
    /// Waits up to `timeout_ms` for something to do.
    void wait(int timeout_ms);
    /// Does what wait() found: runs what was posted, then hands events to their handlers. What
    /// other threads decided before something came from outside holds for it.
    void dispatch();

    /// Has `work` run by the loop's thread, in its next turn. threads: any.
    void post(std::move_only_function<void()> work);

  private:
    void run_posted();

    UniqueFd epoll_;
    UniqueFd wake_;
    std::array<epoll_event, 256> events_{};
    std::span<epoll_event> pending_;
    std::mutex mutex_;
    std::vector<std::move_only_function<void()>> posted_;
};

}  // namespace eos::os
