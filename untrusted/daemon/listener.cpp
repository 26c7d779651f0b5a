// SPDX-License-Identifier: AGPL-3.0-only
#include "untrusted/daemon/listener.h"

#include <cerrno>

#include "untrusted/daemon/system_error.h"

namespace eos::daemon {
namespace {

constexpr int kBacklog = 1024;

std::string remedy_for(int number) {
    if (number == EADDRINUSE) return "; another program has it, or another daemon runs already";
    if (number == EACCES) return "; ports below 1024 need CAP_NET_BIND_SERVICE";
    if (number == EADDRNOTAVAIL) return "; this machine has no such address";
    return {};
}

}  // namespace

Result<std::unique_ptr<Listener>> Listener::open(EventLoop& loop, AcceptSink& sink,
                                                 const SocketAddress& address) {
    const auto refused = [&] {
        const int number = errno;
        return fail(cannot_listen, system_error_text(address.text(), number) + remedy_for(number));
    };
    UniqueFd fd(::socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fd) return refused();
    const int on = 1;
    ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (::bind(fd.get(), address.data(), address.size) != 0) return refused();
    if (::listen(fd.get(), kBacklog) != 0) return refused();
    SocketAddress bound;
    bound.size = sizeof(bound.storage);
    if (::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&bound.storage), &bound.size) != 0) {
        return refused();
    }
    return std::unique_ptr<Listener>(new Listener(loop, sink, std::move(fd), bound));
}

Listener::Listener(EventLoop& loop, AcceptSink& sink, UniqueFd socket, const SocketAddress& address)
    : loop_(loop), sink_(sink), socket_(std::move(socket)), address_(address) {
    loop_.add(socket_.get(), 0, *this);
}

Listener::~Listener() {
    loop_.remove(socket_.get(), *this);
}

void Listener::permit(std::size_t count, MonotonicTime now) {
    permitted_ = count;
    if (!trouble_.empty() && now >= paused_until_) trouble_.clear();
    watch(permitted_ > 0 && trouble_.empty() ? Watch::kYes : Watch::kNo);
}

void Listener::watch(Watch watch) {
    if (watch == watched_) return;
    watched_ = watch;
    loop_.modify(socket_.get(), watch == Watch::kYes ? std::uint32_t{EPOLLIN} : 0, *this);
}

void Listener::on_events(std::uint32_t /*events*/) {
    for (unsigned i = 0; i < kMaxBurst && permitted_ > 0; ++i) {
        SocketAddress peer;
        peer.size = sizeof(peer.storage);
        UniqueFd fd(::accept4(socket_.get(), reinterpret_cast<sockaddr*>(&peer.storage), &peer.size,
                              SOCK_NONBLOCK | SOCK_CLOEXEC));
        if (fd) {
            --permitted_;
            sink_.on_accept(std::move(fd), peer);
            continue;
        }
        if (errno == EAGAIN) return;
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            trouble_ = system_error_text("accepting connections pauses");
            paused_until_ = std::chrono::steady_clock::now() + kPause;
            ++pause_count_;
            return watch(Watch::kNo);
        }
        // Anything else concerns the one connection that could have been, which is gone.
    }
}

}  // namespace eos::daemon
