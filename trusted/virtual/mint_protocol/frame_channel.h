// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <functional>
#include <string>

#include "trusted/os/event_loop.h"
#include "trusted/virtual/mint_protocol/messages.h"

namespace eos::cvm {

/// One end of the socket between proxy and minter: frames in, frames out. threads: the loop's.
class FrameChannel final : public os::EventHandler {
  public:
    /// A frame longer, or more bytes waiting to go out than this, ends the channel.
    struct Limits {
        std::size_t frame_bytes;
        std::size_t queued_bytes;
    };
    /// What the owner hears. `closed` comes once, last, and not if the owner destroys the channel;
    /// it must not do that in either, but may in what it posts to the loop.
    struct Events {
        std::move_only_function<void(Bytes frame)> frame;
        std::move_only_function<void(std::string why)> closed;
    };

    /// in: fd: connected, non-blocking. `loop` outlives this.
    FrameChannel(os::EventLoop& loop, os::UniqueFd fd, Limits limits, Events events);
    ~FrameChannel() override;
    FrameChannel(const FrameChannel&) = delete;
    FrameChannel& operator=(const FrameChannel&) = delete;

    void send(const Bytes& frame);

    /// Ends it; `closed` comes in the loop's next turn.
    void close(std::string why);

    void on_events(std::uint32_t events) override;

  private:
    void read();
    void write();
    void hand_out();
    void finish();

    os::EventLoop& loop_;
    os::UniqueFd fd_;
    const Limits limits_;
    Events events_;
    FrameReader reader_;
    Bytes queued_;
    std::size_t sent_ = 0;
    std::string why_;
    bool is_closing_ = false;
    bool is_watched_ = true;
};

}  // namespace eos::cvm
