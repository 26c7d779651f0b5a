// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <atomic>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "untrusted/daemon/listener.h"
#include "untrusted/daemon/ops_server.h"
#include "untrusted/daemon/supervisor.h"

namespace eos::daemon {

/// What a person chooses: addresses, paths and limits. Nothing here decides security.
struct DaemonOptions {
    std::string listen = "127.0.0.1:8443";
    std::optional<std::string> ops_listen;
    std::filesystem::path state_directory;
    std::string quote_socket = aesm::kDefaultSocket;
    unsigned worker_count = 1;
    std::size_t max_connections = 4096;
    Milliseconds drain_time{30'000};
    RunnerCommand runner;
};

/// How the program ended; the values are exit codes and documented.
enum class ExitCode : int {
    kStopped = 0,
    kFailed = 1,
    kUsage = 2,
    kStateRefused = 3,
};

/// The whole host side. threads: the main thread; the services have theirs.
class Daemon : private AcceptSink {
  public:
    /// Opens state directory, database and sockets, so that what is wrong is said at once.
    /// errors:  bad_state_directory, those of BlobDatabase::open, bad_address, cannot_listen,
    ///          runner_not_started.
    [[nodiscard]] static Result<std::unique_ptr<Daemon>> open(const DaemonOptions& options,
                                                              const Log& log);
    ~Daemon() override;

    /// Serves until SIGTERM or SIGINT (which the caller has blocked in all threads), or until the
    /// trusted side refuses its state.
    ExitCode run();

  private:
    /// Turns signals into calls.
    class Signals;

    Daemon(const DaemonOptions& options, const Log& log, std::unique_ptr<BlobDatabase> database);
    void on_accept(UniqueFd socket, const SocketAddress& peer) override;
    void permit_accepting(MonotonicTime now);
    OpsResponse answer_ops(std::string_view path) const;
    void limit_connections();
    void watch_expiry(MonotonicTime now);

    DaemonOptions options_;
    const Log& log_;
    Counters counters_;
    Health health_;
    ConnectionIds ids_;
    EventLoop loop_;
    Mailbox mailbox_;
    BlobService blobs_;
    QuoteService quotes_;
    HostServices services_;
    Supervisor supervisor_;
    std::unique_ptr<Listener> listener_;
    std::unique_ptr<OpsServer> ops_;
    std::unique_ptr<Signals> signals_;
    MonotonicTime next_expiry_check_{};
    std::string expiry_warning_;
};

}  // namespace eos::daemon
