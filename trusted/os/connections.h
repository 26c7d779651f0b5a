// SPDX-License-Identifier: AGPL-3.0-only
// The service's open connections: sockets below the runtime's TLS and HTTP.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "trusted/os/event_loop.h"
#include "trusted/runtime/server_connection.h"

namespace eos::os {

/// The part of an address that limits are kept by: of IPv6 the upper half, which is one network; of
/// IPv4, mapped into IPv6, all.
ByteArray<16> network_of(const ByteArray<16>& address);

/// What a connection begins with before TLS, where a load balancer says whom it speaks for.
struct Preface {
    std::size_t size = 0;
    std::optional<ByteArray<16>> client;  ///< absent: the socket's peer
};
/// Reads it from everything received so far; nothing: more is needed.
using ReadPreface = Result<std::optional<Preface>> (*)(ByteView);

/// How long it may take, and its size at most.
inline constexpr std::uint64_t kPrefaceMs = 5'000;
inline constexpr std::size_t kMaxPrefaceBytes = 8 * 1024;

/// threads: the loop's.
class Connections {
  public:
    struct Limits {
        std::size_t in_all = 1024;
        std::size_t per_address = 64;
    };

    /// All must outlive this.
    Connections(EventLoop& loop, const ratls::ServerContext& tls,
                runtime::ConnectionServices& services, Limits limits);
    ~Connections();

    /// Takes a connection, or closes it if there are too many. `preface`: what it begins with, if
    /// anything; the limit of one address then counts for the client named there.
    void accepted(UniqueFd fd, const ByteArray<16>& peer_address, ReadPreface preface = nullptr);

    /// The same without TLS, for a process of this machine that the caller knows. No limit of one
    /// address counts, and whatever is served, it is shown no leaf.
    void accepted_plain(UniqueFd fd);

    /// Runs timers that are due and forgets connections that are over. Once a turn of the loop,
    /// after everything else.
    void turn();
    std::optional<std::uint64_t> next_deadline_ms() const;

    void served_changed(const runtime::Served& served, std::uint64_t drain_ms);
    /// Drains all and takes no new ones.
    void drain_all(std::uint64_t drain_ms);

    std::size_t count() const { return rows_.size(); }

    /// How many of them let what is under way end, and take no more.
    std::size_t draining() const { return draining_; }

    struct Counters {
        std::uint64_t opened = 0;
        std::uint64_t refused_in_all = 0;  ///< for the limits, by which of them
        std::uint64_t refused_per_address = 0;
        std::uint64_t handshakes_failed = 0;  ///< or what comes before them; without the refused

        std::uint64_t refused() const { return refused_in_all + refused_per_address; }
    };
    const Counters& counters() const { return counters_; }

  private:
    class Row;

    bool has_room();
    bool admit(const ByteArray<16>& client_address);
    Row& add(UniqueFd fd, ReadPreface preface);
    void touch(Row& row);
    void settle(Row& row);
    void note_draining(Row& row);
    void reschedule(Row& row);
    void cancel_timer(Row& row);
    void forget(Row& row);

    EventLoop& loop_;
    const ratls::ServerContext& tls_;
    runtime::ConnectionServices& services_;
    const Limits limits_;
    Bytes scratch_;              ///< what one read takes, for all connections
    std::vector<Row*> touched_;  ///< each once; a row dies only when it is settled
    std::map<std::uint64_t, std::unique_ptr<Row>> rows_;
    std::map<ByteArray<16>, std::size_t> per_address_;
    std::set<std::pair<std::uint64_t, std::uint64_t>> timers_;  ///< when, and which: one each
    std::uint64_t last_id_ = 0;
    Counters counters_;
    std::size_t draining_ = 0;
    bool accepting_ = true;
};

}  // namespace eos::os
