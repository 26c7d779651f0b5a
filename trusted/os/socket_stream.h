// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "trusted/os/unique_fd.h"
#include "trusted/runtime/interfaces.h"

namespace eos::os {

/// A TCP socket as the runtime's transport: bounded both ways, never waiting.
class SocketStream final : public runtime::ByteStream {
  public:
    static constexpr std::size_t kWindowBytes = 64 * 1024;

    explicit SocketStream(UniqueFd fd) : fd_(std::move(fd)) {}

    std::size_t writable_bytes() const override;
    /// What the peer takes now is sent at once, without a copy; the rest waits for flush().
    void send(ByteView bytes) override;
    void consumed(std::size_t count) override { unconsumed_ -= count; }
    void close() override { closed_ = true; }
    void abort() override { broken_ = true; }

    /// What arrives now, in `buffer`, and at most the window's rest; empty if nothing does. Sets
    /// has_ended() or is_broken().
    ByteView receive(MutableByteView buffer);
    /// Drops what arrives.
    /// returns: how much that was.
    std::size_t discard();
    /// Sends what the peer takes now.
    void flush();
    /// Says that nothing more will be sent.
    void shut_down();

    int fd() const { return fd_.get(); }
    bool wants_input() const { return !has_ended_ && unconsumed_ < kWindowBytes; }
    /// Whether flush() is due: something waits, or so much went out at once that more may follow.
    bool needs_flush() const { return needs_flush_; }
    bool has_ended() const { return has_ended_; }
    bool is_closed() const { return closed_; }
    bool is_broken() const { return broken_; }

  private:
    std::size_t send_now(ByteView bytes);

    UniqueFd fd_;
    Bytes output_;  ///< that the peer did not take at once
    std::size_t offset_ = 0;
    std::size_t unconsumed_ = 0;  ///< received, and not reported as consumed
    bool has_ended_ = false;
    bool needs_flush_ = false;
    bool closed_ = false;
    bool broken_ = false;
};

}  // namespace eos::os
