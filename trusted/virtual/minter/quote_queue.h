// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <cstddef>
#include <deque>
#include <functional>

#include "trusted/os/event_loop.h"
#include "trusted/os/worker_pool.h"
#include "trusted/runtime/interfaces.h"
#include "trusted/virtual/evidence/tee_evidence.h"

namespace eos::cvm {

inline constexpr std::size_t kMaxWaitingQuotes = 64;
/// From the request on; Linux asks a TDX host for up to 30 s.
inline constexpr std::chrono::seconds kQuoteDeadline{30};

/// Who is served first: what many wait for, then a peer's challenge.
enum class Urgency : std::uint8_t { kShared, kChallenge };

/// Has evidence made on a thread of its own, one request in flight to the kernel.
/// threads: the loop's.
class QuoteQueue {
  public:
    /// Both outlive this.
    QuoteQueue(os::EventLoop& loop, TeeEvidence& evidence)
        : loop_(loop), evidence_(evidence), thread_(1, 1) {}

    /// errors: runtime::mint_busy (kMaxWaitingQuotes wait), evidence_deadline, those of
    ///         TeeEvidence::evidence().
    void request(const ratls::ReportData& report_data, Urgency urgency,
                 runtime::Done<FreshEvidence> done);

    std::size_t waiting() const { return waiting_.size(); }

  private:
    struct Waiting {
        ratls::ReportData report_data;
        Urgency urgency;
        Deadline deadline;
        runtime::Done<FreshEvidence> done;
    };
    void begin();
    void arrived(Waiting request, Result<FreshEvidence> evidence);

    os::EventLoop& loop_;
    TeeEvidence& evidence_;
    std::deque<Waiting> waiting_;
    bool is_busy_ = false;
    os::WorkerPool thread_;  // ends first
};

}  // namespace eos::cvm
