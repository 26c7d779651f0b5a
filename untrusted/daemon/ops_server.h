// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "untrusted/daemon/listener.h"

namespace eos::daemon {

/// What an operations request is answered with; text only.
struct OpsResponse {
    int status = 200;
    std::string content_type = "text/plain; charset=utf-8";
    std::string body;
};

/// Parses nothing but the request line of an HTTP/1.x request head.
/// returns: the path without its query of a GET request, or an empty view.
std::string_view ops_path(std::string_view head);

/// A few connections of plain HTTP for the operator's own probes, on loopback: one GET, one answer,
/// close. Nothing secret is said and nothing can be changed here. threads: the loop's.
class OpsServer : private AcceptSink {
  public:
    static constexpr std::size_t kMaxConnections = 16;
    static constexpr std::size_t kMaxHeadBytes = 4096;
    static constexpr Milliseconds kMaxTime{5'000};

    /// Makes the answer for a path; called on the loop's thread.
    using Answer = std::function<OpsResponse(std::string_view path)>;

    /// errors:  cannot_listen (also: the address is not a loopback address).
    [[nodiscard]] static Result<std::unique_ptr<OpsServer>> open(EventLoop& loop,
                                                                 const SocketAddress& address,
                                                                 Answer answer);
    ~OpsServer() override;

    /// Once a turn: time limits, and forgets what is done.
    void turn(MonotonicTime now);
    const SocketAddress& address() const { return listener_->address(); }

  private:
    class Conversation;

    OpsServer(EventLoop& loop, Answer answer);
    void on_accept(UniqueFd socket, const SocketAddress& peer) override;

    EventLoop& loop_;
    Answer answer_;
    std::unique_ptr<Listener> listener_;
    std::vector<std::unique_ptr<Conversation>> conversations_;
};

}  // namespace eos::daemon
