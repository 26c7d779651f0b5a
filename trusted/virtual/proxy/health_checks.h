// SPDX-License-Identifier: AGPL-3.0-only
// Asks upstreams whether they work, for all loops.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "trusted/virtual/proxy/routes.h"
#include "trusted/virtual/proxy/upstreams.h"

namespace eos::cvm::proxy {

/// Checks every route that has a path for it: one GET an interval, on a connection of its own. An
/// answer of 2xx or 3xx in time is good. threads: one loop's.
class HealthChecks {
  public:
    /// Both outlive this.
    HealthChecks(Upstreams& upstreams, const runtime::Clock& clock);
    ~HealthChecks();

    /// From now on. A route that stayed the same goes on with what was found out.
    void set_routes(const RouteTable& routes);
    /// Begins checks that are due. Once a turn of the loop.
    void turn();
    std::optional<std::uint64_t> next_deadline_ms() const;

  private:
    class Check;

    Upstreams& upstreams_;
    const runtime::Clock& clock_;
    std::map<std::string, std::unique_ptr<Check>, std::less<>> checks_;  ///< by hostname
};

}  // namespace eos::cvm::proxy
