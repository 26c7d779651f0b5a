// SPDX-License-Identifier: AGPL-3.0-only
// The proxy as a running program, for whoever says where what is served comes from.
#pragma once

#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "trusted/os/log.h"
#include "trusted/os/signals.h"
#include "trusted/virtual/proxy/control_socket.h"
#include "trusted/virtual/proxy/ops_server.h"
#include "trusted/virtual/proxy/worker.h"

namespace eos::cvm::proxy {

inline constexpr Code minter_lost{"trusted/virtual/proxy", "minter_lost",
                                  "the minter did not say what to serve"};

/// Waits for the first state, opens the listeners, and serves until SIGTERM or SIGINT, which drain;
/// a second one stops at once. SIGHUP and ask_reload() have the configuration read again.
/// Listeners, limits and the number of loops are those of the first state: a change of them is
/// logged and waits for a restart. threads: one, the main one.
class Program {
  public:
    /// `minter` outlives this. Before any other thread is started: signals are blocked here.
    /// in: control_path: of the socket for ask_reload(); empty: none.
    ///     log_lines: takes what is logged; outlives this.
    Program(MinterLink& minter, std::string control_path, os::LineSink& log_lines);
    ~Program();

    /// returns: after an orderly stop.
    /// errors:  those of the minter's start, of listening, minter_lost.
    [[nodiscard]] Result<void> run();

  private:
    void take(MintedStatePtr state);
    Result<void> open();
    Result<void> open_listeners();
    int timeout_ms() const;
    std::shared_ptr<const RouteTable> routes() const;
    MintedStatePtr state() const;
    std::vector<std::string> reasons(UnixTime now) const;
    std::size_t connection_count() const;
    void received(int signal);
    void reload(runtime::Done<std::uint64_t> done);
    void after_all_loops(std::move_only_function<void()> work);
    std::uint64_t generation() const;
    void stop();
    void warn_of_restart(const Config& config) const;
    std::optional<OpsServer::Answer> answer(std::string_view path) const;
    std::string metrics() const;
    void say(os::Severity severity, std::string_view event,
             std::initializer_list<os::Log::Field> fields = {}) const;

    MinterLink& minter_;
    os::LineSink& log_lines_;
    os::EventLoop loop_;
    os::Signals signals_;
    const os::SystemClock clock_;
    std::optional<ratls::ServerContext> tls_;
    ProgramView view_;
    OpsServer ops_;
    const std::string control_path_;
    ControlSocket control_;
    bool has_changed_ = false;           ///< since memory was last given back
    std::optional<Config> opened_with_;  ///< what listeners and limits were made from
    mutable std::mutex served_mutex_;    ///< loops ask for metrics, and what is ready
    MintedStatePtr state_;               ///< written by the main thread only
    std::shared_ptr<const RouteTable> routes_ = std::make_shared<const RouteTable>();
    std::list<Worker> workers_;
    std::size_t running_ = 0;
    std::atomic<bool> is_ready_{false};
    bool is_stopping_ = false;
};

}  // namespace eos::cvm::proxy
