// SPDX-License-Identifier: AGPL-3.0-only
#include "untrusted/daemon/connection.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>

namespace eos::daemon {
namespace {

constexpr std::size_t kKeptBufferBytes = 4096;  // an idle connection holds no more

Connection::IoOutcome outcome_of_errno() {
    if (errno == EAGAIN || errno == EINTR) return {Connection::Io::kWouldBlock};
    return {Connection::Io::kFailed};
}

}  // namespace

Connection::Connection(EventLoop& loop, ConnectionOwner& owner, UniqueFd socket, std::uint64_t id,
                       unsigned worker)
    : loop_(loop), owner_(owner), socket_(std::move(socket)), id_(id), worker_(worker) {
    loop_.add(socket_.get(), watched_, *this);
}

Connection::~Connection() {
    loop_.remove(socket_.get(), *this);
}

Connection::IoOutcome Connection::read_some(MutableByteView out) {
    const ssize_t got = ::recv(socket_.get(), out.data(), out.size(), 0);
    if (got > 0) return {Io::kDone, static_cast<std::size_t>(got)};
    if (got == 0) return {Io::kEndOfStream};
    return outcome_of_errno();
}

Connection::IoOutcome Connection::write_waiting() {
    const ByteView rest = ByteView(waiting_).subspan(written_);
    const ssize_t sent = ::send(socket_.get(), rest.data(), rest.size(), MSG_NOSIGNAL);
    if (sent < 0) return outcome_of_errno();
    written_ += static_cast<std::size_t>(sent);
    if (written_ == waiting_.size()) {
        waiting_.clear();
        written_ = 0;
        if (waiting_.capacity() > kKeptBufferBytes) waiting_ = Bytes();
    }
    return {Io::kDone, static_cast<std::size_t>(sent)};
}

void Connection::queue(ByteView bytes) {
    if (waiting_.size() + bytes.size() > boundary::kConnWindowBytes) {
        waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(written_));
        written_ = 0;
    }
    append(waiting_, bytes);
}

void Connection::watch(std::uint32_t events) {
    if (events == watched_) return;
    watched_ = events;
    loop_.modify(socket_.get(), events, *this);
}

std::size_t Connection::unacknowledged_bytes() const {
    int in_socket = 0;
    if (::ioctl(socket_.get(), SIOCOUTQ, &in_socket) != 0) in_socket = 0;
    return waiting_.size() - written_ + static_cast<std::size_t>(in_socket);
}

void Connection::shut_down_sending() {
    ::shutdown(socket_.get(), SHUT_WR);
}

void Connection::reset_on_close() {
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
}

}  // namespace eos::daemon
