// SPDX-License-Identifier: AGPL-3.0-only
// From a request on a workload's name to its upstream and back.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "trusted/runtime/exchange.h"
#include "trusted/virtual/proxy/access_log.h"
#include "trusted/virtual/proxy/routes.h"
#include "trusted/virtual/proxy/upstreams.h"

namespace eos::cvm::proxy {

/// Forwards the requests of one event loop. threads: the loop's.
class Forwarder final : public runtime::RequestDispatcher {
  public:
    static constexpr runtime::StaticText kLabel = "/{path...}";

    /// What it uses; all outlive it, and it outlives the connections that it serves.
    struct Parts {
        Upstreams& upstreams;
        const runtime::Clock& clock;
        AccessLog& access_log;
    };
    /// Which of the loops this is, of how many.
    struct Loop {
        std::size_t index = 0;
        std::size_t count = 1;
    };

    Forwarder(Parts parts, Loop loop) : parts_(parts), loop_(loop) {}

    /// From now on. Requests under way finish as they began; connections to an upstream whose
    /// settings did not change are kept.
    void set_routes(std::shared_ptr<const RouteTable> routes);

    /// On a connection that was opened to a workload's name.
    /// returns: the route's label is kLabel for all: routes are told apart by RouteStatistics. No
    ///          label where there is no route any more.
    runtime::Dispatched dispatch(http::RequestHead head, const runtime::ConnectionInfo& connection,
                                 runtime::Exchange exchange) override;
    bool offers_tunnels() const override { return true; }

    /// One route of this loop. Shared with the requests that go through it.
    struct Target {
        std::shared_ptr<Route> route;
        std::shared_ptr<UpstreamPool> pool;
        RouteStatistics& statistics;
    };

  private:
    const Parts parts_;
    const Loop loop_;
    std::map<std::string, std::shared_ptr<const Target>, std::less<>> targets_;
};

}  // namespace eos::cvm::proxy
