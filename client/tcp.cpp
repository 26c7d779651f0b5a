// SPDX-License-Identifier: AGPL-3.0-only
#include "client/tcp.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <utility>

namespace eos::client {
namespace {

std::string error_text(int number) {
    char text[128];
    return strerror_r(number, text, sizeof text);
}

// Waits until the socket is ready for `events` or the deadline passes.
Result<void> wait_for(int fd, short events, Deadline deadline) {
    using std::chrono::milliseconds;
    for (;;) {
        auto left =
            std::chrono::duration_cast<milliseconds>(deadline - std::chrono::steady_clock::now());
        if (left.count() <= 0) return fail(timed_out);
        pollfd entry{fd, events, 0};
        int ready =
            poll(&entry, 1, static_cast<int>(std::min<std::int64_t>(left.count() + 1, 60'000)));
        if (ready > 0) return {};
        if (ready < 0 && errno != EINTR) return fail(connection_lost, error_text(errno));
    }
}

Result<void> finish_connecting(int fd, const addrinfo& target, Deadline deadline) {
    if (::connect(fd, target.ai_addr, target.ai_addrlen) != 0) {
        if (errno != EINPROGRESS) return fail(connect_failed, error_text(errno));
        EOS_TRY(wait_for(fd, POLLOUT, deadline));
        int error = 0;
        socklen_t size = sizeof error;
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
        if (error != 0) return fail(connect_failed, error_text(error));
    }
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return {};
}

}  // namespace

Result<TcpSocket> TcpSocket::connect(const Address& address, Deadline deadline) {
    std::string where = address.host + ":" + std::to_string(address.port);
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    int status =
        getaddrinfo(address.host.c_str(), std::to_string(address.port).c_str(), &hints, &found);
    if (status != 0) return fail(connect_failed, where + ": " + gai_strerror(status));
    std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> list(found, freeaddrinfo);
    Error last(connect_failed, where);
    for (const addrinfo* target = found; target != nullptr; target = target->ai_next) {
        int fd = socket(target->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd < 0) continue;
        TcpSocket candidate(fd);
        Result<void> connected = finish_connecting(fd, *target, deadline);
        if (connected) return candidate;
        last = std::move(connected.error()).within(where);
    }
    return fail(std::move(last));
}

TcpSocket::TcpSocket(TcpSocket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

TcpSocket& TcpSocket::operator=(TcpSocket&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
}

TcpSocket::~TcpSocket() {
    if (fd_ >= 0) ::close(fd_);
}

Result<void> TcpSocket::send_all(ByteView bytes, Deadline deadline) {
    while (!bytes.empty()) {
        ssize_t count = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (count > 0) {
            bytes = bytes.subspan(static_cast<std::size_t>(count));
        } else if (errno == EAGAIN) {
            EOS_TRY(wait_for(fd_, POLLOUT, deadline));
        } else if (errno != EINTR) {
            return fail(connection_lost, error_text(errno));
        }
    }
    return {};
}

Result<Bytes> TcpSocket::receive(std::size_t limit, Deadline deadline) {
    Bytes out(limit);
    for (;;) {
        ssize_t count = ::recv(fd_, out.data(), out.size(), 0);
        if (count >= 0) {
            out.resize(static_cast<std::size_t>(count));
            return out;
        }
        if (errno == EAGAIN) {
            EOS_TRY(wait_for(fd_, POLLIN, deadline));
        } else if (errno != EINTR) {
            return fail(connection_lost, error_text(errno));
        }
    }
}

}  // namespace eos::client
