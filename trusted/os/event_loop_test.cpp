// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/os/event_loop.h"

#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <string>

#include "trusted/os/unique_fd.h"

namespace eos::os {
namespace {

class Noting final : public EventHandler {
  public:
    explicit Noting(std::string& notes) : notes_(notes) {}
    void on_events(std::uint32_t) override { notes_ += 'e'; }

  private:
    std::string& notes_;
};

TEST(EventLoop, WhatWasPostedHoldsForWhatComesInTheSameTurn) {
    EventLoop loop;
    std::string notes;
    Noting first(notes), second(notes);
    const UniqueFd ready(::eventfd(1, EFD_NONBLOCK)), also_ready(::eventfd(1, EFD_NONBLOCK));
    loop.add(ready.get(), EPOLLIN, first);
    loop.add(also_ready.get(), EPOLLIN, second);
    loop.post([&] {
        notes += 'p';
        loop.remove(ready.get(), first);  // and what was in store for it
    });
    loop.turn(0);
    EXPECT_EQ(notes, "pe");
    loop.remove(also_ready.get(), second);
}

}  // namespace
}  // namespace eos::os
