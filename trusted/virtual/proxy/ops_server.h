// SPDX-License-Identifier: AGPL-3.0-only
// /metrics for the machine itself: plain HTTP on a loopback address, answers of this program only.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>

#include "trusted/os/listener.h"
#include "trusted/runtime/interfaces.h"

namespace eos::cvm::proxy {

/// One request a connection, GET only. bound: kMaxConnections, each a request's head and
/// kDeadlineMs. threads: the loop's.
class OpsServer {
  public:
    static constexpr std::size_t kMaxConnections = 32;
    static constexpr std::uint64_t kDeadlineMs = 5'000;

    struct Answer {
        int status = 200;
        std::string_view content_type;
        std::string body;
    };
    /// in: the path. returns: nothing where there is nothing.
    using Answers = std::function<std::optional<Answer>(std::string_view path)>;

    /// `loop` and `clock` outlive this.
    OpsServer(os::EventLoop& loop, const runtime::Clock& clock, Answers answers);
    ~OpsServer();

    /// errors: those of os::Listener::open().
    [[nodiscard]] Result<void> listen(const os::ListenAddress& address);
    /// With the port that the system chose.
    const os::ListenAddress& address() const { return listener_->address(); }

    /// Closes what took too long. Once a turn of the loop.
    void turn();

  private:
    class Connection;

    Bytes answer(std::string_view path) const;

    os::EventLoop& loop_;
    const runtime::Clock& clock_;
    const Answers answers_;
    std::unique_ptr<os::Listener> listener_;
    std::list<Connection> connections_;
};

}  // namespace eos::cvm::proxy
