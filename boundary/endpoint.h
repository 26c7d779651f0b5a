// SPDX-License-Identifier: AGPL-3.0-only
// The two ends of one worker's rings, typed. The daemon holds a HostWorkerEndpoint for each worker,
// the enclave's worker a TrustedWorkerEndpoint. Neither end ever waits inside send() or receive().
#pragma once

#include <cstdint>
#include <optional>
#include <variant>

#include "boundary/doorbell.h"
#include "boundary/from_host.h"
#include "boundary/layout.h"
#include "boundary/messages.h"
#include "boundary/ring.h"
#include "boundary/speculation.h"
#include "common/base/result.h"

namespace eos::boundary {

/// Four rings and two bells seen from one side. Not used by itself.
class EndpointCore {
  public:
    enum class Side { kTrusted, kHost };
    EndpointCore(const Layout& layout, unsigned worker, Side side);

    RingConsumer& data_in() { return data_in_; }
    RingConsumer& rpc_in() { return rpc_in_; }

    RingProducer& data_out() { return data_out_; }
    RingProducer& rpc_out() { return rpc_out_; }
    const RingProducer& data_out() const { return data_out_; }
    const RingProducer& rpc_out() const { return rpc_out_; }

    /// Publishes and releases; whether the other side must be woken for it.
    bool flush();
    bool has_work() const;
    /// Announces sleep and looks once more. A value: sleep while the bell has it. Nothing: there is
    /// work. In both cases awake() comes next.
    std::optional<std::uint32_t> announce_sleep();
    void awake();

  private:
    RingConsumer data_in_;
    RingConsumer rpc_in_;
    RingProducer data_out_;
    RingProducer rpc_out_;
    BellOwner own_bell_;
    BellRinger other_bell_;
};

/// How a trusted worker sleeps and reaches the host: the platform.
class TrustedSignals {
  public:
    virtual ~TrustedSignals() = default;
    /// Sleeps while the worker's bell has the value `expected`, at most `timeout_ms`
    /// (kNoTimeout: for ever). May return early for no reason.
    virtual void wait(unsigned worker, std::uint32_t expected, std::uint32_t timeout_ms) = 0;
    /// Wakes the host side of this worker.
    virtual void notify(unsigned worker) = 0;
};
inline constexpr std::uint32_t kNoTimeout = ~std::uint32_t{0};

using FromHostData = std::variant<FromHost<ConnOpened>, FromHost<ConnData>, FromHost<ConnCredit>,
                                  FromHost<ConnEnded>>;
using FromHostRpc = std::variant<FromHost<Reply>, FromHost<Shutdown>>;

/// The trusted end. Every error of it means that the host is hostile or broken: the program ends.
/// threads: one, the worker's.
class TrustedWorkerEndpoint {
  public:
    /// `signals` must outlive the endpoint, and so must the block behind `layout`.
    TrustedWorkerEndpoint(const Layout& layout, unsigned worker, TrustedSignals& signals);

    /// The next message about connections, or nothing. The bytes of ConnData are in trusted memory,
    /// valid until the next receive_data().
    /// errors: ring_violated, unknown_message, malformed_message, message_too_large.
    [[nodiscard]] Result<std::optional<FromHostData>> receive_data();

    /// The next reply or notice, or nothing. errors: as receive_data().
    [[nodiscard]] Result<std::optional<FromHostRpc>> receive_rpc();

    /// Queues a message; kFull: try again after the next wait(), which ends when there is room.
    /// errors: ring_violated; malformed_message, message_too_large (the message, not the host).
    [[nodiscard]] Result<Push> send(const DataToHost& message);
    [[nodiscard]] Result<Push> send(const RpcToHost& message);

    /// Makes visible what was sent and received, and wakes the host if it sleeps. Once a turn.
    void flush();

    /// Flushes, then returns when there is a message, when there is room after kFull, when
    /// `has_other_work()` (say, from another worker, which then calls Platform::wake), or after
    /// `timeout_ms`; and now and then for no reason.
    template <typename HasOtherWork>
    void wait(std::uint32_t timeout_ms, HasOtherWork&& has_other_work) {
        flush();
        if (timeout_ms != 0 && !spin(has_other_work)) {
            std::optional<std::uint32_t> expected = core_.announce_sleep();
            if (expected && !has_other_work()) signals_.wait(worker_, *expected, timeout_ms);
        }
        core_.awake();
    }

    unsigned worker() const { return worker_; }

  private:
    // Whether there is work, after spinning for as long as that pays.
    template <typename HasOtherWork>
    bool spin(HasOtherWork& has_other_work) {
        if (core_.has_work() || has_other_work()) return true;
        const std::uint32_t turns = spin_.turns();
        for (std::uint32_t i = 0; i < turns; ++i) {
            spin_hint();
            if (!core_.has_work()) continue;
            spin_.learn(AdaptiveSpin::Outcome::kRewarded);
            return true;
        }
        if (turns != 0) spin_.learn(AdaptiveSpin::Outcome::kFruitless);
        return false;
    }

    EndpointCore core_;
    AdaptiveSpin spin_;
    TrustedSignals& signals_;
    unsigned worker_;
};

/// How the host wakes a trusted worker: a futex on Layout::trusted_bell(worker).sequence.
class HostSignals {
  public:
    virtual ~HostSignals() = default;
    virtual void wake(unsigned worker) = 0;
};

/// The host's end. An error of it means that the trusted process is broken: it is ended and
/// restarted. threads: one at a time; all workers' ends may share a thread.
class HostWorkerEndpoint {
  public:
    /// `signals` must outlive the endpoint, and so must the block behind `layout`.
    HostWorkerEndpoint(const Layout& layout, unsigned worker, HostSignals& signals);

    /// The next message, or nothing. The bytes of ConnData are valid until the next receive_data().
    /// errors: ring_violated, unknown_message, malformed_message, message_too_large.
    [[nodiscard]] Result<std::optional<DataToHost>> receive_data();
    [[nodiscard]] Result<std::optional<RpcToHost>> receive_rpc();

    /// Queues a message; kFull: try again after the next wake-up.
    /// errors: ring_violated; malformed_message, message_too_large (the message).
    [[nodiscard]] Result<Push> send(const DataToTrusted& message);
    [[nodiscard]] Result<Push> send(const RpcToTrusted& message);

    /// Makes visible what was sent and received, and wakes the worker if it sleeps. Once a turn.
    void flush();

    /// Whether receive would yield something, or room was given after kFull: to spin on, for
    /// AdaptiveSpin::turns() turns, before sleeping.
    bool has_work() const { return core_.has_work(); }

    /// Whether the worker has taken everything that was made visible to it, and a number that
    /// changes whenever it takes something. Hints, to tell a worker that stands still.
    bool all_taken() const { return core_.data_out().all_taken() && core_.rpc_out().all_taken(); }
    std::uint64_t taken_bytes() const {
        return core_.data_out().taken_bytes() + core_.rpc_out().taken_bytes();
    }

    /// Flushes and announces that this side sleeps. True: sleep until the eventfd is readable, then
    /// call awake(). False: there is work now; do not sleep.
    bool prepare_sleep();
    void awake() { core_.awake(); }

    unsigned worker() const { return worker_; }

  private:
    EndpointCore core_;
    HostSignals& signals_;
    unsigned worker_;
};

}  // namespace eos::boundary
