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

/// What came of beginning a check.
enum class Begun {
    kYes,        ///< or there is nothing to begin: it is under way, or cannot be asked
    kStillOpen,  ///< the connection of the last one is not gone yet
    kNoRoom,     ///< every connection is taken, for this one and any other
};

/// When a check is due the first time, so that not all are at once, now or an interval later.
std::uint64_t first_delay_ms(const RouteConfig& route, std::size_t index, std::size_t count) {
    return std::min(route.health.interval_s * 1000 * index / count, HealthChecks::kStepMs * index);
}

}  // namespace

/// One route's.
class HealthChecks::Check final : private ResponseHandler {
  public:
    Check(HealthChecks& owner, std::shared_ptr<Route> route, std::uint64_t due_ms)
        : owner_(owner),
          route_(std::move(route)),
          pool_(std::make_shared<UpstreamPool>(check_config_of(route_->config), 1)),
          due_ms_(due_ms) {}
    ~Check() { stop(); }
    Check(const Check&) = delete;
    Check& operator=(const Check&) = delete;

    const Route* route() const { return route_.get(); }
    std::uint64_t due_ms() const { return due_ms_; }
    void delay(std::uint64_t until_ms) { due_ms_ = until_ms; }
    /// Due an interval later, or at the first of those that is yet to come.
    void pass(std::uint64_t now_ms) {
        const std::uint64_t interval_ms = route_->config.health.interval_s * 1000;
        due_ms_ += ((now_ms - due_ms_) / interval_ms + 1) * interval_ms;
    }

    Begun begin(std::uint64_t now_ms) {
        // One that is still under way, because the timeout is the longer one, is not over yet.
        if (exchange_ != nullptr) return Begun::kYes;
        is_good_ = false;
        auto begun =
            owner_.upstreams_.start(pool_, request_of(route_->config), Freshness::kNew, *this);
        if (begun) {
            exchange_ = *begun;
            deadline_ms_ = now_ms + route_->config.health.timeout_s * 1000;
            owner_.running_.emplace(deadline_ms_, this);
        } else if (begun.error().code() == no_free_connection) {
            return pool_->open_count() > 0 ? Begun::kStillOpen : Begun::kNoRoom;
        }
        return Begun::kYes;
    }

    /// Each byte may have come in time, but the whole has not.
    void expire() {
        stop();
        found(false);
    }

  private:
    void on_response(http::ReceivedResponse response) override {
        is_good_ = response.head.status >= 200 && response.head.status < 400;
    }
    std::size_t on_response_body(ByteView piece) override { return piece.size(); }
    void on_response_end(http::Headers) override {
        ended();
        found(is_good_);
    }
    void on_request_room() override {}
    void on_failure(UpstreamFailure, Staleness) override {
        ended();
        found(false);
    }

    void stop() {
        if (exchange_ != nullptr) exchange_->abandon();
        ended();
    }
    void ended() {
        exchange_ = nullptr;
        owner_.running_.erase({deadline_ms_, this});
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
    std::uint64_t deadline_ms_ = 0;  ///< of the one under way
    std::uint64_t in_a_row_ = 0;
    bool last_ = true;
    bool is_good_ = false;
};

HealthChecks::HealthChecks(Upstreams& upstreams, const runtime::Clock& clock)
    : upstreams_(upstreams), clock_(clock) {}

HealthChecks::~HealthChecks() = default;

void HealthChecks::set_routes(const RouteTable& routes) {
    const std::uint64_t now_ms = clock_.monotonic_ms();
    const auto count = static_cast<std::size_t>(std::ranges::count_if(
        routes, [](const auto& row) { return !row.second->config.health.path.empty(); }));
    decltype(checks_) next;
    queue_.clear();
    for (const auto& [hostname, route] : routes) {
        if (route->config.health.path.empty()) continue;
        const auto old = checks_.find(hostname);
        const bool is_same = old != checks_.end() && old->second->route() == route.get();
        const std::uint64_t first_ms = now_ms + first_delay_ms(route->config, next.size(), count);
        auto check =
            is_same ? std::move(old->second) : std::make_unique<Check>(*this, route, first_ms);
        queue_.emplace(check->due_ms(), check.get());
        next.emplace(hostname, std::move(check));
    }
    checks_ = std::move(next);
}

void HealthChecks::turn() {
    if (queue_.empty()) return;
    const std::uint64_t now_ms = clock_.monotonic_ms();
    while (!running_.empty() && running_.begin()->first <= now_ms) {
        running_.begin()->second->expire();
    }
    if (now_ms < resume_ms_) return;
    while (queue_.begin()->first <= now_ms) {
        Check& check = *queue_.begin()->second;
        const Begun begun = check.begin(now_ms);
        if (begun == Begun::kNoRoom) {
            resume_ms_ = now_ms + kStepMs;
            return;
        }
        if (begun == Begun::kYes) {
            check.pass(now_ms);
        } else {
            check.delay(now_ms + kStepMs);
        }
        queue_.erase(queue_.begin());
        queue_.emplace(check.due_ms(), &check);
    }
}

std::optional<std::uint64_t> HealthChecks::next_deadline_ms() const {
    if (queue_.empty()) return std::nullopt;
    const std::uint64_t next_ms = std::max(queue_.begin()->first, resume_ms_);
    return running_.empty() ? next_ms : std::min(next_ms, running_.begin()->first);
}

}  // namespace eos::cvm::proxy
