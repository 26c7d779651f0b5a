// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "trusted/os/system_clock.h"
#include "trusted/virtual/proxy/minter_link.h"

namespace eos::cvm::proxy {

/// The minter behind its socket.
class MintLink final : public MinterLink {
  public:
    /// `log` outlives this.
    MintLink(std::string socket_path, uid_t minter_user, const os::Log& log);
    ~MintLink() override;

    [[nodiscard]] Result<void> start(os::EventLoop& loop, Changed changed) override;
    void turn() override;
    std::optional<std::uint64_t> next_deadline_ms() const override;
    std::unique_ptr<LoopLink> for_loop(LoopPlace place) override;
    void reload(runtime::Done<void> done) override;
    const MinterStatistics* statistics() const override { return &client_->statistics(); }
    void stop() override { client_.reset(); }

  private:
    const std::string socket_path_;
    const uid_t minter_user_;
    const os::Log& log_;
    const os::SystemClock clock_;
    os::EventLoop* loop_ = nullptr;  ///< from start() on
    std::optional<MintClient> client_;
};

}  // namespace eos::cvm::proxy
