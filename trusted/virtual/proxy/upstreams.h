// SPDX-License-Identifier: AGPL-3.0-only
// Connections of one event loop to upstreams: opened when there is a request for them, shared by
// requests as far as their version of HTTP allows, kept for the next one, bounded in number and in
// time.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "trusted/os/event_loop.h"
#include "trusted/virtual/config/config.h"
#include "trusted/virtual/proxy/client_shares.h"
#include "trusted/virtual/proxy/upstream_client.h"

namespace eos::cvm::proxy {

inline constexpr Code no_free_connection{"trusted/virtual/proxy", "no_free_connection",
                                         "every connection to the upstream is taken"};

class UpstreamConnection;

/// One upstream, as one event loop sees it. Lives as long as a route or a connection holds it.
class UpstreamPool {
  public:
    /// `loops`: how many share the configured number of connections.
    /// in: of a configuration that check_config() has passed.
    UpstreamPool(const UpstreamConfig& config, std::size_t loops);

    const UpstreamConfig& config() const { return config_; }
    std::size_t open_count() const { return open_; }
    std::size_t idle_count() const { return idle_; }
    /// How many connections were opened in all.
    std::uint64_t opened_total() const { return opened_; }

  private:
    friend class Upstreams;
    friend class UpstreamConnection;

    const UpstreamConfig config_;
    const UpstreamTimeouts timeouts_;
    const std::size_t max_open_;
    const std::size_t max_idle_;
    ClientShares shares_;             ///< of clients' requests that are under way
    std::size_t per_connection_ = 1;  ///< requests at a time, as the upstream lately said
    std::vector<UpstreamConnection*> available_;  ///< take a request; the one used last at the end
    std::size_t open_ = 0;
    std::size_t idle_ = 0;  ///< of those available: without any request
    bool is_retired_ = false;
    std::uint64_t opened_ = 0;
};

/// Whether a connection that was used before will do.
enum class Freshness : std::uint8_t {
    kAny,      ///< a stale one, or one with input before the request went out, costs a second try
    kChecked,  ///< the request must not be sent twice: one that was closed meanwhile is passed over
    kNew,
};

/// threads: the loop's.
class Upstreams {
  public:
    /// Both outlive this.
    /// in: max_open: connections to all upstreams together; so many descriptors there are for them.
    Upstreams(os::EventLoop& loop, const runtime::Clock& clock, std::size_t max_open = SIZE_MAX);
    ~Upstreams();
    Upstreams(const Upstreams&) = delete;
    Upstreams& operator=(const Upstreams&) = delete;

    /// Admits a client's request to the pool, for as long as the lease is held.
    /// in:      network: the client's, as os::network_of() says.
    /// errors:  share_taken. Where there is no connection for anybody, start() says so.
    [[nodiscard]] Result<ClientShares::Lease> admit(UpstreamPool& pool,
                                                    const ByteArray<16>& network) const;

    /// Sends a request on a connection of `pool`, which is opened if there is none. Whatever goes
    /// wrong on its way is told to `handler` later, never inside this call.
    /// in:      as UpstreamClient::begin() has it.
    /// returns: the exchange, which stays until the handler was told the end or abandoned it.
    /// errors:  no_free_connection, those of http::append_request_head.
    [[nodiscard]] Result<UpstreamExchange*> start(const std::shared_ptr<UpstreamPool>& pool,
                                                  const http::RequestHead& head,
                                                  Freshness freshness, ResponseHandler& handler);

    /// No connection of the pool is kept any more.
    void retire(UpstreamPool& pool);

    /// Sends what was queued, runs timers that are due, forgets connections that are over. Once a
    /// turn of the loop, after everything else.
    void turn();
    std::optional<std::uint64_t> next_deadline_ms() const;

    std::size_t count() const { return connections_.size(); }

  private:
    friend class UpstreamConnection;

    std::size_t capacity(const UpstreamPool& pool) const;
    bool make_room(UpstreamPool& pool);
    UpstreamConnection* find_available(UpstreamPool& pool, Freshness freshness);
    UpstreamConnection* make(const std::shared_ptr<UpstreamPool>& pool);
    void keep_if_idle(UpstreamConnection& connection);
    void touch(UpstreamConnection& connection);
    void settle(UpstreamConnection& connection);
    void reschedule(UpstreamConnection& connection);
    void cancel_timer(UpstreamConnection& connection);
    void forget(UpstreamConnection& connection);

    os::EventLoop& loop_;
    const runtime::Clock& clock_;
    const std::size_t max_open_;
    std::size_t kept_ = 0;  ///< connections without any request, in all pools
    std::map<std::uint64_t, std::unique_ptr<UpstreamConnection>> connections_;
    std::set<std::pair<std::uint64_t, std::uint64_t>> timers_;  ///< when, and which: one each
    std::vector<std::uint64_t> touched_;
    std::uint64_t last_id_ = 0;
    Bytes scratch_;  ///< what one read takes, for all connections
};

}  // namespace eos::cvm::proxy
