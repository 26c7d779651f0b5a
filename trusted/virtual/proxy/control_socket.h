// SPDX-License-Identifier: AGPL-3.0-only
// `enclave-os-proxy reload`: a question to the running proxy over a Unix socket, and its answer.
// One line each way; the question is "reload\n", the answer JSON.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <string>

#include "trusted/os/event_loop.h"
#include "trusted/runtime/interfaces.h"

namespace eos::cvm::proxy {

inline constexpr Code control_refused{"trusted/virtual/proxy", "control_refused",
                                      "the proxy refused"};
inline constexpr Code control_silent{"trusted/virtual/proxy", "control_silent",
                                     "the proxy did not answer: is it running, and as this user?"};

/// Hears the proxy's own user and root, nobody else. bound: kMaxConnections, each kDeadlineMs.
/// threads: the loop's.
class ControlSocket final : public os::EventHandler {
  public:
    static constexpr std::size_t kMaxConnections = 4;
    /// Longer than the minter may take for anything.
    static constexpr std::uint64_t kDeadlineMs = 90'000;

    /// Has the configuration read again; done with the generation that is served then.
    using Reload = std::function<void(runtime::Done<std::uint64_t>)>;

    /// `loop` and `clock` outlive this.
    ControlSocket(os::EventLoop& loop, const runtime::Clock& clock, Reload reload);
    ~ControlSocket() override;

    /// errors: those of os::listen_local().
    [[nodiscard]] Result<void> listen(const std::string& path);

    /// Closes what is over. Once a turn of the loop.
    void turn();

    void on_events(std::uint32_t events) override;

  private:
    class Connection;

    os::EventLoop& loop_;
    const runtime::Clock& clock_;
    const Reload reload_;
    os::UniqueFd fd_;
    std::string path_;
    std::list<std::shared_ptr<Connection>> connections_;
};

/// Asks the proxy behind `path` to have its configuration read again. Blocks until it is done.
/// returns: the generation that is served now.
/// errors:  os::nobody_listens; control_silent; control_refused with the proxy's reason; those of
///          json::parse() and json::Object.
[[nodiscard]] Result<std::uint64_t> ask_reload(const std::string& path);

}  // namespace eos::cvm::proxy
