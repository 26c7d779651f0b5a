// SPDX-License-Identifier: AGPL-3.0-only
// Asks upstreams whether they work, for all loops.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "trusted/virtual/proxy/routes.h"
#include "trusted/virtual/proxy/upstreams.h"

namespace eos::cvm::proxy {

/// Checks every route that has a path for it: one GET an interval, on a connection of its own. An
/// answer of 2xx or 3xx that is complete in time is good. Checks are spread over the interval; one
/// that finds no connection free is tried again soon, ahead of those that had their turn.
/// threads: one loop's.
class HealthChecks {
  public:
    /// From one try to the next while no connection is free, and at most from one route's first
    /// check to the next route's.
    static constexpr std::uint64_t kStepMs = 100;

    /// Both outlive this.
    HealthChecks(Upstreams& upstreams, const runtime::Clock& clock);
    ~HealthChecks();

    /// From now on. A route that stayed the same goes on with what was found out.
    void set_routes(const RouteTable& routes);
    /// Begins checks that are due, ends those whose time is over. Once a turn of the loop.
    void turn();
    std::optional<std::uint64_t> next_deadline_ms() const;

  private:
    class Check;

    Upstreams& upstreams_;
    const runtime::Clock& clock_;
    std::set<std::pair<std::uint64_t, Check*>> running_;  ///< by when each is to be complete
    std::map<std::string, std::unique_ptr<Check>, std::less<>> checks_;  ///< by hostname
    std::multimap<std::uint64_t, Check*> queue_;  ///< by when each is due; the head waits for room
    std::uint64_t resume_ms_ = 0;                 ///< nothing begins before: there was no room
};

}  // namespace eos::cvm::proxy
