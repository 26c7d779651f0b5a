// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/virtual/proxy/health_checks.h"

#include <algorithm>
#include <utility>

#include "common/base/assert.h"

namespace eos::cvm::proxy {
namespace {

/// The settings of an upstream as its checks use it.
UpstreamConfig check_config_of(const RouteConfig& route) {
    UpstreamConfig out = route.upstream;
    out.connections = 1;
    out.keepalive = 0;
    out.connect_timeout_s = std::min(out.connect_timeout_s, route.health.timeout_s);
    out.response_timeout_s = route.health.timeout_s;
    out.idle_timeout_s = route.health.timeout_s;
    return out;
}

http::RequestHead request_of(const RouteConfig& route) {
    http::RequestHead head;
    const std::size_t query = route.health.path.find('?');
    head.path = route.health.path.substr(0, query);
    if (query != std::string::npos) head.query = route.health.path.substr(query + 1);
    head.authority.host = route.hostname;
    EOS_ASSERT(head.headers.add("user-agent", "enclave-os-health").has_value());
    return head;
}

}  // namespace

/// One route's.
class HealthChecks::Check final : private ResponseHandler {
  public:
    Check(HealthChecks& owner, std::shared_ptr<Route> route)
        : owner_(owner),
          route_(std::move(route)),
          pool_(std::make_shared<UpstreamPool>(check_config_of(route_->config), 1)),
          due_ms_(owner.clock_.monotonic_ms()) {}
    ~Check() {
        if (exchange_ != nullptr) exchange_->abandon();
    }
    Check(const Check&) = delete;
    Check& operator=(const Check&) = delete;

    const Route* route() const { return route_.get(); }
    std::uint64_t due_ms() const { return due_ms_; }

    void begin(std::uint64_t now_ms) {
        due_ms_ = now_ms + route_->config.health.interval_s * 1000;
        // One that is still under way, because the timeout is the longer one, is not over yet.
        if (exchange_ != nullptr) return;
        is_good_ = false;
        auto begun =
            owner_.upstreams_.start(pool_, request_of(route_->config), Freshness::kNew, *this);
        if (!begun) return;  // every connection is taken: that says nothing of the upstream
        exchange_ = *begun;
    }

  private:
    void on_response(http::ReceivedResponse response) override {
        is_good_ = response.head.status >= 200 && response.head.status < 400;
    }
    std::size_t on_response_body(ByteView piece) override { return piece.size(); }
    void on_response_end(http::Headers) override {
        exchange_ = nullptr;
        found(is_good_);
    }
    void on_request_room() override {}
    void on_failure(UpstreamFailure, Staleness) override {
        exchange_ = nullptr;
        found(false);
    }

    void found(bool is_good) {
        const HealthConfig& health = route_->config.health;
        in_a_row_ = is_good == last_ ? in_a_row_ + 1 : 1;
        last_ = is_good;
        if (in_a_row_ >= (is_good ? health.healthy_after : health.unhealthy_after)) {
            route_->is_healthy = is_good;
        }
    }

    HealthChecks& owner_;
    const std::shared_ptr<Route> route_;
    const std::shared_ptr<UpstreamPool> pool_;
    UpstreamExchange* exchange_ = nullptr;
    std::uint64_t due_ms_;
    std::uint64_t in_a_row_ = 0;
    bool last_ = true;
    bool is_good_ = false;
};

HealthChecks::HealthChecks(Upstreams& upstreams, const runtime::Clock& clock)
    : upstreams_(upstreams), clock_(clock) {}

HealthChecks::~HealthChecks() = default;

void HealthChecks::set_routes(const RouteTable& routes) {
    decltype(checks_) next;
    for (const auto& [hostname, route] : routes) {
        if (route->config.health.path.empty()) continue;
        const auto old = checks_.find(hostname);
        const bool is_same = old != checks_.end() && old->second->route() == route.get();
        next.emplace(hostname,
                     is_same ? std::move(old->second) : std::make_unique<Check>(*this, route));
    }
    checks_ = std::move(next);
}

void HealthChecks::turn() {
    if (checks_.empty()) return;
    const std::uint64_t now_ms = clock_.monotonic_ms();
    for (auto& [hostname, check] : checks_) {
        if (check->due_ms() <= now_ms) check->begin(now_ms);
    }
}

std::optional<std::uint64_t> HealthChecks::next_deadline_ms() const {
    std::optional<std::uint64_t> next;
    for (const auto& [hostname, check] : checks_) {
        next = std::min(next.value_or(check->due_ms()), check->due_ms());
    }
    return next;
}

}  // namespace eos::cvm::proxy
