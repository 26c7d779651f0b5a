// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/mini/ingress/ingress.h"

namespace eos::mini {
namespace {

inline constexpr Code unknown_connection{"trusted/mini", "unknown_connection",
                                         "the host speaks of a connection that never was"};

}  // namespace

struct Ingress::Row {
    Row(DataLink& link, std::uint64_t conn_id) : stream(link, conn_id) {}
    RingStream stream;
    std::unique_ptr<runtime::ServerConnection> connection;
    std::optional<std::uint64_t> timer_ms;
    bool counted_handshake = false;
    bool touched = false;
};

Ingress::Ingress(boundary::TrustedWorkerEndpoint& endpoint, const ratls::ServerContext& tls,
                 runtime::ConnectionServices& services)
    : tls_(tls), services_(services), link_(endpoint) {}

Ingress::~Ingress() = default;

Result<void> Ingress::handle(boundary::FromHostData message) {
    if (auto* open = std::get_if<boundary::FromHost<boundary::ConnOpened>>(&message)) {
        return opened(std::move(*open));
    }
    if (auto* bytes = std::get_if<boundary::FromHost<boundary::ConnData>>(&message)) {
        return data(std::move(*bytes));
    }
    if (auto* window = std::get_if<boundary::FromHost<boundary::ConnCredit>>(&message)) {
        return credit(std::move(*window));
    }
    return ended(std::move(std::get<boundary::FromHost<boundary::ConnEnded>>(message)));
}

Result<void> Ingress::opened(boundary::FromHost<boundary::ConnOpened> message) {
    boundary::ConnOpened open = EOS_TRY(std::move(message).verify_with(
        [this](const boundary::ConnOpened& claim) -> Result<boundary::ConnOpened> {
            EOS_TRY(ids_.accept(claim.conn_id));
            return claim;
        }));
    if (!accepting_ || connections_.size() >= kMaxConnectionsPerWorker) {
        ++counters_.refused;
        link_.send_close(open.conn_id, boundary::ConnClose::How::kAbort);
        return {};
    }
    ++counters_.opened;
    auto [row, is_new] =
        connections_.emplace(open.conn_id, std::make_unique<Row>(link_, open.conn_id));
    row->second->connection = std::make_unique<runtime::ServerConnection>(
        tls_.accept(), services_, row->second->stream, open.peer_address,
        [this, conn_id = open.conn_id] { touch(conn_id); });
    return {};
}

// Null: the connection is over on this side, and the host does not know yet.
Result<Ingress::Row*> Ingress::find(std::uint64_t conn_id) {
    if (conn_id > ids_.last()) return fail(unknown_connection);
    auto row = connections_.find(conn_id);
    return row == connections_.end() ? nullptr : row->second.get();
}

Result<void> Ingress::data(boundary::FromHost<boundary::ConnData> message) {
    boundary::ConnData bytes = std::move(message).take_unverifiable(
        "TLS authenticates the bytes; id and size are checked here");
    Row* row = EOS_TRY(find(bytes.conn_id));
    if (row == nullptr) return {};
    EOS_TRY(row->stream.arrived(bytes.bytes.size()));
    row->connection->receive(bytes.bytes);
    return {};
}

Result<void> Ingress::credit(boundary::FromHost<boundary::ConnCredit> message) {
    boundary::ConnCredit window =
        std::move(message).take_unverifiable("id and size are checked here");
    Row* row = EOS_TRY(find(window.conn_id));
    if (row == nullptr) return {};
    EOS_TRY(row->stream.credited(window.bytes));
    row->connection->writable();
    return {};
}

Result<void> Ingress::ended(boundary::FromHost<boundary::ConnEnded> message) {
    boundary::ConnEnded end =
        std::move(message).take_unverifiable("a host can end any connection anyway");
    Row* row = EOS_TRY(find(end.conn_id));
    if (row == nullptr) return {};
    if (end.why == boundary::ConnEnded::Why::kEndOfStream) {
        row->connection->input_ended();
    } else {
        row->stream.abort();
        touch(end.conn_id);
    }
    return {};
}

void Ingress::touch(std::uint64_t conn_id) {
    Row& row = *connections_.at(conn_id);
    if (!row.touched) touched_.push_back(conn_id);
    row.touched = true;
}

// After anything happened to a connection: forget it if it is over, else note when it wants the
// clock.
void Ingress::settle(std::uint64_t conn_id) {
    auto found = connections_.find(conn_id);
    if (found == connections_.end()) return;
    Row& row = *found->second;
    row.connection->carry_on();
    row.touched = false;
    if (!row.counted_handshake && row.connection->info()) {
        row.counted_handshake = true;
        ++counters_.handshakes;
    }
    if (!row.connection->is_over() && !row.stream.is_closed()) return reschedule(conn_id, row);
    if (!row.counted_handshake) ++counters_.handshakes_failed;
    cancel_timer(conn_id, row);
    connections_.erase(found);
}

// Timers are only moved forward lazily: an entry that fires too early looks again.
void Ingress::reschedule(std::uint64_t conn_id, Row& row) {
    std::optional<std::uint64_t> next = row.connection->next_deadline_ms();
    if (!next || (row.timer_ms && *row.timer_ms <= *next)) return;
    cancel_timer(conn_id, row);
    row.timer_ms = next;
    timers_.emplace(*next, conn_id);
}

void Ingress::cancel_timer(std::uint64_t conn_id, Row& row) {
    if (row.timer_ms) timers_.erase({*row.timer_ms, conn_id});
    row.timer_ms = std::nullopt;
}

void Ingress::turn() {
    std::uint64_t now_ms = services_.clock().monotonic_ms();
    while (!timers_.empty() && timers_.begin()->first <= now_ms) {
        const std::uint64_t conn_id = timers_.begin()->second;
        Row& row = *connections_.at(conn_id);
        cancel_timer(conn_id, row);
        std::optional<std::uint64_t> due = row.connection->next_deadline_ms();
        touch(conn_id);
        if (due && *due <= now_ms) row.connection->tick();
    }
    // Settling may end a connection, which touches nothing else.
    std::vector<std::uint64_t> touched = std::move(touched_);
    touched_.clear();
    for (std::uint64_t conn_id : touched) settle(conn_id);
    link_.turn();
}

std::optional<std::uint64_t> Ingress::next_deadline_ms() const {
    if (timers_.empty()) return std::nullopt;
    return timers_.begin()->first;
}

void Ingress::served_changed(const runtime::Served& served, std::uint64_t drain_ms) {
    for (auto& [conn_id, row] : connections_) {
        bool was_draining = row->connection->is_draining();
        row->connection->served_changed(served, drain_ms);
        if (row->connection->is_draining() && !was_draining) ++counters_.drained;
    }
}

void Ingress::drain_all(std::uint64_t drain_ms) {
    accepting_ = false;
    for (auto& [conn_id, row] : connections_) row->connection->drain(drain_ms);
}

}  // namespace eos::mini
