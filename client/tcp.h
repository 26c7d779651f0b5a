// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "common/base/bytes.h"
#include "common/base/result.h"

namespace eos::client {

inline constexpr Code connect_failed{"client", "connect_failed", "could not connect"};
inline constexpr Code connection_lost{"client", "connection_lost", "the connection was lost"};
inline constexpr Code timed_out{"client", "timed_out", "the server did not answer in time"};

using Deadline = std::chrono::steady_clock::time_point;

/// Where to connect to; who is expected there is said elsewhere.
struct Address {
    std::string host;  ///< name or address
    std::uint16_t port = 443;
};

/// A connected TCP socket whose every wait has a deadline. Moves, does not copy.
class TcpSocket {
  public:
    /// Tries every address of the name in turn.
    /// errors: connect_failed (with the reason of the last try), timed_out.
    [[nodiscard]] static Result<TcpSocket> connect(const Address& address, Deadline deadline);

    TcpSocket(TcpSocket&& other) noexcept;
    TcpSocket& operator=(TcpSocket&& other) noexcept;
    TcpSocket(const TcpSocket&) = delete;
    TcpSocket& operator=(const TcpSocket&) = delete;
    ~TcpSocket();

    /// Sends everything.
    /// errors: connection_lost, timed_out.
    [[nodiscard]] Result<void> send_all(ByteView bytes, Deadline deadline);

    /// Whatever arrives first, at most `limit` bytes; empty at the end of the stream. With a
    /// deadline in the past it only takes what is here already.
    /// errors: connection_lost, timed_out.
    [[nodiscard]] Result<Bytes> receive(std::size_t limit, Deadline deadline);

  private:
    explicit TcpSocket(int fd) : fd_(fd) {}
    int fd_;
};

}  // namespace eos::client
