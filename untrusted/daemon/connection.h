// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <optional>

#include "boundary/credit.h"
#include "common/base/bytes.h"
#include "untrusted/daemon/event_loop.h"

namespace eos::daemon {

class Connection;

/// Hears of events on a connection's socket.
class ConnectionOwner {
  public:
    virtual ~ConnectionOwner() = default;
    virtual void on_socket(Connection& connection, std::uint32_t events) = 0;
};

/// One client's TCP connection and its flow control. Belongs to one worker for its whole life.
/// threads: the loop's.
class Connection : public EventHandler {
  public:
    enum class Phase {
        kOpen,       ///< both sides may send
        kFlushing,   ///< the trusted side has closed; what it sent before still goes out
        kLingering,  ///< all has gone out and our half is closed; the client's rest is discarded
        kGone,       ///< about to be destroyed at the end of this turn
    };

    /// What is left of a socket operation's outcome once retries are taken care of.
    enum class Io { kDone, kWouldBlock, kEndOfStream, kFailed };
    struct IoOutcome {
        Io io;
        std::size_t size_bytes = 0;  ///< for kDone
    };

    Connection(EventLoop& loop, ConnectionOwner& owner, UniqueFd socket, std::uint64_t id,
               unsigned worker);
    ~Connection() override;
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    void on_events(std::uint32_t events) override { owner_.on_socket(*this, events); }

    std::uint64_t id() const { return id_; }
    unsigned worker() const { return worker_; }

    IoOutcome read_some(MutableByteView out);
    /// Writes what waits, as far as the socket takes it.
    IoOutcome write_waiting();
    /// More to write; what waits is at most one window (from_trusted.arrived has seen to it).
    void queue(ByteView bytes);
    bool has_waiting() const { return waiting_.size() > written_; }

    /// Tells epoll what this connection waits for; costs nothing if that has not changed.
    void watch(std::uint32_t events);

    /// What the client's system has not acknowledged yet, of all that was to be sent.
    std::size_t unacknowledged_bytes() const;

    void shut_down_sending();
    /// Makes the close that follows a reset instead of an orderly end.
    void reset_on_close();

    Phase phase = Phase::kOpen;
    bool client_ended = false;              ///< the client's half is closed, and the worker knows
    bool marked_for_flush = false;          ///< in this turn's list of connections to write
    bool paused = false;                    ///< in the list of those that wait for room in a ring
    std::size_t discarded_bytes = 0;        ///< while lingering
    MonotonicTime linger_end{};             ///< when that ends at the latest
    std::optional<MonotonicTime> close_by;  ///< set when phase leaves kOpen
    std::size_t unacknowledged_then = SIZE_MAX;  ///< when its close was last looked at
    MonotonicTime stalled_at{};                  ///< when a client that takes nothing is given up
    MonotonicTime flush_end{};                   ///< when one that takes little is
    boundary::SendWindow to_trusted;
    boundary::ReceiveWindow from_trusted;

  private:
    EventLoop& loop_;
    ConnectionOwner& owner_;
    UniqueFd socket_;
    std::uint64_t id_;
    unsigned worker_;
    std::uint32_t watched_ = EPOLLIN;  // what nearly every connection begins with
    Bytes waiting_;                    // at most one window
    std::size_t written_ = 0;          // of waiting_
};

}  // namespace eos::daemon
