// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <memory>
#include <string>

#include "untrusted/daemon/address.h"
#include "untrusted/daemon/event_loop.h"

namespace eos::daemon {

inline constexpr Code cannot_listen{"untrusted/daemon", "cannot_listen",
                                    "the address cannot be listened on"};

/// Takes over accepted connections.
class AcceptSink {
  public:
    virtual ~AcceptSink() = default;
    /// in: a non-blocking socket.
    virtual void on_accept(UniqueFd socket, const SocketAddress& peer) = 0;
};

/// A listening TCP socket. Whoever cannot be taken now waits in the kernel's backlog.
/// threads: the loop's.
class Listener : public EventHandler {
  public:
    static constexpr unsigned kMaxBurst = 64;
    /// How long nothing is accepted after the system ran out of descriptors or memory.
    static constexpr Milliseconds kPause{100};

    /// `loop` and `sink` must outlive the listener.
    /// errors:  cannot_listen (with the remedy).
    [[nodiscard]] static Result<std::unique_ptr<Listener>> open(EventLoop& loop, AcceptSink& sink,
                                                                const SocketAddress& address);
    ~Listener() override;
    Listener(const Listener&) = delete;
    Listener& operator=(const Listener&) = delete;

    /// How many connections may be accepted from now until the next call; 0: none.
    void permit(std::size_t count, MonotonicTime now);

    /// Why accepting pauses, or nothing. Not said of a permit of 0.
    const std::string& trouble() const { return trouble_; }
    std::uint64_t pause_count() const { return pause_count_; }

    const SocketAddress& address() const { return address_; }
    void on_events(std::uint32_t events) override;

  private:
    enum class Watch { kNo, kYes };

    Listener(EventLoop& loop, AcceptSink& sink, UniqueFd socket, const SocketAddress& address);
    void watch(Watch watch);

    EventLoop& loop_;
    AcceptSink& sink_;
    UniqueFd socket_;
    SocketAddress address_;
    Watch watched_ = Watch::kNo;
    std::size_t permitted_ = 0;
    MonotonicTime paused_until_{};
    std::string trouble_;
    std::uint64_t pause_count_ = 0;
};

}  // namespace eos::daemon
