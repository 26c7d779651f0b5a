// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <thread>
#include <variant>

#include "untrusted/daemon/bounded_queue.h"
#include "untrusted/daemon/quote_client.h"
#include "untrusted/daemon/service.h"

namespace eos::daemon {

/// One call of QuoteClient each, and where its outcome goes.
struct TargetInfoJob {
    Deadline deadline;
    Done<ByteArray<aesm::kTargetInfoBytes>> done;
};
struct QuoteJob {
    ByteArray<aesm::kReportBytes> report;
    Deadline deadline;
    Done<Bytes> done;
};
using QuotingJob = std::variant<TargetInfoJob, QuoteJob>;

/// A thread of its own for quotes, which are slow and one at a time on real hardware. A job whose
/// deadline passes while it waits is answered with quote_timed_out and costs the source nothing.
/// threads: any.
class QuoteService {
  public:
    static constexpr std::size_t kMaxQueuedJobs = 128;

    explicit QuoteService(std::string socket_path);
    /// Cancels what is under way and what was queued, then ends the thread.
    ~QuoteService();
    QuoteService(const QuoteService&) = delete;
    QuoteService& operator=(const QuoteService&) = delete;

    /// A full queue means service_busy at once.
    void submit(QuotingJob job);

  private:
    void run();
    void do_one(TargetInfoJob& job);
    void do_one(QuoteJob& job);

    QuoteClient client_;
    BoundedQueue<QuotingJob> queue_;
    std::thread thread_;
};

}  // namespace eos::daemon
