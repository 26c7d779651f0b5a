// SPDX-License-Identifier: AGPL-3.0-only
// One connection to an upstream: the socket under what speaks HTTP, and how it is opened.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "trusted/virtual/proxy/upstreams.h"

namespace eos::cvm::proxy {

/// One connection: the socket under an UpstreamClient.
class UpstreamConnection final : public os::EventHandler, private UpstreamTransport {
  public:
    UpstreamConnection(Upstreams& owner, std::uint64_t id, std::shared_ptr<UpstreamPool> pool);
    ~UpstreamConnection() override;

    void on_events(std::uint32_t events) override;

  private:
    friend class Upstreams;

    void wake() override;
    void is_lost() override;

    void open();
    void connect();
    void connected();
    void close();
    void read();
    void flush();
    bool is_alive() const;
    void list();
    void unlist();
    void stop_keeping();
    std::optional<std::uint64_t> next_deadline_ms() const;
    void tick(std::uint64_t now_ms);

    Upstreams& owner_;
    const std::uint64_t id_;
    const std::shared_ptr<UpstreamPool> pool_;
    const std::unique_ptr<UpstreamClient> client_;
    os::UniqueFd fd_;
    std::uint64_t deadline_ms_ = 0;          ///< of connecting, or of being kept
    std::optional<std::uint64_t> retry_ms_;  ///< when to connect again: there was no room to wait
    std::optional<std::uint64_t> timer_ms_;
    bool is_connecting_ = false;
    bool cannot_open_ = false;
    bool is_readable_ = false;
    bool has_hung_up_ = false;  ///< the end of the input is among what can be read
    bool is_listed_ = false;    ///< among those of the pool that are available
    bool is_kept_ = false;      ///< without any request
    bool is_stale_ = false;     ///< takes no request any more
    bool is_counted_ = true;    ///< among the pool's open ones
    bool is_touched_ = false;
    bool is_shut_down_ = false;
};

}  // namespace eos::cvm::proxy
