// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/os/signals.h"

#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "common/base/assert.h"

namespace eos::os {

Signals::Signals(EventLoop& loop, std::function<void(int)> received)
    : loop_(loop), received_(std::move(received)) {
    sigset_t set;
    ::sigemptyset(&set);
    for (int one : {SIGTERM, SIGINT, SIGHUP}) ::sigaddset(&set, one);
    EOS_ASSERT(::pthread_sigmask(SIG_BLOCK, &set, nullptr) == 0);
    // libssl and we write to sockets whose other end may be gone.
    EOS_ASSERT(::signal(SIGPIPE, SIG_IGN) != SIG_ERR);
    fd_ = UniqueFd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
    EOS_ASSERT(fd_.valid());
    loop_.add(fd_.get(), EPOLLIN, *this);
}

Signals::~Signals() {
    loop_.remove(fd_.get(), *this);
}

void Signals::on_events(std::uint32_t events) {
    (void)events;
    signalfd_siginfo info{};
    while (::read(fd_.get(), &info, sizeof info) == sizeof info)
        received_(static_cast<int>(info.ssi_signo));
}

}  // namespace eos::os
