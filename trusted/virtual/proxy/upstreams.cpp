// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/virtual/proxy/upstreams.h"

#include <algorithm>

#include "trusted/os/socket_stream.h"
#include "trusted/virtual/proxy/http2_client.h"
#include "trusted/virtual/proxy/upstream_connection.h"

namespace eos::cvm::proxy {
namespace {

// What one connection may read in one turn, so that it does not hold up the others. All in one
// call, as each sends an acknowledgement, and the rest of the answer on its way. Four times what a
// client's connection takes at once: its window, less what TLS adds to four records.
constexpr std::size_t kReadBytes = 4 * (os::SocketStream::kWindowBytes - 128);

UpstreamTimeouts timeouts_of(const UpstreamConfig& config) {
    return {.connect_ms = config.connect_timeout_s * 1000,
            .response_ms = config.response_timeout_s * 1000,
            .stall_ms = config.idle_timeout_s * 1000};
}

std::size_t share(std::uint64_t all, std::size_t loops) {
    return static_cast<std::size_t>((all + loops - 1) / loops);
}

}  // namespace

UpstreamPool::UpstreamPool(const UpstreamConfig& config, std::size_t loops)
    : config_(config),
      timeouts_(timeouts_of(config)),
      max_open_(share(config.connections, loops)),
      max_idle_(share(config.keepalive, loops)),
      shares_(config.client_share_percent),
      per_connection_(config.protocol == UpstreamProtocol::kHttp2 ? Http2Client::kStreams : 1) {}

Upstreams::Upstreams(os::EventLoop& loop, const runtime::Clock& clock, std::size_t max_open)
    : loop_(loop), clock_(clock), max_open_(max_open), scratch_(kReadBytes) {}

Upstreams::~Upstreams() = default;

UpstreamConnection* Upstreams::find_available(UpstreamPool& pool, Freshness freshness) {
    while (!pool.available_.empty()) {
        UpstreamConnection& candidate = *pool.available_.back();
        touch(candidate);
        if (!candidate.client_->can_begin()) {  // for now; settle() will see
            candidate.unlist();
            continue;
        }
        if (freshness != Freshness::kChecked || candidate.is_alive()) return &candidate;
        candidate.is_stale_ = true;
        candidate.unlist();
        if (candidate.client_->is_idle()) candidate.client_->close();
    }
    return nullptr;
}

/// How many requests to the upstream may be under way at a time, as far as is known now: what other
/// upstreams have in use is not to be had.
std::size_t Upstreams::capacity(const UpstreamPool& pool) const {
    const std::size_t in_use = connections_.size() - (kept_ - pool.idle_);
    const std::size_t room = max_open_ - std::min(max_open_, in_use);
    return std::min(pool.max_open_, pool.open_ + room) * pool.per_connection_;
}

Result<ClientShares::Lease> Upstreams::admit(UpstreamPool& pool,
                                             const ByteArray<16>& network) const {
    return pool.shares_.take(network, capacity(pool));
}

/// One that is kept makes room for one that is new: one of the pool's if that is full, else the
/// oldest of all. returns: whether there is room.
bool Upstreams::make_room(UpstreamPool& pool) {
    UpstreamConnection* oldest = nullptr;
    if (pool.open_ >= pool.max_open_) {
        const auto kept = std::ranges::find_if(
            pool.available_, [](const UpstreamConnection* one) { return one->is_kept_; });
        if (kept == pool.available_.end()) return false;
        oldest = *kept;
    } else if (connections_.size() >= max_open_) {
        const auto kept = std::ranges::find_if(
            connections_, [](const auto& row) { return row.second->is_kept_; });
        if (kept == connections_.end()) return false;
        oldest = kept->second.get();
    } else {
        return true;
    }
    oldest->client_->close();
    touch(*oldest);
    return true;
}

/// returns: null if a bound is reached and no connection can make room.
UpstreamConnection* Upstreams::make(const std::shared_ptr<UpstreamPool>& pool) {
    if (!make_room(*pool)) return nullptr;
    const std::uint64_t id = ++last_id_;
    auto made = std::make_unique<UpstreamConnection>(*this, id, pool);
    return connections_.emplace(id, std::move(made)).first->second.get();
}

Result<UpstreamExchange*> Upstreams::start(const std::shared_ptr<UpstreamPool>& pool,
                                           const http::RequestHead& head, Freshness freshness,
                                           ResponseHandler& handler) {
    const bool wants_new = freshness == Freshness::kNew;
    UpstreamConnection* connection = wants_new ? nullptr : find_available(*pool, freshness);
    if (connection == nullptr) connection = make(pool);
    if (connection == nullptr && wants_new) connection = find_available(*pool, freshness);
    if (connection == nullptr) return fail(no_free_connection);
    Result<UpstreamExchange*> begun = connection->client_->begin(head, handler);
    touch(*connection);
    const bool is_new = !connection->fd_.valid() && !connection->is_connecting_;
    if (!begun && is_new) connection->client_->close();
    if (!begun) return begun;
    if (is_new) {
        connection->open();
    } else if (pool->config_.protocol == UpstreamProtocol::kHttp1) {
        // What is there already answers nothing: it is read before the request goes out.
        connection->is_readable_ = true;
    }
    connection->stop_keeping();
    if (connection->client_->can_begin()) {
        connection->list();
    } else {
        connection->unlist();
    }
    return begun;
}

void Upstreams::retire(UpstreamPool& pool) {
    pool.is_retired_ = true;
    for (UpstreamConnection* connection : std::vector(pool.available_)) {
        if (!connection->is_kept_) continue;
        connection->client_->close();
        touch(*connection);
    }
}

void Upstreams::touch(UpstreamConnection& connection) {
    if (connection.is_touched_) return;
    connection.is_touched_ = true;
    touched_.push_back(connection.id_);
}

void Upstreams::settle(UpstreamConnection& connection) {
    connection.is_touched_ = false;
    if (connection.cannot_open_) connection.client_->fail(UpstreamFailure::kUnreachable);
    if (!connection.is_connecting_ && connection.fd_.valid()) connection.read();
    connection.flush();
    UpstreamPool& pool = *connection.pool_;
    pool.per_connection_ = connection.client_->capacity().value_or(pool.per_connection_);
    keep_if_idle(connection);
    if (connection.client_->is_over()) return forget(connection);
    if (connection.client_->is_dead()) connection.close();
    if (connection.client_->can_begin() && !connection.is_stale_) connection.list();
    reschedule(connection);
}

void Upstreams::keep_if_idle(UpstreamConnection& connection) {
    const bool is_idle = connection.client_->is_idle() && !connection.is_connecting_;
    if (!is_idle || connection.is_kept_) return;
    UpstreamPool& pool = *connection.pool_;
    if (pool.is_retired_ || connection.is_stale_ || pool.idle_ >= pool.max_idle_) {
        return connection.client_->close();
    }
    connection.is_kept_ = true;
    ++pool.idle_;
    ++kept_;
    connection.deadline_ms_ = clock_.monotonic_ms() + pool.config_.keepalive_time_s * 1000;
}

void Upstreams::forget(UpstreamConnection& connection) {
    cancel_timer(connection);
    connections_.erase(connection.id_);
}

// Timers are only moved forward lazily: an entry that fires too early looks again.
void Upstreams::reschedule(UpstreamConnection& connection) {
    const std::optional<std::uint64_t> next = connection.next_deadline_ms();
    if (!next || (connection.timer_ms_ && *connection.timer_ms_ <= *next)) return;
    cancel_timer(connection);
    connection.timer_ms_ = next;
    timers_.emplace(*next, connection.id_);
}

void Upstreams::cancel_timer(UpstreamConnection& connection) {
    if (connection.timer_ms_) timers_.erase({*connection.timer_ms_, connection.id_});
    connection.timer_ms_.reset();
}

void Upstreams::turn() {
    if (!timers_.empty()) {
        const std::uint64_t now_ms = clock_.monotonic_ms();
        while (!timers_.empty() && timers_.begin()->first <= now_ms) {
            UpstreamConnection& connection = *connections_.at(timers_.begin()->second);
            cancel_timer(connection);
            touch(connection);
            connection.tick(now_ms);
        }
    }
    const std::vector<std::uint64_t> touched = std::exchange(touched_, {});
    for (std::uint64_t id : touched) {
        const auto found = connections_.find(id);
        if (found != connections_.end()) settle(*found->second);
    }
}

std::optional<std::uint64_t> Upstreams::next_deadline_ms() const {
    if (!touched_.empty()) return 0;
    if (timers_.empty()) return std::nullopt;
    return timers_.begin()->first;
}

}  // namespace eos::cvm::proxy
