// SPDX-License-Identifier: AGPL-3.0-only
// aesmd's transport: a Unix stream socket, one request and one response per connection.
#pragma once

#include <poll.h>
#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <utility>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "emulation/quoting/aesm_service.h"

namespace eos::emulation::quoting {

inline constexpr Code socket_unusable{"emulation/quoting", "socket_unusable",
                                      "the socket cannot be set up"};
inline constexpr Code socket_in_use{"emulation/quoting", "socket_in_use",
                                    "another program listens on the socket"};
inline constexpr Code accept_failed{"emulation/quoting", "accept_failed",
                                    "no connections can be taken any more"};

/// Connections beyond this many wait in the kernel's queue.
inline constexpr std::size_t kMaxConnections = 64;

/// What the operator decides about the socket.
struct ServerOptions {
    std::filesystem::path socket;
    /// Members of this group may connect too (mode 0660); else this user alone (0600).
    std::optional<gid_t> group;
    /// How long each quote takes; quotes are made one after the other, as by hardware.
    std::chrono::milliseconds quote_latency{0};
    /// From accepting a connection to having its whole request, and from having the response to
    /// having sent it all.
    std::chrono::milliseconds io_deadline{5000};
    /// Told, one line each, why a connection was closed without an answer.
    Log log;
};

/// One thread serves all connections; none waits for another, except for its turn at the quoting
/// enclave. The socket file is removed at the end.
class UnixServer {
  public:
    /// Binds and listens. A socket file that nobody listens on is replaced.
    /// in:      service outlives this object.
    /// errors:  socket_unusable, socket_in_use.
    [[nodiscard]] static Result<UnixServer> listen(AesmService& service, ServerOptions options);

    UnixServer(UnixServer&&) noexcept = default;
    UnixServer& operator=(UnixServer&&) = delete;
    ~UnixServer();

    /// Serves until `stop_fd` is readable. Connections that are open then are closed.
    /// errors: accept_failed.
    [[nodiscard]] Result<void> run(int stop_fd);

  private:
    using Clock = std::chrono::steady_clock;

    /// Closes its descriptor at the end.
    class Descriptor {
      public:
        explicit Descriptor(int fd) : fd_(fd) {}
        Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
        Descriptor& operator=(Descriptor&& other) noexcept {
            std::swap(fd_, other.fd_);
            return *this;
        }
        ~Descriptor();
        int get() const { return fd_; }

      private:
        int fd_;
    };

    struct Connection {
        enum class Phase { kReading, kWaiting, kWriting, kDone };

        Descriptor socket;
        Phase phase = Phase::kReading;
        Clock::time_point due;  ///< deadline when reading or writing, start of writing when waiting
        Bytes in;
        Bytes out;
        std::size_t sent = 0;
    };

    UnixServer(AesmService& service, ServerOptions options, Descriptor listener)
        : service_(&service), options_(std::move(options)), listener_(std::move(listener)) {}

    std::vector<pollfd> poll_set() const;
    Result<void> accept_all(Clock::time_point now);
    void serve(Connection& connection, short events, Clock::time_point now);
    void read(Connection& connection, Clock::time_point now);
    void answer(Connection& connection, Clock::time_point now);
    void write(Connection& connection);
    int timeout_ms(Clock::time_point now) const;

    AesmService* service_;
    ServerOptions options_;
    Descriptor listener_;
    std::vector<Connection> connections_;
    Clock::time_point enclave_free_at_{};  ///< when the quoting enclave is done with its last quote
};

}  // namespace eos::emulation::quoting
