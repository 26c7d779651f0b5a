// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/os/listener.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include "common/x509/ip_address.h"
#include "trusted/os/local_socket.h"

namespace eos::os {
namespace {

constexpr int kBacklog = 512;
constexpr int kAcceptsPerTurn = 64;
/// Without descriptors for another connection.
constexpr std::uint64_t kPauseMs = 100;

std::string errno_text(const ListenAddress& address) {
    char text[128];
    return address.text() + ": " + strerror_r(errno, text, sizeof text);
}

struct SocketAddress {
    sockaddr_storage storage{};
    socklen_t size = 0;
    sockaddr* data() { return reinterpret_cast<sockaddr*>(&storage); }
};

SocketAddress socket_address(const ListenAddress& address) {
    SocketAddress out;
    // It was parsed when the configuration was.
    const x509::IpAddress ip = x509::IpAddress::parse(address.host).value();
    if (ip.bytes().size() == 4) {
        auto* v4 = reinterpret_cast<sockaddr_in*>(&out.storage);
        v4->sin_family = AF_INET;
        v4->sin_port = htons(address.port);
        std::memcpy(&v4->sin_addr, ip.bytes().data(), 4);
        out.size = sizeof *v4;
    } else {
        auto* v6 = reinterpret_cast<sockaddr_in6*>(&out.storage);
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(address.port);
        std::memcpy(&v6->sin6_addr, ip.bytes().data(), 16);
        out.size = sizeof *v6;
    }
    return out;
}

ByteArray<16> peer_of(const SocketAddress& address) {
    ByteArray<16> out{};
    if (address.storage.ss_family == AF_INET) {
        const auto* v4 = reinterpret_cast<const sockaddr_in*>(&address.storage);
        out[10] = out[11] = std::byte{0xff};
        std::memcpy(&out[12], &v4->sin_addr, 4);
    } else if (address.storage.ss_family == AF_INET6) {
        const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&address.storage);
        std::memcpy(out.data(), &v6->sin6_addr, out.size());
    }
    return out;
}

std::uint16_t port_of(int fd) {
    SocketAddress own;
    own.size = sizeof own.storage;
    if (::getsockname(fd, own.data(), &own.size) != 0) return 0;
    // The port stands in the same place in both forms.
    return ntohs(reinterpret_cast<const sockaddr_in*>(&own.storage)->sin_port);
}

}  // namespace

Listener::Listener(EventLoop& loop, UniqueFd fd, ListenAddress address, Accepted accepted)
    : loop_(loop),
      fd_(std::move(fd)),
      address_(std::move(address)),
      accepted_(std::move(accepted)) {
    loop_.add(fd_.get(), EPOLLIN, *this);
}

Listener::~Listener() {
    loop_.remove(fd_.get(), *this);
}

Result<std::unique_ptr<Listener>> Listener::open(EventLoop& loop, const ListenAddress& address,
                                                 Accepted accepted, Sharing sharing) {
    SocketAddress own = socket_address(address);
    UniqueFd fd(::socket(own.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    int on = 1;
    int shared = sharing == Sharing::kShared ? 1 : 0;
    if (!fd.valid() || ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEPORT, &shared, sizeof shared) != 0 ||
        ::bind(fd.get(), own.data(), own.size) != 0 || ::listen(fd.get(), kBacklog) != 0) {
        return fail(listen_failed, errno_text(address));
    }
    ListenAddress real = address;
    real.port = port_of(fd.get());
    return std::unique_ptr<Listener>(
        new Listener(loop, std::move(fd), std::move(real), std::move(accepted)));
}

Result<std::unique_ptr<Listener>> Listener::open_local(EventLoop& loop, const std::string& path,
                                                       mode_t mode, Accepted accepted) {
    UniqueFd fd = EOS_TRY(listen_local(path, mode));
    return std::unique_ptr<Listener>(
        new Listener(loop, std::move(fd), ListenAddress{}, std::move(accepted)));
}

void Listener::on_events(std::uint32_t events) {
    (void)events;
    for (int i = 0; i < kAcceptsPerTurn; ++i) {
        SocketAddress peer;
        peer.size = sizeof peer.storage;
        UniqueFd fd(::accept4(fd_.get(), peer.data(), &peer.size, SOCK_NONBLOCK | SOCK_CLOEXEC));
        if (fd.valid()) {
            int on = 1;  // of no meaning, and refused, where there is no TCP
            ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
            accepted_(std::move(fd), peer_of(peer));
            continue;
        }
        if (errno == ECONNABORTED || errno == EINTR) continue;
        // Out of descriptors or memory: what waits goes on waiting, and must not wake us.
        if (errno != EAGAIN && !out_of_descriptors_) {
            out_of_descriptors_ = true;
            loop_.modify(fd_.get(), 0, *this);
        }
        return;
    }
}

void Listener::turn(std::uint64_t now_ms) {
    if (!out_of_descriptors_) return;
    if (!resume_ms_) resume_ms_ = now_ms + kPauseMs;
    if (now_ms < *resume_ms_) return;
    out_of_descriptors_ = false;
    resume_ms_.reset();
    loop_.modify(fd_.get(), EPOLLIN, *this);
}

}  // namespace eos::os
