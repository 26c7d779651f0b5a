// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "trusted/os/event_loop.h"
#include "trusted/os/listen_address.h"

namespace eos::os {

inline constexpr Code listen_failed{"trusted/os", "listen_failed",
                                    "the address cannot be listened on"};

/// A listening socket that hands over what it accepts. threads: the loop's.
class Listener final : public EventHandler {
  public:
    /// The address of a peer: IPv4 mapped into IPv6.
    using Accepted = std::function<void(UniqueFd, const ByteArray<16>& peer)>;

    /// Whether other listeners of this program take a part of the address's connections.
    enum class Sharing { kAlone, kShared };

    /// `loop` outlives this.
    /// errors: listen_failed.
    [[nodiscard]] static Result<std::unique_ptr<Listener>> open(EventLoop& loop,
                                                                const ListenAddress& address,
                                                                Accepted accepted,
                                                                Sharing sharing = Sharing::kAlone);
    /// The same for processes of this machine, by a Unix socket; their address is all zeros, and
    /// `accepted` asks who they are (local_peer()).
    /// in:     as listen_local() has them.
    /// errors: local_socket_unusable.
    [[nodiscard]] static Result<std::unique_ptr<Listener>> open_local(EventLoop& loop,
                                                                      const std::string& path,
                                                                      mode_t mode,
                                                                      Accepted accepted);
    ~Listener() override;

    void on_events(std::uint32_t events) override;
    /// With the port that the system chose; nowhere, for a Unix socket.
    const ListenAddress& address() const { return address_; }

    /// Takes up accepting again some time after descriptors had run out; once a turn of the loop.
    void turn(std::uint64_t now_ms);
    /// When turn() is due; nothing while it accepts.
    std::optional<std::uint64_t> next_deadline_ms() const { return resume_ms_; }

  private:
    Listener(EventLoop& loop, UniqueFd fd, ListenAddress address, Accepted accepted);

    EventLoop& loop_;
    UniqueFd fd_;
    ListenAddress address_;
    Accepted accepted_;
    bool out_of_descriptors_ = false;
    std::optional<std::uint64_t> resume_ms_;
};

}  // namespace eos::os
