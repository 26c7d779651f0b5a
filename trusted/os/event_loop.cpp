// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/os/event_loop.h"

#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "common/base/assert.h"

namespace eos::os {
namespace {

void control(int epoll_fd, int operation, int fd, epoll_event event) {
    EOS_ASSERT(::epoll_ctl(epoll_fd, operation, fd, &event) == 0);
}

epoll_event event_for(std::uint32_t events, void* whose) {
    epoll_event event{};
    event.events = events;
    event.data.ptr = whose;
    return event;
}

}  // namespace

EventLoop::EventLoop()
    : epoll_(::epoll_create1(EPOLL_CLOEXEC)), wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    EOS_ASSERT(epoll_.valid() && wake_.valid());
    control(epoll_.get(), EPOLL_CTL_ADD, wake_.get(), event_for(EPOLLIN, this));
}

void EventLoop::add(int fd, std::uint32_t events, EventHandler& handler) {
    control(epoll_.get(), EPOLL_CTL_ADD, fd, event_for(events, &handler));
}

void EventLoop::modify(int fd, std::uint32_t events, EventHandler& handler) {
    control(epoll_.get(), EPOLL_CTL_MOD, fd, event_for(events, &handler));
}

void EventLoop::remove(int fd, const EventHandler& handler) {
    control(epoll_.get(), EPOLL_CTL_DEL, fd, epoll_event{});
    for (epoll_event& event : pending_) {
        if (event.data.ptr == &handler) event.data.ptr = nullptr;
    }
}

void EventLoop::turn(int timeout_ms) {
    wait(timeout_ms);
    dispatch();
}

void EventLoop::wait(int timeout_ms) {
    int count =
        ::epoll_wait(epoll_.get(), events_.data(), static_cast<int>(events_.size()), timeout_ms);
    EOS_ASSERT(count >= 0 || errno == EINTR);
    pending_ = std::span(events_).first(static_cast<std::size_t>(count < 0 ? 0 : count));
}

void EventLoop::dispatch() {
    const auto is_wake = [this](const epoll_event& event) { return event.data.ptr == this; };
    if (std::ranges::any_of(pending_, is_wake)) run_posted();
    while (!pending_.empty()) {
        const epoll_event event = pending_.front();
        pending_ = pending_.subspan(1);
        if (is_wake(event) || event.data.ptr == nullptr) continue;  // null: was removed meanwhile
        static_cast<EventHandler*>(event.data.ptr)->on_events(event.events);
    }
}

void EventLoop::post(std::move_only_function<void()> work) {
    {
        std::lock_guard lock(mutex_);
        posted_.push_back(std::move(work));
    }
    std::uint64_t one = 1;
    // It fails only where the counter is full, and then the loop wakes anyway.
    (void)!::write(wake_.get(), &one, sizeof one);
}

void EventLoop::run_posted() {
    std::uint64_t count = 0;
    (void)!::read(wake_.get(), &count, sizeof count);
    std::vector<std::move_only_function<void()>> work;
    {
        std::lock_guard lock(mutex_);
        work.swap(posted_);
    }
    for (auto& one : work) one();
}

}  // namespace eos::os
