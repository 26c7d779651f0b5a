// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <deque>
#include <optional>

#include "boundary/endpoint.h"
#include "common/base/result.h"
#include "untrusted/daemon/event_loop.h"

namespace eos::daemon {

/// The host's end of one worker's rings, with a place to wait for what does not fit at once, so
/// that no message is lost and none overtakes another. threads: the loop's.
class WorkerLink {
  public:
    /// `signals` and the block behind `layout` must outlive the link.
    WorkerLink(const boundary::Layout& layout, unsigned worker, boundary::HostSignals& signals)
        : endpoint_(layout, worker, signals) {}

    /// Sends now or, in order, when there is room. Bytes are copied if they have to wait.
    /// errors: those of HostWorkerEndpoint::send.
    [[nodiscard]] Result<void> send(const boundary::DataToTrusted& message);
    [[nodiscard]] Result<void> send(const boundary::RpcToTrusted& message);

    /// Moves what waits into the rings as far as there is room.
    /// errors: those of HostWorkerEndpoint::send.
    [[nodiscard]] Result<void> send_waiting();

    /// While false, nothing more is read from this worker's sockets: what waits stays bounded by
    /// one read and a few words for each connection.
    bool data_has_room() const { return data_.empty(); }
    /// While false, no request of this worker is taken from its ring.
    bool takes_requests() const { return rpc_.size() < kMaxWaitingReplies; }

    /// Whether the worker has left messages where they are for longer than kStuckAfter; to be asked
    /// every turn. An honest worker looks at its rings after a slice of a call, milliseconds later.
    bool is_stuck(MonotonicTime now);
    static constexpr Milliseconds kStuckAfter{10'000};

    /// Whether anything was sent since the last call: an answer may come soon.
    bool take_sent() { return std::exchange(sent_, false); }

    boundary::HostWorkerEndpoint& endpoint() { return endpoint_; }
    const boundary::HostWorkerEndpoint& endpoint() const { return endpoint_; }

    std::size_t connection_count = 0;
    std::size_t requests_under_way = 0;

  private:
    static constexpr std::size_t kMaxWaitingReplies = 64;

    struct WaitingData {
        boundary::DataToTrusted message;
        Bytes bytes;  // what a ConnData in `message` refers to
    };

    boundary::HostWorkerEndpoint endpoint_;
    std::deque<WaitingData> data_;
    std::deque<boundary::RpcToTrusted> rpc_;
    bool sent_ = false;
    std::uint64_t taken_bytes_ = 0;
    MonotonicTime moved_at_ = MonotonicTime::max();  // when is_stuck() last saw nothing wait
};

}  // namespace eos::daemon
