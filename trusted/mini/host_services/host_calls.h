// SPDX-License-Identifier: AGPL-3.0-only
// Asking the host for something without waiting for it. Every call has an id and a deadline; the
// answer, or the deadline, resumes whoever asked. The host may answer late, twice, about calls
// never made, or with another kind of answer: none of that reaches a caller as an answer to its
// question.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>

#include "boundary/endpoint.h"
#include "common/base/result.h"

namespace eos::mini {

inline constexpr Code host_timed_out{"trusted/mini", "host_timed_out",
                                     "the host did not answer in time"};
inline constexpr Code host_failed{"trusted/mini", "host_failed", "the host could not do it"};
inline constexpr Code host_overloaded{"trusted/mini", "host_overloaded",
                                      "too many requests to the host are under way"};
inline constexpr Code host_misbehaved{"trusted/mini", "host_misbehaved",
                                      "the host's answer does not fit the question"};

/// Requests of one worker that wait for an answer at the same time, and those that wait for room.
inline constexpr std::size_t kMaxHostCalls = 512;

/// threads: one, the worker's.
class HostCalls {
  public:
    using Body = decltype(boundary::Reply::body);
    using Done = std::move_only_function<void(Result<Body>)>;

    /// `endpoint` must outlive this.
    explicit HostCalls(boundary::TrustedWorkerEndpoint& endpoint) : endpoint_(endpoint) {}

    /// Sends `request`, whose head is filled in here, and calls `done` exactly once, not before
    /// this returns. Calls are sent in the order in which they were made.
    /// errors: host_timed_out, host_failed (what the host said), host_overloaded.
    template <typename Request>
    void call(Request request, std::uint32_t deadline_ms, Done done) {
        request.head = begin(deadline_ms, std::move(done));
        if (request.head.request_id != 0) send(std::move(request));
    }

    /// A message that is not answered: Log, Status, Exit. Dropped when too many wait for room.
    template <typename Notice>
    void tell(Notice notice) {
        if (unsent_.size() < kMaxHostCalls) send(std::move(notice));
    }

    /// An answer from the ring. Answers to calls that are over, or were never made, are dropped.
    void answered(boundary::FromHost<boundary::Reply> reply);

    /// Sends what found no room, ends calls whose deadline has passed, and reports calls that never
    /// got through. Once a turn of the worker's loop.
    void turn(std::uint64_t now_ms);

    /// When turn() must run next; nothing if no call is under way.
    std::optional<std::uint64_t> next_deadline_ms() const;

    /// Whether the ring itself failed: the host broke its rules, and the program must end.
    bool is_broken() const { return broken_; }

  private:
    struct Waiting {
        std::uint64_t deadline_ms = 0;
        Done done;
    };

    boundary::RequestHead begin(std::uint32_t deadline_ms, Done done);
    void send(boundary::RpcToHost message);
    void finish(std::uint64_t request_id, Result<Body> outcome);

    boundary::TrustedWorkerEndpoint& endpoint_;
    std::map<std::uint64_t, Waiting> waiting_;
    std::multimap<std::uint64_t, std::uint64_t> deadlines_;  // deadline -> request id
    std::deque<boundary::RpcToHost> unsent_;
    std::deque<Done> refused_;  // calls beyond kMaxHostCalls, told at the next turn
    std::uint64_t last_id_ = 0;
    std::uint64_t now_ms_ = 0;
    bool broken_ = false;
};

/// The answer as a T, or why it is none.
/// errors: host_failed, host_misbehaved, those of the call.
template <typename T>
[[nodiscard]] Result<T> expect_answer(Result<HostCalls::Body> outcome) {
    HostCalls::Body body = EOS_TRY(std::move(outcome));
    if (T* answer = std::get_if<T>(&body)) return std::move(*answer);
    return fail(host_misbehaved);
}

}  // namespace eos::mini
