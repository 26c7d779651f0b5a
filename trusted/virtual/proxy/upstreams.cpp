// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/virtual/proxy/upstreams.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "common/base/assert.h"
#include "common/x509/ip_address.h"
#include "trusted/os/listen_address.h"
#include "trusted/os/socket_stream.h"
#include "trusted/virtual/proxy/http1_client.h"
#include "trusted/virtual/proxy/http2_client.h"

namespace eos::cvm::proxy {
namespace {

// What one connection may read in one turn, so that it does not hold up the others. All in one
// call, as each sends an acknowledgement, and the rest of the answer on its way. Four times what a
// client's connection takes at once: its window, less what TLS adds to four records.
constexpr std::size_t kReadBytes = 4 * (os::SocketStream::kWindowBytes - 128);

// A Unix socket whose service has fallen behind says so at once, and does not say when it has
// caught up.
constexpr std::uint64_t kConnectAgainMs = 10;

struct SocketAddress {
    sockaddr_storage storage{};
    socklen_t size = 0;
    const sockaddr* data() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

SocketAddress unix_address(const std::string& path) {
    SocketAddress out;
    auto* address = reinterpret_cast<sockaddr_un*>(&out.storage);
    EOS_ASSERT(path.size() < sizeof address->sun_path);
    address->sun_family = AF_UNIX;
    std::memcpy(address->sun_path, path.c_str(), path.size() + 1);
    out.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + 1);
    return out;
}

SocketAddress tcp_address(const std::string& text) {
    SocketAddress out;
    const os::ListenAddress parsed = os::parse_listen_address(text).value();
    const x509::IpAddress ip = x509::IpAddress::parse(parsed.host).value();
    if (ip.bytes().size() == 4) {
        auto* v4 = reinterpret_cast<sockaddr_in*>(&out.storage);
        v4->sin_family = AF_INET;
        v4->sin_port = htons(parsed.port);
        std::memcpy(&v4->sin_addr, ip.bytes().data(), 4);
        out.size = sizeof *v4;
    } else {
        auto* v6 = reinterpret_cast<sockaddr_in6*>(&out.storage);
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(parsed.port);
        std::memcpy(&v6->sin6_addr, ip.bytes().data(), 16);
        out.size = sizeof *v6;
    }
    return out;
}

UpstreamTimeouts timeouts_of(const UpstreamConfig& config) {
    return {.connect_ms = config.connect_timeout_s * 1000,
            .response_ms = config.response_timeout_s * 1000,
            .stall_ms = config.idle_timeout_s * 1000};
}

std::unique_ptr<UpstreamClient> make_client(UpstreamProtocol protocol,
                                            const UpstreamClientParts& parts,
                                            const UpstreamTimeouts& timeouts) {
    if (protocol == UpstreamProtocol::kHttp1) {
        return std::make_unique<Http1Client>(parts, timeouts);
    }
    return std::make_unique<Http2Client>(parts, timeouts);
}

std::size_t share(std::uint64_t all, std::size_t loops) {
    return static_cast<std::size_t>((all + loops - 1) / loops);
}

}  // namespace

UpstreamPool::UpstreamPool(const UpstreamConfig& config, std::size_t loops)
    : config_(config),
      timeouts_(timeouts_of(config)),
      max_open_(share(config.connections, loops)),
      max_idle_(share(config.keepalive, loops)) {}

UpstreamConnection::UpstreamConnection(Upstreams& owner, std::uint64_t id,
                                       std::shared_ptr<UpstreamPool> pool)
    : owner_(owner),
      id_(id),
      pool_(std::move(pool)),
      client_(make_client(pool_->config_.protocol, {owner.clock_, *this}, pool_->timeouts_)) {
    ++pool_->open_;
    ++pool_->opened_;
}

UpstreamConnection::~UpstreamConnection() {
    close();
    is_lost();
}

void UpstreamConnection::close() {
    if (!fd_.valid()) return;
    owner_.loop_.remove(fd_.get(), *this);
    fd_ = {};
}

void UpstreamConnection::wake() {
    owner_.touch(*this);
}

/// Its place is free for another from now on, although it is forgotten later.
void UpstreamConnection::is_lost() {
    unlist();
    stop_keeping();
    if (std::exchange(is_counted_, false)) --pool_->open_;
}

void UpstreamConnection::list() {
    if (!std::exchange(is_listed_, true)) pool_->available_.push_back(this);
}

void UpstreamConnection::unlist() {
    if (std::exchange(is_listed_, false)) std::erase(pool_->available_, this);
}

void UpstreamConnection::stop_keeping() {
    if (std::exchange(is_kept_, false)) --pool_->idle_;
}

void UpstreamConnection::open() {
    deadline_ms_ = owner_.clock_.monotonic_ms() + pool_->timeouts_.connect_ms;
    connect();
}

void UpstreamConnection::connect() {
    retry_ms_.reset();
    const UpstreamConfig& config = pool_->config_;
    const bool is_tcp = config.unix_socket.empty();
    const SocketAddress address =
        is_tcp ? tcp_address(config.tcp) : unix_address(config.unix_socket);
    fd_ = os::UniqueFd(
        ::socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fd_.valid()) {
        cannot_open_ = true;
        return;
    }
    if (is_tcp) {
        int on = 1;
        ::setsockopt(fd_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
    const int error = ::connect(fd_.get(), address.data(), address.size) == 0 ? 0 : errno;
    is_connecting_ = error != 0;
    if (error == EAGAIN) {  // unix(7): the queue of the listening socket is full
        fd_ = {};
        retry_ms_ = owner_.clock_.monotonic_ms() + kConnectAgainMs;
        return;
    }
    cannot_open_ = error != 0 && error != EINPROGRESS;
    // Edges only, both ways, once and for all: no request costs a call to change what is heard.
    owner_.loop_.add(fd_.get(), EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, *this);
}

void UpstreamConnection::connected() {
    int error = 0;
    socklen_t size = sizeof error;
    is_connecting_ = false;
    if (::getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error != 0) {
        cannot_open_ = true;
    }
}

void UpstreamConnection::on_events(std::uint32_t events) {
    owner_.touch(*this);
    if (is_connecting_ && (events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) != 0) connected();
    if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLERR | EPOLLHUP)) != 0) is_readable_ = true;
    if ((events & (EPOLLRDHUP | EPOLLERR | EPOLLHUP)) != 0) has_hung_up_ = true;
    if (!is_connecting_ && !cannot_open_) read();
}

