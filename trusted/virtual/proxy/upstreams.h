// SPDX-License-Identifier: AGPL-3.0-only
// Connections of one event loop to upstreams: opened when there is a request for them, kept for the
// next one, bounded in number and in time.
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
#include "trusted/virtual/proxy/http1_client.h"

namespace eos::cvm::proxy {

class UpstreamConnection;

/// One upstream, as one event loop sees it. Lives as long as a route or a connection holds it.
class UpstreamPool {
  public:
    /// `loops`: how many share the configured number of connections.
    /// in: of a configuration that check_config() has passed.
    UpstreamPool(const UpstreamConfig& config, std::size_t loops);

    const UpstreamConfig& config() const { return config_; }
    std::size_t open_count() const { return open_; }
    std::size_t idle_count() const { return idle_.size(); }
    /// How many connections were opened in all.
    std::uint64_t opened_total() const { return opened_; }

  private:
    friend class Upstreams;
    friend class UpstreamConnection;

    const UpstreamConfig config_;
    const UpstreamTimeouts timeouts_;
    const std::size_t max_open_;
    const std::size_t max_idle_;
    std::vector<UpstreamConnection*> idle_;  ///< the one used last at the end
    std::size_t open_ = 0;
    bool is_retired_ = false;
    std::uint64_t opened_ = 0;
};

/// Whether a connection that was used before will do.
enum class Freshness : std::uint8_t {
    kAny,      ///< a stale one costs a second try
    kChecked,  ///< the request must not be sent twice: one that was closed meanwhile is passed over
    kNew,
};

/// threads: the loop's.
class Upstreams {
  public:
    /// Both outlive this.
    Upstreams(os::EventLoop& loop, const runtime::Clock& clock);
    ~Upstreams();
    Upstreams(const Upstreams&) = delete;
    Upstreams& operator=(const Upstreams&) = delete;

    /// Sends a request on a connection of `pool`, which is opened if there is none. Whatever goes
    /// wrong is told to `handler` later, never inside this call.
    /// returns: the connection, which stays until the handler was told the end or abandoned it;
    ///          null if the pool's bound is reached.
    UpstreamConnection* start(const std::shared_ptr<UpstreamPool>& pool, UpstreamRequest request,
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

    UpstreamConnection* take_idle(UpstreamPool& pool, Freshness freshness);
    void touch(UpstreamConnection& connection);
    void settle(UpstreamConnection& connection);
    void reschedule(UpstreamConnection& connection);
    void cancel_timer(UpstreamConnection& connection);
    void forget(UpstreamConnection& connection);

    os::EventLoop& loop_;
    const runtime::Clock& clock_;
    std::map<std::uint64_t, std::unique_ptr<UpstreamConnection>> connections_;
    std::set<std::pair<std::uint64_t, std::uint64_t>> timers_;  ///< when, and which: one each
    std::vector<std::uint64_t> touched_;
    std::uint64_t last_id_ = 0;
    Bytes scratch_;  ///< what one read takes, for all connections
};

/// One connection, as whoever sends a request on it sees it.
class UpstreamConnection final : public os::EventHandler {
  public:
    UpstreamConnection(Upstreams& owner, std::uint64_t id, std::shared_ptr<UpstreamPool> pool);
    ~UpstreamConnection() override;

    /// As those of Http1Client; sent at the end of the loop's turn.
    void write(ByteView piece);
    void finish(const http::Headers& trailers);
    bool has_room() { return client_.has_room(); }
    void resume();
    void abandon();

    void on_events(std::uint32_t events) override;

  private:
    friend class Upstreams;

    void open();
    void connected();
    void read();
    void flush();
    bool is_alive();
    std::optional<std::uint64_t> next_deadline_ms() const;
    void tick(std::uint64_t now_ms);

    Upstreams& owner_;
    const std::uint64_t id_;
    const std::shared_ptr<UpstreamPool> pool_;
    Http1Client client_;
    os::UniqueFd fd_;
    std::uint64_t deadline_ms_ = 0;  ///< of connecting, or of being kept
    std::optional<std::uint64_t> timer_ms_;
    bool is_connecting_ = false;
    bool cannot_open_ = false;
    bool is_readable_ = false;
    bool has_hung_up_ = false;  ///< the end of the input is among what can be read
    bool is_kept_ = false;      ///< in the pool's list
    bool is_touched_ = false;
    bool is_shut_down_ = false;
};

}  // namespace eos::cvm::proxy
