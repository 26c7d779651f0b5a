// SPDX-License-Identifier: AGPL-3.0-only
// What the workers of one enclave share: very little, and none of it on the path of a request.
#pragma once

#include <atomic>
#include <deque>
#include <functional>

#include "trusted/mini/mailbox.h"
#include "trusted/platform/platform.h"

namespace eos::mini {

/// threads: any.
class Hub {
  public:
    /// `platform` must outlive this.
    Hub(platform::Platform& platform, unsigned worker_count) : platform_(platform) {
        for (unsigned i = 0; i < worker_count; ++i) mailboxes_.emplace_back();
    }
    Hub(const Hub&) = delete;
    Hub& operator=(const Hub&) = delete;

    unsigned worker_count() const { return static_cast<unsigned>(mailboxes_.size()); }
    Mailbox& mailbox(unsigned worker) { return mailboxes_[worker]; }

    /// Runs `task` on that worker, soon.
    void post(unsigned worker, Mailbox::Task task) {
        mailboxes_[worker].post(std::move(task));
        platform_.wake(worker);
    }

    /// Challenge handshakes of all workers that wait for a quote.
    std::atomic<int>& pending_mints() { return pending_mints_; }

    /// Set once, when the program must end: every worker leaves its loop.
    void stop(boundary::Exit::Why why) {
        bool expected = false;
        if (!stopping_.compare_exchange_strong(expected, true)) return;
        why_ = why;
        for (unsigned i = 0; i < worker_count(); ++i) post(i, [] {});
    }
    /// A worker that was told to shut down has no connections left; the last one stops the program.
    void worker_drained() {
        if (drained_workers_.fetch_add(1) + 1 == worker_count())
            stop(boundary::Exit::Why::kRequested);
    }

    bool is_stopping() const { return stopping_; }
    boundary::Exit::Why why() const { return why_; }

  private:
    platform::Platform& platform_;
    std::deque<Mailbox> mailboxes_;  // a mailbox does not move
    std::atomic<int> pending_mints_{0};
    std::atomic<unsigned> drained_workers_{0};
    std::atomic<bool> stopping_{false};
    std::atomic<boundary::Exit::Why> why_{boundary::Exit::Why::kRequested};
};

}  // namespace eos::mini
