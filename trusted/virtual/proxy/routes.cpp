// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/virtual/proxy/routes.h"

#include <functional>

namespace eos::cvm::proxy {
namespace {

constexpr std::array<std::string_view, kOutcomeCount> kOutcomeNames = {
    "answered",  "client_gone",      "unreachable", "connect_timeout", "closed",
    "malformed", "response_timeout", "stalled",     "reset",           "overloaded",
    "unhealthy", "refused",          "over_share"};
constexpr std::array<std::string_view, 4> kClassNames = {"2xx", "3xx", "4xx", "5xx"};

using Read = std::function<std::uint64_t(const RouteStatistics&)>;

std::uint64_t sum(const Route& route, const Read& read) {
    std::uint64_t out = 0;
    for (const RouteStatistics& one : *route.statistics) out += read(one);
    return out;
}

void family(std::string& out, std::string_view name, std::string_view type, std::string_view help) {
    out.append("# HELP ").append(name).append(" ").append(help).append("\n# TYPE ");
    out.append(name).append(" ").append(type).append("\n");
}

/// Names of routes are a-z, 0-9 and hyphens, so nothing needs an escape.
void series(std::string& out, std::string_view name, const Route& route, std::string_view label,
            std::uint64_t value) {
    out.append(name).append("{route=\"").append(route.config.name).append("\"").append(label);
    out.append("} ").append(std::to_string(value)).append("\n");
}

struct Plain {
    std::string_view name;
    std::string_view type;
    std::string_view help;
    Read read;
};

}  // namespace

std::string_view to_string(Outcome outcome) {
    return kOutcomeNames[static_cast<std::size_t>(outcome)];
}

std::shared_ptr<const RouteTable> make_routes(const Config& config, const RouteTable& before,
                                              std::size_t loops) {
    std::map<std::string_view, const std::shared_ptr<Route>*> by_name;
    for (const auto& [hostname, route] : before) by_name.emplace(route->config.name, &route);
    auto out = std::make_shared<RouteTable>();
    for (const RouteConfig& one : config.routes) {
        const auto old = by_name.find(one.name);
        if (old != by_name.end() && (*old->second)->config == one) {
            out->emplace(one.hostname, *old->second);
            continue;
        }
        auto route = std::make_shared<Route>(one);
        route->statistics = old == by_name.end() ? std::make_shared<StatisticsOfLoops>(loops)
                                                 : (*old->second)->statistics;
        out->emplace(one.hostname, std::move(route));
    }
    return out;
}

std::string route_metrics(const RouteTable& routes) {
    using S = RouteStatistics;
    std::string out;
    family(out, "proxy_answers_total", "counter", "Answers by route and class of status.");
    for (const auto& [hostname, route] : routes) {
        for (std::size_t i = 0; i < kClassNames.size(); ++i) {
            series(out, "proxy_answers_total", *route,
                   ",class=\"" + std::string(kClassNames[i]) + "\"",
                   sum(*route, [i](const S& s) { return s.answers[i].get(); }));
        }
    }
    family(out, "proxy_requests_total", "counter", "Requests by route and what became of them.");
    for (const auto& [hostname, route] : routes) {
        for (std::size_t i = 0; i < kOutcomeCount; ++i) {
            series(out, "proxy_requests_total", *route,
                   ",outcome=\"" + std::string(kOutcomeNames[i]) + "\"",
                   sum(*route, [i](const S& s) { return s.outcomes[i].get(); }));
        }
    }
    const Plain plain[] = {
        {"proxy_request_duration_milliseconds_total", "counter", "Time from heads to ends.",
         [](const S& s) { return s.duration_ms.get(); }},
        {"proxy_request_body_bytes_total", "counter", "Bytes of requests' bodies.",
         [](const S& s) { return s.request_bytes.get(); }},
        {"proxy_response_body_bytes_total", "counter", "Bytes of responses' bodies.",
         [](const S& s) { return s.response_bytes.get(); }},
        {"proxy_requests_active", "gauge", "Requests that are being forwarded.",
         [](const S& s) { return s.active.get(); }},
        {"proxy_retries_total", "counter", "Requests that were sent to the upstream once more.",
         [](const S& s) { return s.retries.get(); }},
    };
    for (const Plain& one : plain) {
        family(out, one.name, one.type, one.help);
        for (const auto& [hostname, route] : routes) {
            series(out, one.name, *route, "", sum(*route, one.read));
        }
    }
    family(out, "proxy_upstream_healthy", "gauge", "1 while health checks have not failed.");
    for (const auto& [hostname, route] : routes) {
        series(out, "proxy_upstream_healthy", *route, "", route->is_healthy ? 1 : 0);
    }
    return out;
}

}  // namespace eos::cvm::proxy
