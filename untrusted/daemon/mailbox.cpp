// SPDX-License-Identifier: AGPL-3.0-only
#include "untrusted/daemon/mailbox.h"

#include <sys/eventfd.h>

#include "common/base/assert.h"

namespace eos::daemon {

Mailbox::Mailbox(EventLoop& loop) : loop_(loop), ready_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    EOS_ASSERT(ready_.valid());
    loop_.add(ready_.get(), EPOLLIN, *this);
}

Mailbox::~Mailbox() {
    loop_.remove(ready_.get(), *this);
}

void Mailbox::post(Letter letter) {
    {
        std::lock_guard lock(mutex_);
        letters_.push_back(std::move(letter));
        if (letters_.size() > 1) return;  // the loop has been told already
    }
    const std::uint64_t one = 1;
    EOS_ASSERT(::write(ready_.get(), &one, sizeof(one)) == sizeof(one));
}

void Mailbox::on_events(std::uint32_t /*events*/) {
    std::uint64_t count = 0;
    [[maybe_unused]] const ssize_t got = ::read(ready_.get(), &count, sizeof(count));
    std::vector<Letter> letters;
    {
        std::lock_guard lock(mutex_);
        letters.swap(letters_);
    }
    for (Letter& letter : letters) letter();
}

}  // namespace eos::daemon
