// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>

#include "trusted/os/log.h"
#include "trusted/virtual/mint_protocol/frame_channel.h"
#include "trusted/virtual/minter/minter.h"

namespace eos::cvm {

inline constexpr Code socket_unusable{"trusted/virtual/minter", "socket_unusable",
                                      "the minter's socket cannot be made"};

/// Requests that one proxy may have under way.
inline constexpr std::size_t kMaxRequestsUnderWay = 4096;

/// The minter's socket: one proxy at a time, and only one of the right user. threads: the loop's.
class MinterServer final : public os::EventHandler {
  public:
    /// in:      path: of the socket; one that a minter left behind is replaced.
    /// errors:  socket_unusable.
    [[nodiscard]] static Result<std::unique_ptr<MinterServer>> listen(os::EventLoop& loop,
                                                                      const os::Log& log,
                                                                      const std::string& path,
                                                                      uid_t proxy_user);
    ~MinterServer() override;
    MinterServer(const MinterServer&) = delete;
    MinterServer& operator=(const MinterServer&) = delete;

    /// Who answers; before the loop turns.
    void set_minter(Minter& minter) { minter_ = &minter; }

    /// To the proxy, if one is there that has said hello.
    void push(const State& state);

    void on_events(std::uint32_t events) override;

  private:
    MinterServer(os::EventLoop& loop, const os::Log& log, os::UniqueFd fd, std::string path,
                 uid_t proxy_user);
    void accepted(os::UniqueFd fd);
    void received(const Bytes& frame);
    void answered(std::uint64_t proxy, std::uint32_t id, MintReply reply);
    void lost(std::uint64_t proxy, const std::string& why);

    os::EventLoop& loop_;
    const os::Log& log_;
    os::FrequentWarning peers_refused_;
    os::FrequentWarning second_proxies_;
    os::UniqueFd fd_;
    const std::string path_;
    const uid_t proxy_user_;
    Minter* minter_ = nullptr;
    std::unique_ptr<FrameChannel> channel_;
    std::uint64_t proxy_ = 0;  ///< which of those that came; answers to earlier ones go nowhere
    std::uint32_t last_id_ = 0;
    std::size_t under_way_ = 0;
    std::shared_ptr<MinterServer*> self_;
};

}  // namespace eos::cvm
