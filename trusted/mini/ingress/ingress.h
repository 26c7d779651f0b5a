// SPDX-License-Identifier: AGPL-3.0-only
// All connections of one worker: what the ring says about them reaches them, and what they owe the
// clock.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "boundary/endpoint.h"
#include "trusted/mini/ingress/data_link.h"
#include "trusted/runtime/server_connection.h"

namespace eos::mini {

/// Open connections of one worker; more are refused. Each holds up to three windows of memory.
inline constexpr std::size_t kMaxConnectionsPerWorker = 10'000;

/// threads: one, the worker's.
class Ingress {
  public:
    /// All must outlive this.
    Ingress(boundary::TrustedWorkerEndpoint& endpoint, const ratls::ServerContext& tls,
            runtime::ConnectionServices& services);
    ~Ingress();

    /// Handles one message of the data ring.
    /// errors:  those of credit.h, unknown_connection: the host broke the rules, the program must
    /// end.
    [[nodiscard]] Result<void> handle(boundary::FromHostData message);

    /// Runs timers that are due, forgets connections that are over, and sends what found no room.
    /// Once a turn of the worker's loop, after everything else.
    void turn();
    std::optional<std::uint64_t> next_deadline_ms() const;

    /// Drains every connection that was shown something else than what is served now.
    void served_changed(const runtime::Served& served, std::uint64_t drain_ms);
    /// Drains all connections and refuses new ones.
    void drain_all(std::uint64_t drain_ms);

    std::size_t connection_count() const { return connections_.size(); }
    /// No connection, and nothing left to tell the host about one.
    bool is_idle() const { return connections_.empty() && link_.is_idle(); }
    bool is_broken() const { return link_.is_broken(); }

    /// Counts since the start, for metrics.
    struct Counters {
        std::uint64_t opened = 0;
        std::uint64_t refused = 0;
        std::uint64_t handshakes = 0;
        std::uint64_t handshakes_failed = 0;
        std::uint64_t drained = 0;
    };
    const Counters& counters() const { return counters_; }

  private:
    struct Row;
    using Rows = std::map<std::uint64_t, std::unique_ptr<Row>>;

    Result<void> opened(boundary::FromHost<boundary::ConnOpened> message);
    Result<void> data(boundary::FromHost<boundary::ConnData> message);
    Result<void> credit(boundary::FromHost<boundary::ConnCredit> message);
    Result<void> ended(boundary::FromHost<boundary::ConnEnded> message);
    Result<Row*> find(std::uint64_t conn_id);
    void touch(std::uint64_t conn_id);
    void settle(std::uint64_t conn_id);
    void reschedule(std::uint64_t conn_id, Row& row);
    void cancel_timer(std::uint64_t conn_id, Row& row);

    const ratls::ServerContext& tls_;
    runtime::ConnectionServices& services_;
    DataLink link_;
    boundary::RisingIds ids_;
    Rows connections_;
    // When, and which connection: at most one each, gone with it, so that the worker is never woken
    // for a connection that is over.
    std::set<std::pair<std::uint64_t, std::uint64_t>> timers_;
    std::vector<std::uint64_t> touched_;  // connections to look after at the end of the turn
    Counters counters_;
    bool accepting_ = true;
};

}  // namespace eos::mini
