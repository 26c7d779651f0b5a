// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <sys/epoll.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <span>

#include "untrusted/daemon/unique_fd.h"

namespace eos::daemon {

using MonotonicTime = std::chrono::steady_clock::time_point;
using Milliseconds = std::chrono::milliseconds;

/// Hears of what happens on a descriptor.
class EventHandler {
  public:
    virtual ~EventHandler() = default;
    /// in: EPOLLIN, EPOLLOUT, EPOLLERR, EPOLLHUP. May remove any handler, itself included.
    virtual void on_events(std::uint32_t events) = 0;
};

/// Level-triggered epoll. threads: one, the loop's.
class EventLoop {
  public:
    EventLoop();

    /// `handler` must be removed before it or its descriptor dies.
    void add(int fd, std::uint32_t events, EventHandler& handler);
    void modify(int fd, std::uint32_t events, EventHandler& handler);
    /// Also drops what this turn has still in store for the handler.
    void remove(int fd, const EventHandler& handler);

    /// Waits up to `timeout` for events and hands each to its handler.
    void turn(Milliseconds timeout);

  private:
    UniqueFd epoll_;
    std::array<epoll_event, 256> events_{};
    std::span<epoll_event> pending_;
};

}  // namespace eos::daemon
