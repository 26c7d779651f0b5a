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
    std::map<std::uint64_t, std::unique_ptr<UpstreamConnection>> connections_;
    std::set<std::pair<std::uint64_t, std::uint64_t>> timers_;  ///< when, and which: one each
    std::vector<std::uint64_t> touched_;
    std::uint64_t last_id_ = 0;
    Bytes scratch_;  ///< what one read takes, for all connections
};

/// One connection: the socket under an UpstreamClient.
class UpstreamConnection final : public os::EventHandler, private UpstreamTransport {
  public:
    UpstreamConnection(Upstreams& owner, std::uint64_t id, std::shared_ptr<UpstreamPool> pool);
    ~UpstreamConnection() override;

    void on_events(std::uint32_t events) override;

  private:
    friend class Upstreams;

    void wake() override;
    void is_lost() override;

    void open();
    void connect();
    void connected();
    void close();
    void read();
    void flush();
    bool is_alive() const;
    void list();
    void unlist();
    void stop_keeping();
    std::optional<std::uint64_t> next_deadline_ms() const;
    void tick(std::uint64_t now_ms);

    Upstreams& owner_;
    const std::uint64_t id_;
    const std::shared_ptr<UpstreamPool> pool_;
    const std::unique_ptr<UpstreamClient> client_;
    os::UniqueFd fd_;
    std::uint64_t deadline_ms_ = 0;          ///< of connecting, or of being kept
    std::optional<std::uint64_t> retry_ms_;  ///< when to connect again: there was no room to wait
    std::optional<std::uint64_t> timer_ms_;
    bool is_connecting_ = false;
    bool cannot_open_ = false;
    bool is_readable_ = false;
    bool has_hung_up_ = false;  ///< the end of the input is among what can be read
    bool is_listed_ = false;    ///< among those of the pool that are available
    bool is_kept_ = false;      ///< without any request
    bool is_stale_ = false;     ///< takes no request any more
    bool is_counted_ = true;    ///< among the pool's open ones
    bool is_touched_ = false;
    bool is_shut_down_ = false;
};

}  // namespace eos::cvm::proxy
