// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/virtual/proxy/upstream_connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "common/base/assert.h"
#include "common/x509/ip_address.h"
#include "trusted/os/listen_address.h"
#include "trusted/virtual/proxy/http1_client.h"
#include "trusted/virtual/proxy/http2_client.h"

namespace eos::cvm::proxy {
namespace {

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

std::unique_ptr<UpstreamClient> make_client(UpstreamProtocol protocol,
                                            const UpstreamClientParts& parts,
                                            const UpstreamTimeouts& timeouts) {
    if (protocol == UpstreamProtocol::kHttp1) {
        return std::make_unique<Http1Client>(parts, timeouts);
    }
    return std::make_unique<Http2Client>(parts, timeouts);
}

}  // namespace

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
    if (!std::exchange(is_kept_, false)) return;
    --pool_->idle_;
    --owner_.kept_;
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

}  // namespace eos::cvm::proxy
