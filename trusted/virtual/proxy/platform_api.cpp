// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/virtual/proxy/platform_api.h"

#include "common/json/json.h"
#include "trusted/runtime/responses.h"

namespace eos::cvm::proxy {
namespace {

using runtime::Access;
using runtime::Dispatched;
using runtime::RoutedRequest;
using runtime::RouteNames;

/// Nobody is known here yet: only what anyone may see is served.
class AnyoneOnly final : public runtime::Authorizer {
  public:
    runtime::Permission decide(Access access, const runtime::ConnectionInfo&,
                               const http::RequestHead&) const override {
        return access == Access::kAnyone ? runtime::Permission::kGranted
                                         : runtime::Permission::kUnknownCaller;
    }
    std::string_view challenge() const override { return "Bearer"; }
};

class PlatformApi final : public runtime::RequestDispatcher {
  public:
    explicit PlatformApi(const std::atomic<bool>& is_ready) : router_(authorizer_) {
        router_.add({http::Method::kGet, "/healthz", RouteNames::kPlatformAlways, Access::kAnyone,
                     runtime::Proof::kAny, 0, "the program runs"},
                    [](RoutedRequest request) {
                        runtime::respond_json(request.exchange, 200, {{"status", "ok"}});
                        return Dispatched{};
                    });
        router_.add({http::Method::kGet, "/readyz", RouteNames::kPlatformAlways, Access::kAnyone,
                     runtime::Proof::kAny, 0, "new connections are served"},
                    [&is_ready](RoutedRequest request) {
                        const bool ready = is_ready;
                        runtime::respond_json(request.exchange, ready ? 200 : 503,
                                              {{"status", ready ? "ready" : "draining"}});
                        return Dispatched{};
                    });
    }
    Dispatched dispatch(http::RequestHead head, const runtime::ConnectionInfo& connection,
                        runtime::Exchange exchange) override {
        return router_.dispatch(std::move(head), connection, std::move(exchange));
    }

  private:
    AnyoneOnly authorizer_;
    runtime::Router router_;
};

}  // namespace

std::unique_ptr<runtime::RequestDispatcher> make_platform_api(const std::atomic<bool>& is_ready) {
    return std::make_unique<PlatformApi>(is_ready);
}

}  // namespace eos::cvm::proxy
