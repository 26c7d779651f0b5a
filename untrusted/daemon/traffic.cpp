// SPDX-License-Identifier: AGPL-3.0-only
#include "untrusted/daemon/traffic.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <string>

namespace eos::daemon {

using boundary::ConnClose;
using boundary::ConnCredit;
using boundary::ConnData;
using boundary::ConnEnded;
using boundary::ConnOpened;
using Io = Connection::Io;
using Phase = Connection::Phase;

Traffic::Traffic(EventLoop& loop, std::deque<WorkerLink>& links, ConnectionIds& ids,
                 Counters& counters)
    : loop_(loop),
      links_(links),
      ids_(ids),
      counters_(counters),
      first_id_(ids.last() + 1),
      now_(std::chrono::steady_clock::now()),
      paused_(links.size()),
      scratch_(boundary::kMaxConnDataBytes) {}

Traffic::~Traffic() {
    for (auto& [id, connection] : connections_) connection->reset_on_close();
}

bool Traffic::can_adopt() const {
    return std::ranges::any_of(links_, &WorkerLink::data_has_room);
}

unsigned Traffic::next_worker() {
    const auto rank = [this](unsigned worker) {
        const WorkerLink& link = links_[worker];
        return std::pair(!link.data_has_room(), link.connection_count);
    };
    unsigned best = next_worker_;
    for (unsigned i = 1; i < links_.size(); ++i) {
        const auto candidate = static_cast<unsigned>((next_worker_ + i) % links_.size());
        if (rank(candidate) < rank(best)) best = candidate;
    }
    next_worker_ = static_cast<unsigned>((best + 1) % links_.size());
    return best;
}

void Traffic::adopt(UniqueFd socket, const Peer& peer) {
    const int on = 1;
    ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    ::setsockopt(socket.get(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));

    const unsigned worker = next_worker();
    const std::uint64_t id = ids_.next();
    ConnectionOwner& owner = *this;
    auto connection = std::make_unique<Connection>(loop_, owner, std::move(socket), id, worker);
    ++links_[worker].connection_count;
    ++counters_.connections_accepted;
    send(worker, ConnOpened{.conn_id = id, .peer_address = peer.address, .peer_port = peer.port});
    update_watch(*connection);
    connections_.emplace(id, std::move(connection));
}

Result<Connection*> Traffic::find(unsigned worker, std::uint64_t id) const {
    auto found = connections_.find(id);
    if (found == connections_.end()) {
        // The client may have gone while the message was under way.
        if (id >= first_id_ && id <= ids_.last()) return nullptr;
        return fail(trusted_misbehaves, "a connection that never was: " + std::to_string(id));
    }
    Connection* connection = found->second.get();
    if (connection->worker() != worker) {
        return fail(trusted_misbehaves, "a connection of another worker");
    }
    if (connection->phase != Phase::kOpen) {
        return fail(trusted_misbehaves, "a message about a connection after its ConnClose");
    }
    return connection;
}

Result<void> Traffic::handle(unsigned worker, const boundary::DataToHost& message) {
    const std::uint64_t id = std::visit([](const auto& m) { return m.conn_id; }, message);
    Connection* connection = EOS_TRY(find(worker, id));
    if (connection == nullptr) return {};
    if (const auto* data = std::get_if<ConnData>(&message)) {
        return on_data(*connection, data->bytes);
    }
    if (const auto* close = std::get_if<ConnClose>(&message)) {
        return on_close(*connection, close->how);
    }
    EOS_TRY(connection->to_trusted.credited(std::get<ConnCredit>(message).bytes));
    mark(*connection);
    return {};
}

Result<void> Traffic::on_data(Connection& connection, ByteView bytes) {
    EOS_TRY(connection.from_trusted.arrived(bytes.size()));
    connection.queue(bytes);
    mark(connection);
    return {};
}

Result<void> Traffic::on_close(Connection& connection, ConnClose::How how) {
    if (how == ConnClose::How::kAbort) {
        connection.reset_on_close();
        bury(connection);
        return {};
    }
    close_after_flush(connection);
    return {};
}

void Traffic::close_after_flush(Connection& connection) {
    connection.phase = Phase::kFlushing;
    connection.stalled_at = now_ + kFlushTime;
    connection.flush_end = now_ + kMaxFlushTime;
    connection.close_by = connection.stalled_at;
    closing_.push_back(connection.id());
    mark(connection);
}

void Traffic::close_all_after_flush() {
    for (auto& [id, connection] : connections_) {
        if (connection->phase == Phase::kOpen) close_after_flush(*connection);
    }
}

Result<void> Traffic::finish_turn(MonotonicTime now) {
    // Bounded by the clock, not the turn: limits of seconds need no finer look.
    const bool tick = now - now_ >= Milliseconds(100);
    if (tick) {
        now_ = now;
        enforce_close_times();
    }
    resume_paused();
    for (Connection* connection : std::exchange(marked_, {})) {
        connection->marked_for_flush = false;
        if (connection->phase == Phase::kGone) continue;
        if (connection->has_waiting()) write(*connection);
        if (connection->phase == Phase::kFlushing && !connection->has_waiting()) {
            all_sent(*connection);
        }
        update_watch(*connection);
    }
    graveyard_.clear();
    if (failure_) return fail(*std::exchange(failure_, std::nullopt));
    return {};
}

void Traffic::on_socket(Connection& connection, std::uint32_t events) {
    if (connection.phase == Phase::kGone) return;
    if ((events & (EPOLLERR | EPOLLHUP)) != 0) return lost(connection);
    if ((events & EPOLLOUT) != 0) mark(connection);
    if ((events & EPOLLIN) != 0) {
        if (connection.phase == Phase::kLingering) return discard(connection);
        read(connection);
    }
}

bool Traffic::would_read(const Connection& connection) const {
    return connection.phase == Phase::kOpen && !connection.client_ended &&
           connection.to_trusted.available() > 0;
}

bool Traffic::has_room(const Connection& connection) const {
    return links_[connection.worker()].data_has_room();
}

void Traffic::read(Connection& connection) {
    if (!would_read(connection) || !has_room(connection)) return update_watch(connection);
    const std::size_t limit = std::min(connection.to_trusted.available(), scratch_.size());
    const auto [io, size_bytes] = connection.read_some(MutableByteView(scratch_).first(limit));
    switch (io) {
        case Io::kDone:
            counters_.bytes_from_clients += size_bytes;
            connection.to_trusted.sent(size_bytes);
            send(connection.worker(), ConnData{.conn_id = connection.id(),
                                               .bytes = ByteView(scratch_).first(size_bytes)});
            break;
        case Io::kEndOfStream:
            connection.client_ended = true;
            send(connection.worker(),
                 ConnEnded{.conn_id = connection.id(), .why = ConnEnded::Why::kEndOfStream});
            break;
        case Io::kFailed:
            return lost(connection);
        case Io::kWouldBlock:
            break;
    }
    update_watch(connection);
}

void Traffic::discard(Connection& connection) {
    const auto [io, size_bytes] = connection.read_some(scratch_);
    connection.discarded_bytes += size_bytes;
    if (size_bytes > 0) connection.close_by = std::min(now_ + kLingerTime, connection.linger_end);
    if (connection.discarded_bytes > kMaxDiscardedBytes) connection.reset_on_close();
    if (io == Io::kEndOfStream || io == Io::kFailed ||
        connection.discarded_bytes > kMaxDiscardedBytes) {
        bury(connection);
    }
}

void Traffic::write(Connection& connection) {
    const auto [io, size_bytes] = connection.write_waiting();
    if (io == Io::kFailed) return lost(connection);
    counters_.bytes_to_clients += size_bytes;
    const std::uint32_t credit = connection.from_trusted.consumed(size_bytes);
    if (credit > 0 && connection.phase == Phase::kOpen) {
        send(connection.worker(), ConnCredit{.conn_id = connection.id(), .bytes = credit});
    }
}

void Traffic::all_sent(Connection& connection) {
    if (connection.client_ended) return bury(connection);
    // Closing with unread bytes in the socket would reset the connection and could take our last
    // bytes from the client: close our half and wait for the client's.
    connection.shut_down_sending();
    connection.phase = Phase::kLingering;
    connection.close_by = now_ + kLingerTime;
    connection.linger_end = now_ + kMaxLingerTime;
}

void Traffic::lost(Connection& connection) {
    if (connection.phase == Phase::kOpen) {
        ++counters_.connections_reset_by_peer;
        send(connection.worker(),
             ConnEnded{.conn_id = connection.id(), .why = ConnEnded::Why::kReset});
    }
    bury(connection);
}

void Traffic::bury(Connection& connection) {
    if (connection.phase == Phase::kGone) return;
    connection.phase = Phase::kGone;
    --links_[connection.worker()].connection_count;
    auto node = connections_.extract(connection.id());
    graveyard_.push_back(std::move(node.mapped()));
}

void Traffic::mark(Connection& connection) {
    if (std::exchange(connection.marked_for_flush, true)) return;
    marked_.push_back(&connection);
}

void Traffic::update_watch(Connection& connection) {
    if (connection.phase == Phase::kGone) return;
    std::uint32_t events = connection.has_waiting() ? std::uint32_t{EPOLLOUT} : 0;
    if (connection.phase == Phase::kLingering) events |= EPOLLIN;
    if (would_read(connection)) {
        if (has_room(connection)) {
            events |= EPOLLIN;
        } else if (!std::exchange(connection.paused, true)) {
            paused_[connection.worker()].push_back(connection.id());
        }
    }
    connection.watch(events);
}

void Traffic::resume_paused() {
    for (unsigned worker = 0; worker < paused_.size(); ++worker) {
        if (paused_[worker].empty() || !links_[worker].data_has_room()) continue;
        for (std::uint64_t id : std::exchange(paused_[worker], {})) {
            auto found = connections_.find(id);
            if (found == connections_.end()) continue;
            found->second->paused = false;
            mark(*found->second);
        }
    }
}

void Traffic::enforce_close_times() {
    std::erase_if(closing_, [this](std::uint64_t id) {
        auto found = connections_.find(id);
        if (found == connections_.end()) return true;
        Connection& connection = *found->second;
        if (now_ < *connection.close_by) return false;
        if (connection.unacknowledged_bytes() > 0) {
            if (takes_its_bytes(connection)) return false;
            connection.reset_on_close();
        }
        bury(connection);
        return true;
    });
}

// Bytes that are in the socket have not arrived: a close now would take them from a client that
// reads slowly.
bool Traffic::takes_its_bytes(Connection& connection) const {
    const std::size_t left = connection.unacknowledged_bytes();
    if (left < std::exchange(connection.unacknowledged_then, left)) {
        connection.stalled_at = now_ + kFlushTime;
    }
    connection.close_by = now_ + kLingerTime;
    return now_ < std::min(connection.stalled_at, connection.flush_end);
}

void Traffic::send(unsigned worker, const boundary::DataToTrusted& message) {
    auto sent = links_[worker].send(message);
    if (!sent && !failure_) failure_ = std::move(sent).error();
}

}  // namespace eos::daemon
