// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <deque>
#include <memory>
#include <unordered_map>
#include <vector>

#include "untrusted/daemon/connection.h"
#include "untrusted/daemon/counters.h"
#include "untrusted/daemon/worker_link.h"

namespace eos::daemon {

inline constexpr Code trusted_misbehaves{"untrusted/daemon", "trusted_misbehaves",
                                         "the trusted side broke the rules of connections"};

/// Who connected.
struct Peer {
    ByteArray<16> address{};  ///< IPv6; IPv4 as ::ffff:a.b.c.d
    std::uint16_t port = 0;
};

/// Hands out connection ids: strictly rising, never used again, also not by the next trusted
/// process.
class ConnectionIds {
  public:
    std::uint64_t next() { return ++last_; }
    std::uint64_t last() const { return last_; }

  private:
    std::uint64_t last_ = 0;
};

/// The client connections of one trusted process: bytes from sockets to rings and back, each
/// bounded by the window that its other end has granted. Destroying it resets them all. threads:
/// the loop's.
class Traffic : private ConnectionOwner {
  public:
    /// For a slow reader's last bytes: since it took the last of them, and in all.
    static constexpr Milliseconds kFlushTime{30'000};
    static constexpr Milliseconds kMaxFlushTime{120'000};
    /// For the client's own close, since its last bytes came, and in all.
    static constexpr Milliseconds kLingerTime{2'000};
    static constexpr Milliseconds kMaxLingerTime{10'000};
    /// More than a client can have sent before it sees the end: its system's send buffer and our
    /// receive buffer (Linux: 4 and 6 MiB at most, by default).
    static constexpr std::size_t kMaxDiscardedBytes = 16 << 20;

    /// All references must outlive this.
    Traffic(EventLoop& loop, std::deque<WorkerLink>& links, ConnectionIds& ids, Counters& counters);
    ~Traffic() override;

    /// Whether a worker has room for the news of another connection. While none has, clients wait
    /// in the kernel's queue, so that what waits here stays bounded though they come and go.
    bool can_adopt() const;

    /// Takes over an accepted, non-blocking socket and gives it to the worker with the fewest
    /// connections among those that have room for the news.
    void adopt(UniqueFd socket, const Peer& peer);

    /// A message of `worker` about a connection.
    /// errors: trusted_misbehaves, boundary::window_violated, those of WorkerLink::send.
    [[nodiscard]] Result<void> handle(unsigned worker, const boundary::DataToHost& message);

    /// The end of a turn: writes to sockets what handle() queued, grants credit, forgets what is
    /// gone, enforces time limits.
    /// errors: what on-socket work met since the last call: those of WorkerLink::send.
    [[nodiscard]] Result<void> finish_turn(MonotonicTime now);

    /// The trusted side is gone in good order: what it sent still goes out, then each connection
    /// ends.
    void close_all_after_flush();

    std::size_t count() const { return connections_.size(); }

  private:
    unsigned next_worker();
    void on_socket(Connection& connection, std::uint32_t events) override;

    Result<Connection*> find(unsigned worker, std::uint64_t id) const;
    Result<void> on_data(Connection& connection, ByteView bytes);
    Result<void> on_close(Connection& connection, boundary::ConnClose::How how);
    void close_after_flush(Connection& connection);

    bool would_read(const Connection& connection) const;
    bool has_room(const Connection& connection) const;
    void read(Connection& connection);
    void discard(Connection& connection);
    void write(Connection& connection);
    void all_sent(Connection& connection);
    void lost(Connection& connection);
    void bury(Connection& connection);
    void mark(Connection& connection);
    void update_watch(Connection& connection);
    void resume_paused();
    void enforce_close_times();
    bool takes_its_bytes(Connection& connection) const;
    void send(unsigned worker, const boundary::DataToTrusted& message);

    EventLoop& loop_;
    std::deque<WorkerLink>& links_;
    ConnectionIds& ids_;
    Counters& counters_;
    std::uint64_t first_id_;
    MonotonicTime now_{};
    unsigned next_worker_ = 0;  // where the search for the least loaded begins
    std::unordered_map<std::uint64_t, std::unique_ptr<Connection>> connections_;
    std::vector<std::unique_ptr<Connection>> graveyard_;  // kept until no event can refer to them
    std::vector<Connection*> marked_;                     // each lives at least until finish_turn
    std::vector<std::uint64_t> closing_;                  // those with a close_by
    std::vector<std::vector<std::uint64_t>> paused_;      // by worker: waiting for its ring's room
    Bytes scratch_;
    std::optional<Error> failure_;
};

}  // namespace eos::daemon
