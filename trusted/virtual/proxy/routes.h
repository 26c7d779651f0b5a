// SPDX-License-Identifier: AGPL-3.0-only
// What all event loops share of the routes: the configuration of each, whether its upstream works,
// and what is counted of it.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "trusted/runtime/metrics.h"
#include "trusted/virtual/config/config.h"

namespace eos::cvm::proxy {

/// What became of a request that was given to an upstream or refused before.
enum class Outcome : std::uint8_t {
    kAnswered,
    kClientGone,   ///< before the answer was finished
    kUnreachable,  ///< and so on, as UpstreamFailure
    kConnectTimeout,
    kClosed,
    kMalformed,
    kResponseTimeout,
    kStalled,
    kReset,       ///< the upstream broke the request off
    kOverloaded,  ///< every connection to the upstream is taken, or it refuses more requests
    kUnhealthy,   ///< by its health checks
    kRefused,     ///< by the proxy: the request cannot be forwarded
    kOverShare,   ///< by the proxy: the client's network has its share of the upstream
};
inline constexpr std::size_t kOutcomeCount = 13;
std::string_view to_string(Outcome outcome);

/// Numbers of one route and one loop. Written by that loop, read by any thread.
struct RouteStatistics {
    std::array<runtime::Metric, 4> answers;  ///< by class of status, 2xx to 5xx
    std::array<runtime::Metric, kOutcomeCount> outcomes;
    runtime::Metric duration_ms;
    runtime::Metric request_bytes;   ///< of bodies
    runtime::Metric response_bytes;  ///< of bodies
    runtime::Metric active;
    runtime::Metric retries;
};

/// The numbers of all loops; they outlive changes of the route.
using StatisticsOfLoops = std::vector<RouteStatistics>;

/// One route as it is served.
struct Route {
    explicit Route(RouteConfig route_config) : config(std::move(route_config)) {}

    const RouteConfig config;
    std::shared_ptr<StatisticsOfLoops> statistics;
    std::atomic<bool> is_healthy{true};  ///< until its checks say otherwise
};

/// By hostname. A value that never changes once it is served.
using RouteTable = std::map<std::string, std::shared_ptr<Route>, std::less<>>;

/// The table of a configuration. A route whose configuration did not change stays the very one that
/// it was, one that changed keeps its numbers.
std::shared_ptr<const RouteTable> make_routes(const Config& config, const RouteTable& before,
                                              std::size_t loops);

/// The numbers of all routes in Prometheus' text form, to be put behind those of
/// runtime::MetricRegistry. The label `route` is the route's configured name.
std::string route_metrics(const RouteTable& routes);

}  // namespace eos::cvm::proxy
