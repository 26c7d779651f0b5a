// SPDX-License-Identifier: AGPL-3.0-only
#include "common/base/encoding.h"
#include "trusted/mini/api/context.h"
#include "trusted/runtime/responses.h"

namespace eos::mini {
namespace {

using runtime::Access;
using runtime::Dispatched;
using runtime::RoutedRequest;
using runtime::RouteNames;

json::Value evidence_json(const Snapshot& snapshot) {
    const runtime::ServedName* platform = snapshot.served->find("");
    return {{"made_at", rfc3339(platform->epoch->not_before)},
            {"not_after", rfc3339(platform->epoch->not_before + ratls::kDeterministicLifeSeconds)}};
}

json::Value status_json(const ApiContext& context) {
    const Snapshot& snapshot = *context.control.snapshot();
    const runtime::Ownership& ownership = *snapshot.state->ownership;
    bool born_inside = ownership.authority.origin == runtime::CaKeyOrigin::kBornInside;
    return {{"instance_id", hex(snapshot.instance_id)},
            {"generation", snapshot.generation},
            {"platform_name", ownership.platform_name},
            {"assurance", context.facts.assurance},
            {"protection", context.facts.assurance == "production" ? "hardware" : "none"},
            {"version", context.facts.version},
            {"policy_root", hex(snapshot.policy_tree->root())},
            {"platform_root", hex(snapshot.platform_tree->root())},
            {"ca",
             {{"origin", born_inside ? "born_inside" : "imported"},
              {"not_after", rfc3339(snapshot.ca_not_after.value_or(UnixTime{}))}}},
            {"evidence", evidence_json(snapshot)},
            {"workers", context.worker_count},
            {"connections", context.connection_count()},
            {"apps", snapshot.state->apps.size()},
            {"time", rfc3339(context.clock.now())},
            {"time_trust", to_string(snapshot.time_trust)},
            {"time_floor", rfc3339(snapshot.state->time_floor)}};
}

// Why the platform is not ready for requests, if it is not.
std::vector<std::string> reasons(const ApiContext& context) {
    std::vector<std::string> out;
    const Snapshot& snapshot = *context.control.snapshot();
    UnixTime now = context.clock.now();
    if (snapshot.ca_not_after && *snapshot.ca_not_after < now)
        out.push_back("the CA certificate has expired");
    const runtime::ServedName* platform = snapshot.served->find("");
    if (platform->epoch->not_before + ratls::kDeterministicLifeSeconds <= now) {
        out.push_back("the quote is too old and could not be renewed");
    }
    if (snapshot.time_trust == runtime::TimeTrust::kJumped) {
        out.push_back("the host's time jumped: no new leaf and no change until it is confirmed");
    }
    return out;
}

}  // namespace

void add_status_routes(runtime::Router& router, const ApiContext& context) {
    router.add({.pattern = "/healthz",
                .names = RouteNames::kPlatformAlways,
                .access = Access::kAnyone,
                .summary = "the program answers"},
               [](RoutedRequest request) -> Dispatched {
                   runtime::respond_json(request.exchange, 200, {{"status", "ok"}});
                   return {};
               });
    router.add({.pattern = "/readyz",
                .names = RouteNames::kPlatform,
                .access = Access::kMonitoring,
                .summary = "whether requests can be served, and why not"},
               [&context](RoutedRequest request) -> Dispatched {
                   std::vector<std::string> why = reasons(context);
                   json::Value value = {{"status", why.empty() ? "ready" : "not_ready"},
                                        {"apps", context.control.snapshot()->state->apps.size()}};
                   if (!why.empty()) value["reasons"] = why;
                   runtime::respond_json(request.exchange, why.empty() ? 200 : 503, value);
                   return {};
               });
    router.add({.pattern = "/api/v1/status",
                .names = RouteNames::kPlatform,
                .access = Access::kMonitoring,
                .summary = "what the enclave says about itself"},
               [&context](RoutedRequest request) -> Dispatched {
                   runtime::respond_json(request.exchange, 200, status_json(context));
                   return {};
               });
    router.add({.pattern = "/metrics",
                .names = RouteNames::kPlatform,
                .access = Access::kMonitoring,
                .summary = "Prometheus metrics of all workers"},
               [&context](RoutedRequest request) -> Dispatched {
                   runtime::respond_text(request.exchange, runtime::MetricRegistry::kContentType,
                                         context.metrics_text());
                   return {};
               });
}

}  // namespace eos::mini
