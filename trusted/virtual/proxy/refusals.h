// SPDX-License-Identifier: AGPL-3.0-only
// Requests that the proxy refuses itself and no route gets: a line in the access log and a number
// for each, as for those that are forwarded.
#pragma once

#include <memory>

#include "trusted/runtime/exchange.h"
#include "trusted/virtual/proxy/access_log.h"
#include "trusted/virtual/proxy/loop_metrics.h"

namespace eos::cvm::proxy {

/// What stands in the log in place of a route on the machine's own name; no route may be named so.
inline constexpr std::string_view kPlatformRoute = "platform";

/// Hears of every answer of one loop and keeps to those that refuse: everything that the connection
/// answers before a request has found its route, and answers 4xx of the proxy's own API. Requests
/// that the forwarder has seen are its own to count. threads: the loop's.
class Refusals final : public runtime::ExchangeObserver {
  public:
    /// What it uses; all outlive it.
    struct Parts {
        const runtime::Clock& clock;
        AccessLog& access_log;
        LoopMetrics& metrics;
    };
    /// in: loop_index: whose numbers of a route are counted on.
    Refusals(Parts parts, std::size_t loop_index) : parts_(parts), loop_index_(loop_index) {}

    /// From now on.
    void set_routes(std::shared_ptr<const RouteTable> routes) { routes_ = std::move(routes); }

    void answered(const runtime::ConnectionInfo& connection,
                  const runtime::ExchangeRecord& exchange) override;
    void turned_away(const runtime::ConnectionInfo& connection,
                     const runtime::ExchangeRecord& exchange) override;

  private:
    void note(const runtime::ConnectionInfo& connection, const runtime::ExchangeRecord& exchange);

    const Parts parts_;
    const std::size_t loop_index_;
    std::shared_ptr<const RouteTable> routes_ = std::make_shared<const RouteTable>();
};

}  // namespace eos::cvm::proxy
