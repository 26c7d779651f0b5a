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

namespace eos::cvm::proxy {
namespace {

constexpr std::size_t kReadBytes = 64 * 1024;
// What one connection may read in one turn, so that it does not hold up the others.
constexpr int kReadsPerTurn = 4;

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
    : owner_(owner), id_(id), pool_(std::move(pool)), client_(owner.clock_, pool_->timeouts_) {
    ++pool_->open_;
    ++pool_->opened_;
}

UpstreamConnection::~UpstreamConnection() {
    if (fd_.valid()) owner_.loop_.remove(fd_.get(), *this);
    --pool_->open_;
}

void UpstreamConnection::open() {
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
    const int outcome = ::connect(fd_.get(), address.data(), address.size);
    cannot_open_ = outcome != 0 && errno != EINPROGRESS;
    is_connecting_ = outcome != 0;
    deadline_ms_ = owner_.clock_.monotonic_ms() + pool_->timeouts_.connect_ms;
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
    for (int i = 0; i < kReadsPerTurn && is_readable_ && client_.wants_input(); ++i) {
        Bytes& scratch = owner_.scratch_;
        const ssize_t count = ::recv(fd_.get(), scratch.data(), scratch.size(), 0);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) is_readable_ = false;
        if (count < 0 && errno == EAGAIN) return;
        if (count <= 0) {
            return client_.input_ended(count == 0 ? Http1Client::InputEnd::kOrderly
                                                  : Http1Client::InputEnd::kBroken);
        }
        const auto size = static_cast<std::size_t>(count);
        // Less than was asked for: there is no more, and the next byte is the next edge.
        if (size < scratch.size() && !has_hung_up_) is_readable_ = false;
        client_.receive(ByteView(scratch).first(size));
    }
    if (is_readable_ && client_.wants_input()) owner_.touch(*this);
}

void UpstreamConnection::flush() {
    if (is_connecting_ || cannot_open_) return;
    while (!client_.output().empty()) {
        const ByteView output = client_.output();
        const ssize_t count = ::send(fd_.get(), output.data(), output.size(), MSG_NOSIGNAL);
        if (count > 0) {
            client_.output_taken(static_cast<std::size_t>(count));
        } else if (errno == EAGAIN) {
            return;
        } else if (errno != EINTR) {
            return client_.output_refused();
        }
    }
    if (client_.ends_output() && !std::exchange(is_shut_down_, true)) {
        ::shutdown(fd_.get(), SHUT_WR);
    }
}

/// Of a connection that nobody uses: whether its upstream still holds it.
bool UpstreamConnection::is_alive() {
    std::byte byte;
    const ssize_t count = ::recv(fd_.get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return count < 0 && errno == EAGAIN;
}

void UpstreamConnection::write(ByteView piece) {
    client_.write(piece);
    owner_.touch(*this);
}

void UpstreamConnection::finish(const http::Headers& trailers) {
    client_.finish(trailers);
    owner_.touch(*this);
}

void UpstreamConnection::resume() {
    owner_.touch(*this);
    client_.resume();
}

void UpstreamConnection::abandon() {
    client_.abandon();
    owner_.touch(*this);
}

std::optional<std::uint64_t> UpstreamConnection::next_deadline_ms() const {
    if (is_connecting_ || is_kept_) return deadline_ms_;
    return client_.next_deadline_ms();
}

void UpstreamConnection::tick(std::uint64_t now_ms) {
    const auto deadline = next_deadline_ms();
    if (!deadline || now_ms < *deadline) return;
    if (is_connecting_) {
        client_.fail(UpstreamFailure::kConnectTimeout);
    } else if (is_kept_) {
        client_.abandon();
    } else {
        client_.tick(now_ms);
    }
}

Upstreams::Upstreams(os::EventLoop& loop, const runtime::Clock& clock)
    : loop_(loop), clock_(clock), scratch_(kReadBytes) {}

Upstreams::~Upstreams() = default;

UpstreamConnection* Upstreams::take_idle(UpstreamPool& pool, Freshness freshness) {
    if (freshness == Freshness::kNew) return nullptr;
    while (!pool.idle_.empty()) {
        UpstreamConnection& candidate = *pool.idle_.back();
        pool.idle_.pop_back();
        candidate.is_kept_ = false;
        touch(candidate);
        const bool must_check = freshness == Freshness::kChecked;
        if (candidate.client_.is_idle() && (!must_check || candidate.is_alive())) return &candidate;
        candidate.client_.abandon();
    }
    return nullptr;
}

UpstreamConnection* Upstreams::start(const std::shared_ptr<UpstreamPool>& pool,
                                     UpstreamRequest request, Freshness freshness,
                                     ResponseHandler& handler) {
    UpstreamConnection* connection = take_idle(*pool, freshness);
    if (connection == nullptr) {
        if (pool->open_ >= pool->max_open_ && !pool->idle_.empty()) {
            // One that is kept makes room for one that is new.
            UpstreamConnection& oldest = *pool->idle_.front();
            pool->idle_.erase(pool->idle_.begin());
            oldest.is_kept_ = false;
            oldest.client_.abandon();
            touch(oldest);
        } else if (pool->open_ >= pool->max_open_) {
            return nullptr;
        }
        const std::uint64_t id = ++last_id_;
        auto made = std::make_unique<UpstreamConnection>(*this, id, pool);
        connection = made.get();
        connections_.emplace(id, std::move(made));
        connection->open();
    }
    connection->client_.begin(std::move(request), handler);
    touch(*connection);
    return connection;
}

void Upstreams::retire(UpstreamPool& pool) {
    pool.is_retired_ = true;
    for (UpstreamConnection* connection : pool.idle_) {
        connection->client_.abandon();
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
    if (connection.cannot_open_) connection.client_.fail(UpstreamFailure::kUnreachable);
    if (!connection.is_connecting_ && connection.fd_.valid()) connection.read();
    connection.flush();
    UpstreamPool& pool = *connection.pool_;
    if (connection.client_.is_idle() && !connection.is_kept_ && !connection.is_connecting_) {
        if (pool.is_retired_ || pool.idle_.size() >= pool.max_idle_) {
            connection.client_.abandon();
        } else {
            connection.is_kept_ = true;
            connection.deadline_ms_ = clock_.monotonic_ms() + pool.config_.keepalive_time_s * 1000;
            pool.idle_.push_back(&connection);
        }
    }
    if (connection.client_.is_over()) return forget(connection);
    reschedule(connection);
}

void Upstreams::forget(UpstreamConnection& connection) {
    cancel_timer(connection);
    if (connection.is_kept_) std::erase(connection.pool_->idle_, &connection);
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
