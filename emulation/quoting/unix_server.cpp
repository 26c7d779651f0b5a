// SPDX-License-Identifier: AGPL-3.0-only
#include "emulation/quoting/unix_server.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>

namespace eos::emulation::quoting {

namespace {

std::unexpected<Error> system_failure(const Code& code, const std::filesystem::path& socket) {
    return fail(code, socket.string() + ": " + std::strerror(errno));
}

Result<sockaddr_un> address_of(const std::filesystem::path& socket) {
    sockaddr_un out{};
    out.sun_family = AF_UNIX;
    const std::string& name = socket.native();
    if (name.empty() || name.size() >= sizeof(out.sun_path)) {
        return fail(socket_unusable, name + ": a socket's path has 1 to " +
                                         std::to_string(sizeof(out.sun_path) - 1) + " bytes");
    }
    std::ranges::copy(name, out.sun_path);
    return out;
}

const sockaddr* generic(const sockaddr_un& address) {
    return reinterpret_cast<const sockaddr*>(&address);
}

int new_socket() {
    return ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

/// Removes the socket file of a program that ended without doing so.
Result<void> remove_stale(const std::filesystem::path& socket, const sockaddr_un& address) {
    struct stat status{};
    if (::lstat(socket.c_str(), &status) != 0) {
        if (errno == ENOENT) return {};
        return system_failure(socket_unusable, socket);
    }
    if (!S_ISSOCK(status.st_mode))
        return fail(socket_unusable, socket.string() + ": exists and is not a socket");
    const int probe = new_socket();
    if (probe < 0) return system_failure(socket_unusable, socket);
    const bool refused =
        ::connect(probe, generic(address), sizeof(address)) != 0 && errno == ECONNREFUSED;
    ::close(probe);
    if (!refused) return fail(socket_in_use, socket.string());
    if (::unlink(socket.c_str()) != 0) return system_failure(socket_unusable, socket);
    return {};
}

Result<void> open_to_group(const std::filesystem::path& socket, gid_t group) {
    if (::chown(socket.c_str(), static_cast<uid_t>(-1), group) != 0 ||
        ::chmod(socket.c_str(), 0660) != 0)
        return system_failure(socket_unusable, socket);
    return {};
}

bool would_block() {
    return errno == EAGAIN || errno == EINTR;
}

}  // namespace

UnixServer::Descriptor::~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
}

Result<UnixServer> UnixServer::listen(AesmService& service, ServerOptions options) {
    const std::filesystem::path& socket = options.socket;
    const sockaddr_un address = EOS_TRY(address_of(socket));
    EOS_TRY(remove_stale(socket, address));
    Descriptor listener(new_socket());
    // The file gets the mode that the descriptor has: there is no moment at which it is wider.
    if (listener.get() < 0 || ::fchmod(listener.get(), 0600) != 0 ||
        ::bind(listener.get(), generic(address), sizeof(address)) != 0)
        return system_failure(socket_unusable, socket);
    UnixServer out(service, std::move(options), std::move(listener));
    if (out.options_.group) EOS_TRY(open_to_group(out.options_.socket, *out.options_.group));
    if (::listen(out.listener_.get(), SOMAXCONN) != 0)
        return system_failure(socket_unusable, out.options_.socket);
    return out;
}

UnixServer::~UnixServer() {
    if (listener_.get() >= 0) ::unlink(options_.socket.c_str());
}

Result<void> UnixServer::run(int stop_fd) {
    for (;;) {
        std::vector<pollfd> set = poll_set();
        set.push_back({.fd = stop_fd, .events = POLLIN, .revents = 0});
        const int ready = ::poll(set.data(), set.size(), timeout_ms(Clock::now()));
        if (ready < 0 && errno != EINTR) return system_failure(accept_failed, options_.socket);
        if (ready < 0) continue;
        if (set.back().revents != 0) return {};
        const Clock::time_point now = Clock::now();
        for (std::size_t i = 0; i < connections_.size(); ++i)
            serve(connections_[i], set[i + 1].revents, now);
        std::erase_if(connections_,
                      [](const Connection& c) { return c.phase == Connection::Phase::kDone; });
        if (set.front().revents != 0) EOS_TRY(accept_all(now));
    }
}

std::vector<pollfd> UnixServer::poll_set() const {
    std::vector<pollfd> set;
    const bool full = connections_.size() >= kMaxConnections;
    set.push_back({.fd = full ? -1 : listener_.get(), .events = POLLIN, .revents = 0});
    for (const Connection& connection : connections_) {
        short events = 0;  // while waiting: only that the peer has gone
        if (connection.phase == Connection::Phase::kReading) events = POLLIN;
        if (connection.phase == Connection::Phase::kWriting) events = POLLOUT;
        set.push_back({.fd = connection.socket.get(), .events = events, .revents = 0});
    }
    return set;
}

int UnixServer::timeout_ms(Clock::time_point now) const {
    if (connections_.empty()) return -1;
    const auto next = std::ranges::min_element(connections_, {}, &Connection::due);
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(next->due - now);
    return static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 60'000));
}

Result<void> UnixServer::accept_all(Clock::time_point now) {
    while (connections_.size() < kMaxConnections) {
        Descriptor socket(
            ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
        if (socket.get() < 0) {
            if (would_block() || errno == ECONNABORTED) return {};
            return system_failure(accept_failed, options_.socket);
        }
        connections_.push_back({.socket = std::move(socket),
                                .phase = Connection::Phase::kReading,
                                .due = now + options_.io_deadline});
    }
    return {};
}

void UnixServer::serve(Connection& connection, short events, Clock::time_point now) {
    using Phase = Connection::Phase;
    const bool due = now >= connection.due;
    if (connection.phase == Phase::kReading && (events & (POLLIN | POLLHUP)) != 0) {
        read(connection, now);
    } else if ((events & (POLLHUP | POLLERR)) != 0) {
        connection.phase = Phase::kDone;
    } else if (connection.phase == Phase::kWaiting && due) {
        connection.phase = Phase::kWriting;
        connection.due = now + options_.io_deadline;
        write(connection);
    } else if (connection.phase == Phase::kWriting && (events & POLLOUT) != 0) {
        write(connection);
    } else if (due) {
        options_.log("closed: the peer was too slow");
        connection.phase = Phase::kDone;
    }
}

void UnixServer::read(Connection& connection, Clock::time_point now) {
    std::size_t wanted = aesm::kLengthBytes;
    for (;;) {
        if (connection.in.size() >= aesm::kLengthBytes) {
            const auto length = aesm::parse_length(
                to_array<aesm::kLengthBytes>(ByteView(connection.in).first(aesm::kLengthBytes)));
            if (!length) {
                options_.log("closed: " + length.error().message());
                connection.phase = Connection::Phase::kDone;
                return;
            }
            wanted = aesm::kLengthBytes + *length;
            if (connection.in.size() == wanted) return answer(connection, now);
        }
        const std::size_t have = connection.in.size();
        connection.in.resize(wanted);
        const ssize_t got =
            ::recv(connection.socket.get(), connection.in.data() + have, wanted - have, 0);
        connection.in.resize(have + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
        if (got > 0) continue;
        if (got == 0 || !would_block()) connection.phase = Connection::Phase::kDone;
        return;
    }
}

void UnixServer::answer(Connection& connection, Clock::time_point now) {
    const auto request = aesm::parse_request(ByteView(connection.in).subspan(aesm::kLengthBytes));
    if (!request) {
        options_.log("closed: " + request.error().message());
        connection.phase = Connection::Phase::kDone;
        return;
    }
    connection.out = aesm::encode(service_->answer(*request));
    connection.phase = Connection::Phase::kWaiting;
    connection.due = now;
    if (std::holds_alternative<aesm::QuoteRequest>(*request)) {
        enclave_free_at_ = std::max(now, enclave_free_at_) + options_.quote_latency;
        connection.due = enclave_free_at_;
    }
}

void UnixServer::write(Connection& connection) {
    const ByteView left = ByteView(connection.out).subspan(connection.sent);
    const ssize_t sent = ::send(connection.socket.get(), left.data(), left.size(), MSG_NOSIGNAL);
    if (sent < 0 && would_block()) return;
    connection.sent += static_cast<std::size_t>(std::max<ssize_t>(sent, 0));
    if (sent < 0 || connection.sent == connection.out.size())
        connection.phase = Connection::Phase::kDone;
}

}  // namespace eos::emulation::quoting
