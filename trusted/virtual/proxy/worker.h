// SPDX-License-Identifier: AGPL-3.0-only
// One event loop with all that runs in it: listeners, clients' connections, upstreams.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "trusted/os/connections.h"
#include "trusted/os/listener.h"
#include "trusted/os/system_clock.h"
#include "trusted/runtime/http_connection.h"
#include "trusted/virtual/proxy/forwarder.h"
#include "trusted/virtual/proxy/health_checks.h"
#include "trusted/virtual/proxy/minter_link.h"
#include "trusted/virtual/proxy/refusals.h"

namespace eos::cvm::proxy {

/// threads: the constructor, listen() and start() one thread's; then any, but where it says
/// otherwise.
class Worker final : private runtime::ConnectionServices {
  public:
    struct Parts {
        MinterLink& minter;
        const ratls::ServerContext& tls;
        const ProgramView& program;
        os::LineSink& log_lines;
        /// To upstreams, of this loop.
        std::size_t upstream_connections;
        std::function<void()> stopped;  ///< called by the worker's thread at its very end
    };

    /// What it uses outlives it. `state`: what is served from the beginning.
    Worker(Parts parts, Forwarder::Loop loop, MintedStatePtr state,
           std::shared_ptr<const RouteTable> routes);
    /// Waits for the thread.
    ~Worker() override;

    /// Takes a share of an address's connections.
    /// returns: the address, with the port that the system chose.
    /// errors:  those of os::Listener::open(), bad_config.
    [[nodiscard]] Result<os::ListenAddress> listen(const ListenConfig& config,
                                                   const os::ListenAddress& address);

    void start();
    /// What is served from now on; drains who was shown something else.
    void set_state(MintedStatePtr state, std::shared_ptr<const RouteTable> routes);
    /// Has `work` done by the loop's thread, behind all that it was told before.
    void post(std::move_only_function<void()> work) { loop_.post(std::move(work)); }
    /// Accepts no more, lets requests finish for so long, and stops.
    void drain(std::uint64_t drain_ms);

    /// How many connections clients have, lately.
    std::size_t connection_count() const { return metrics_.connection_count(); }
    const LoopMetrics& metrics() const { return metrics_; }

  private:
    struct Door;
    class WorkloadName;

    const runtime::Clock& clock() const override { return clock_; }
    std::shared_ptr<const runtime::Served> served() const override { return state_->served; }
    void leaf(std::shared_ptr<const runtime::Served> served, const ratls::HandshakeOffer& offer,
              const ByteArray<16>& peer_address,
              runtime::Done<runtime::CredentialPtr> done) override;
    std::unique_ptr<runtime::ConnectionProtocol> start_protocol(
        const runtime::ConnectionInfo& info, runtime::PlaintextSink& sink) override;

    void run();
    void take(MintedStatePtr state, std::shared_ptr<const RouteTable> routes);
    void begin_drain(std::uint64_t drain_ms);
    bool is_done() const;
    int timeout_ms() const;

    const Parts parts_;
    const Forwarder::Loop loop_index_;
    os::TurnClock clock_;
    os::EventLoop loop_;
    MintedStatePtr state_;
    const runtime::HttpLimits http_limits_;
    std::unique_ptr<LoopLink> link_;
    AccessLog access_log_;
    LoopMetrics metrics_;
    Refusals refusals_;
    Upstreams upstreams_;
    Forwarder forwarder_;
    std::unique_ptr<WorkloadName> workload_name_;
    std::optional<HealthChecks> health_;  ///< of the first loop
    os::Connections connections_;
    std::vector<std::unique_ptr<Door>> doors_;
    std::optional<std::uint64_t> stop_at_ms_;
    std::thread thread_;
};

}  // namespace eos::cvm::proxy
