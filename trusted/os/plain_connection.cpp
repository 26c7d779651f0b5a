// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/os/plain_connection.h"

#include "common/base/assert.h"

namespace eos::os {

PlainConnection::PlainConnection(runtime::ConnectionServices& services, runtime::ByteStream& stream,
                                 Changed changed)
    : services_(services),
      stream_(stream),
      changed_(std::move(changed)),
      protocol_(services.start_protocol(info_, *this)) {}

void PlainConnection::receive(ByteView bytes) {
    if (is_over_) return;
    append(pending_, bytes);
    run();
}

void PlainConnection::input_ended() {
    if (is_over_) return;
    input_ended_ = true;
    run();
}

void PlainConnection::peer_left() {
    if (is_over_ || std::exchange(peer_left_, true)) return;
    run();
}

void PlainConnection::writable() {
    if (is_over_) return;
    resume();
    run();
}

void PlainConnection::carry_on() {
    if (is_over_ || !must_carry_on_) return;
    must_carry_on_ = false;
    resume();
    run();
}

void PlainConnection::tick() {
    if (is_over_) return;
    const std::uint64_t now_ms = services_.clock().monotonic_ms();
    if (deadline_ms_ != 0 && now_ms >= deadline_ms_) return abort();
    is_running_ = true;
    protocol_->tick(now_ms);
    is_running_ = false;
    run();
}

std::optional<std::uint64_t> PlainConnection::next_deadline_ms() const {
    if (is_over_) return std::nullopt;
    std::optional<std::uint64_t> next = protocol_->next_deadline_ms();
    if (deadline_ms_ != 0 && (!next || deadline_ms_ < *next)) next = deadline_ms_;
    return next;
}

void PlainConnection::drain(std::uint64_t drain_ms) {
    if (is_over_ || is_draining_) return;
    is_draining_ = true;
    deadline_ms_ = services_.clock().monotonic_ms() + drain_ms;
    is_running_ = true;
    protocol_->drain();
    is_running_ = false;
    run();
}

void PlainConnection::resume() {
    is_running_ = true;
    protocol_->writable();
    is_running_ = false;
}

// The protocol writes and ends from within; what it does not take yet keeps its place in the
// stream's window.
void PlainConnection::run() {
    is_running_ = true;
    while (!is_over_ && !pending_.empty() && protocol_->wants_input()) {
        const std::size_t taken = protocol_->receive(pending_);
        EOS_ASSERT(taken <= pending_.size());
        if (taken == 0) break;
        stream_.consumed(taken);
        pending_ = taken == pending_.size() ? Bytes() : to_bytes(ByteView(pending_).subspan(taken));
    }
    if (!is_over_ && input_ended_ && pending_.empty()) protocol_->input_ended();
    if (!is_over_ && peer_left_) protocol_->peer_left();
    is_running_ = false;
    changed_();
}

std::size_t PlainConnection::writable_bytes() const {
    return is_over_ ? 0 : stream_.writable_bytes();
}

void PlainConnection::write(ByteView plaintext) {
    EOS_ASSERT(plaintext.size() <= writable_bytes());
    stream_.send(plaintext);
    wake();
}

void PlainConnection::finish() {
    if (is_over_) return;
    is_over_ = true;
    stream_.close();
    wake();
}

void PlainConnection::abort() {
    if (is_over_) return;
    is_over_ = true;
    stream_.abort();
    wake();
}

// Within run() and its like everything is looked at anyhow.
void PlainConnection::wake() {
    if (is_running_) return;
    must_carry_on_ = true;
    changed_();
}

}  // namespace eos::os
