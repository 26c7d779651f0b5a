// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <optional>

#include "trusted/os/event_loop.h"
#include "trusted/os/worker_pool.h"
#include "trusted/runtime/interfaces.h"
#include "trusted/virtual/evidence/tee_evidence.h"

namespace eos::cvm {

/// Each kind has a bound of its own: challenges that fill theirs keep no renewal from its place.
inline constexpr std::size_t kMaxWaitingChallenges = 64;
inline constexpr std::size_t kMaxWaitingShared = 16;
/// From the request on; Linux asks a TDX host for up to 30 s.
inline constexpr std::chrono::seconds kQuoteDeadline{30};

/// Has evidence made on a thread of its own, one request in flight to the kernel.
/// threads: the loop's.
class QuoteQueue {
  public:
    /// Both outlive this.
    QuoteQueue(os::EventLoop& loop, TeeEvidence& evidence,
               std::chrono::seconds patience = kQuoteDeadline)
        : loop_(loop), evidence_(evidence), patience_(patience), thread_(1, 1) {}

    /// What many wait for goes first. Challenges are served round robin over the addresses that
    /// they come from, and when their places are full, who has the most waiting loses its last.
    /// in:     peer: whose challenge it is; none: many wait for it. It is the proxy's claim, and of
    ///         IPv6 the network: a proxy that lies takes time from its own clients only.
    /// errors: runtime::mint_busy (too many wait, also of one that has waited), evidence_deadline,
    ///         those of TeeEvidence::evidence().
    void request(const ratls::ReportData& report_data, const std::optional<ByteArray<16>>& peer,
                 runtime::Done<FreshEvidence> done);

    std::size_t waiting() const { return waiting_.size(); }

  private:
    struct Waiting {
        ratls::ReportData report_data;
        std::optional<ByteArray<16>> peer;
        std::uint64_t round;  ///< 0 without a peer; each peer has one place in a round
        Deadline deadline;
        runtime::Done<FreshEvidence> done;

        std::pair<bool, std::uint64_t> order() const { return {peer.has_value(), round}; }
    };
    void begin();
    void arrived(Waiting request, Result<FreshEvidence> evidence);

    os::EventLoop& loop_;
    TeeEvidence& evidence_;
    const std::chrono::seconds patience_;
    std::deque<Waiting> waiting_;  ///< in this order()
    std::uint64_t round_ = 0;      ///< of the challenge that was begun last
    bool is_busy_ = false;
    os::WorkerPool thread_;  // ends first
};

}  // namespace eos::cvm