void UpstreamConnection::read() {
    if (!is_readable_ || !client_->wants_input()) return;
    Bytes& scratch = owner_.scratch_;
    const ssize_t count = ::recv(fd_.get(), scratch.data(), scratch.size(), 0);
    if (count < 0 && errno == EINTR) return owner_.touch(*this);
    if (count <= 0) is_readable_ = false;
    if (count < 0 && errno == EAGAIN) return;
    if (count <= 0) {
        return client_->input_ended(count == 0 ? InputEnd::kOrderly : InputEnd::kBroken);
    }
    const auto size = static_cast<std::size_t>(count);
    // Less than was asked for: there is no more, and the next byte is the next edge.
    if (size < scratch.size() && !has_hung_up_) is_readable_ = false;
    client_->receive(ByteView(scratch).first(size));
    if (is_readable_ && client_->wants_input()) owner_.touch(*this);
}

void UpstreamConnection::flush() {
    if (is_connecting_ || cannot_open_ || !fd_.valid()) return;
    while (!client_->output().empty()) {
        const ByteView output = client_->output();
        const ssize_t count = ::send(fd_.get(), output.data(), output.size(), MSG_NOSIGNAL);
        if (count > 0) {
            client_->output_taken(static_cast<std::size_t>(count));
        } else if (errno == EAGAIN) {
            return;
        } else if (errno != EINTR) {
            return client_->output_refused();
        }
    }
    if (client_->ends_output() && !std::exchange(is_shut_down_, true)) {
        ::shutdown(fd_.get(), SHUT_WR);
    }
}

/// Whether the upstream still holds it, as far as can be told without reading.
bool UpstreamConnection::is_alive() const {
    std::byte byte;
    const ssize_t count = ::recv(fd_.get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (count < 0) return errno == EAGAIN || is_connecting_;
    // Only a version of HTTP in which upstreams speak unasked has anything to say here.
    return count > 0 && pool_->config_.protocol == UpstreamProtocol::kHttp2;
}

std::optional<std::uint64_t> UpstreamConnection::next_deadline_ms() const {
    if (is_connecting_) return std::min(deadline_ms_, retry_ms_.value_or(deadline_ms_));
    const std::optional<std::uint64_t> inner = client_->next_deadline_ms();
    if (!is_kept_) return inner;
    return std::min(deadline_ms_, inner.value_or(deadline_ms_));
}

void UpstreamConnection::tick(std::uint64_t now_ms) {
    const auto deadline = next_deadline_ms();
    if (!deadline || now_ms < *deadline) return;
    if (is_connecting_ && now_ms < deadline_ms_) {
        connect();
    } else if (is_connecting_) {
        client_->fail(UpstreamFailure::kConnectTimeout);
    } else if (is_kept_ && now_ms >= deadline_ms_) {
        client_->close();
    } else {
        client_->tick(now_ms);
    }
}

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
