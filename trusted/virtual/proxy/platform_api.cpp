// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/virtual/proxy/platform_api.h"

#include <algorithm>
#include <array>

#include "common/base/encoding.h"
#include "trusted/runtime/attest_route.h"
#include "trusted/runtime/metrics.h"
#include "trusted/runtime/owner_api.h"
#include "trusted/runtime/provisioning.h"
#include "trusted/runtime/responses.h"
#include "trusted/runtime/time_guard.h"
#include "trusted/virtual/proxy/program_report.h"

namespace eos::cvm::proxy {
namespace {

using runtime::Access;
using runtime::Dispatched;
using runtime::Permission;
using runtime::RoutedRequest;
using runtime::RouteNames;

constexpr std::string_view kOwnPrefix = "/.well-known/enclave-os/";

int status_of(const Error& error) {
    const Code& code = error.code();
    static constexpr std::array kTemporary = {
        minter_gone,        minter_slow,        not_served_yet,       runtime::state_changed,
        runtime::mint_busy, runtime::mint_rate, runtime::wrong_stage, runtime::time_jumped};
    static constexpr std::array kNotTheOwner = {runtime::wrong_token, runtime::not_the_owner,
                                                owner::wrong_statement};
    static constexpr std::array kAskedOutOfOrder = {runtime::no_pending_request,
                                                    runtime::time_disputed, owner::stale_statement};
    const auto is_of = [&](const auto& codes) {
        return std::ranges::find(codes, code) != codes.end();
    };
    if (is_of(kNotTheOwner)) return 403;
    if (is_of(kAskedOutOfOrder)) return 409;
    return is_of(kTemporary) ? 503 : 400;
}

json::Value status_json(const ApiContext& context) {
    const MintedState& minted = *context.port.state();
    const State& state = minted.state;
    return {{"instance_id", hex(state.instance.instance_id)},
            {"generation", state.instance.generation},
            {"platform_name", minted.config.platform.name},
            {"tee", state.tee},
            {"assurance", state.assurance},
            {"version", state.version},
            {"policy_root", hex(state.policy_root)},
            {"ca", {{"origin", "born_inside"}, {"not_after", rfc3339({state.ca_not_after})}}},
            {"evidence",
             {{"made_at", rfc3339(runtime::oldest_epoch(*minted.served))},
              {"not_after", rfc3339(end_of_evidence(minted))}}},
            {"workers", context.program.loops},
            {"connections", context.program.connections()},
            {"routes", minted.config.routes.size()},
            {"time", rfc3339(context.clock.now())},
            {"time_trust", state.time_trust}};
}

Dispatched handle_ready(const ApiContext& context, RoutedRequest request) {
    const std::vector<std::string> why = context.program.unready_reasons(context.clock.now());
    json::Value value = {{"status", why.empty() ? "ready" : "not_ready"}};
    if (!why.empty()) value["reasons"] = why;
    runtime::respond_json(request.exchange, why.empty() ? 200 : 503, value);
    return {};
}

}  // namespace

bool is_own_path(std::string_view path) {
    return path == runtime::kAttestPath.view() || path.starts_with(kOwnPrefix);
}

Permission OwnerAuthorizer::decide(Access access, const runtime::ConnectionInfo& connection,
                                   const http::RequestHead&) const {
    const State& state = port_.state()->state;
    return runtime::decide_for_owner(access, connection,
                                     state.is_owned ? &state.owner_key_hash : nullptr);
}

std::string_view OwnerAuthorizer::challenge() const {
    return runtime::kOwnerChallenge;
}

void respond_failure(runtime::Exchange& exchange, const Error& error) {
    runtime::respond_error(exchange, status_of(error), error.message());
}

Dispatched with_json(const ApiContext& context, RoutedRequest request,
                     std::move_only_function<void(runtime::Exchange, json::Value)> then) {
    return runtime::with_json(std::move(request), context.bodies, respond_failure, std::move(then));
}

void add_attest_route(runtime::Router& router, const ApiContext& context) {
    runtime::add_attest_route(
        router,
        {context.bodies, context.clock, [&context] { return context.port.state()->state.tee; },
         [&context](const crypto::P256PublicKey& leaf_key, const ratls::ChannelBinding& channel,
                    const ByteArray<16>& peer_address, runtime::Done<Bytes> done) {
             context.port.mint().attest(leaf_key, channel, peer_address, std::move(done));
         }});
}

void add_status_routes(runtime::Router& router, const ApiContext& context) {
    router.add({.pattern = "/healthz",
                .names = RouteNames::kPlatformAlways,
                .access = Access::kAnyone,
                .summary = "the program answers"},
               [](RoutedRequest request) -> Dispatched {
                   runtime::respond_json(request.exchange, 200, {{"status", "ok"}});
                   return {};
               });
    router.add(
        {.pattern = "/readyz",
         .names = RouteNames::kPlatform,
         .access = Access::kMonitoring,
         .summary = "whether requests can be served, and why not"},
        [&context](RoutedRequest request) { return handle_ready(context, std::move(request)); });
    router.add({.pattern = "/api/v1/status",
                .names = RouteNames::kPlatform,
                .access = Access::kMonitoring,
                .summary = "what the machine says about itself"},
               [&context](RoutedRequest request) -> Dispatched {
                   runtime::respond_json(request.exchange, 200, status_json(context));
                   return {};
               });
    router.add({.pattern = "/metrics",
                .names = RouteNames::kPlatform,
                .access = Access::kMonitoring,
                .summary = "Prometheus metrics of all loops"},
               [&context](RoutedRequest request) -> Dispatched {
                   runtime::respond_text(request.exchange, runtime::MetricRegistry::kContentType,
                                         context.program.metrics());
                   return {};
               });
}

}  // namespace eos::cvm::proxy
