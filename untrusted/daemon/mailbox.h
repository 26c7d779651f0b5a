// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <functional>
#include <mutex>
#include <vector>

#include "untrusted/daemon/event_loop.h"

namespace eos::daemon {

/// Brings the outcomes of other threads to the loop's thread. Bounded by those who post: each
/// posts once for a job of a bounded queue. threads: post() any, the rest the loop's.
class Mailbox : public EventHandler {
  public:
    using Letter = std::move_only_function<void()>;

    explicit Mailbox(EventLoop& loop);
    ~Mailbox() override;
    Mailbox(const Mailbox&) = delete;
    Mailbox& operator=(const Mailbox&) = delete;

    /// `letter` runs on the loop's thread in one of its next turns, in the order of the posts;
    /// never if the mailbox dies first.
    void post(Letter letter);

    void on_events(std::uint32_t events) override;

  private:
    EventLoop& loop_;
    UniqueFd ready_;
    std::mutex mutex_;
    std::vector<Letter> letters_;
};

}  // namespace eos::daemon
