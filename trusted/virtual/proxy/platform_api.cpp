// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/virtual/proxy/platform_api.h"

#include <algorithm>
#include <array>

#include "common/base/encoding.h"
#include "trusted/runtime/attest_route.h"
#include "trusted/runtime/metrics.h"
#include "trusted/runtime/provisioning.h"
#include "trusted/runtime/responses.h"

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
    static constexpr std::array kTemporary = {minter_gone,        minter_slow,
                                              state_changed,      runtime::mint_busy,
                                              runtime::mint_rate, runtime::wrong_stage};
    if (code == runtime::wrong_token) return 403;
    if (code == runtime::no_pending_request) return 409;
    return std::ranges::find(kTemporary, code) != kTemporary.end() ? 503 : 400;
}

json::Value status_json(const ApiContext& context) {
    const MintedState& minted = *context.port.state();
    const State& state = minted.state;
    const UnixTime epoch = runtime::oldest_epoch(*minted.served);
    return {{"instance_id", hex(state.instance.instance_id)},
            {"generation", state.instance.generation},
            {"platform_name", minted.config.platform.name},
            {"tee", state.tee},
            {"assurance", state.assurance},
            {"version", state.version},
            {"policy_root", hex(state.policy_root)},
            {"ca", {{"origin", "born_inside"}, {"not_after", rfc3339({state.ca_not_after})}}},
            {"evidence",
             {{"made_at", rfc3339(epoch)},
              {"not_after", rfc3339(epoch + ratls::kDeterministicLifeSeconds)}}},
            {"workers", context.program.loops},
            {"connections", context.program.connections()},
            {"routes", minted.config.routes.size()},
            {"time", rfc3339(context.clock.now())},
            {"time_trust", state.time_trust}};
}

/// Why requests cannot be served, if they cannot.
std::vector<std::string> reasons(const ApiContext& context) {
    std::vector<std::string> out;
    const MintedState& minted = *context.port.state();
    const UnixTime now = context.clock.now();
    if (!context.program.is_ready()) out.emplace_back("the program is stopping");
    if (minted.state.is_owned && UnixTime{minted.state.ca_not_after} < now) {
        out.emplace_back("the CA certificate has expired");
    }
    if (runtime::oldest_epoch(*minted.served) + ratls::kDeterministicLifeSeconds <= now) {
        out.emplace_back("the evidence is too old and could not be renewed");
    }
    return out;
}

Dispatched handle_ready(const ApiContext& context, RoutedRequest request) {
    const std::vector<std::string> why = reasons(context);
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
    if (access == Access::kAnyone) return Permission::kGranted;
    if (!connection.client_key_hash) return Permission::kUnknownCaller;
    const State& state = port_.state()->state;
    const bool is_owner = state.is_owned && crypto::equal_constant_time(*connection.client_key_hash,
                                                                        state.owner_key_hash);
    return is_owner ? Permission::kGranted : Permission::kRefused;
}

// There is no scheme for a key proved by TLS; the realm says what is missing.
std::string_view OwnerAuthorizer::challenge() const {
    return "ClientCertificate realm=\"owner\"";
}

void respond_failure(runtime::Exchange& exchange, const Error& error) {
    runtime::respond_error(exchange, status_of(error), error.message());
}

Dispatched with_json(const ApiContext& context, RoutedRequest request,
                     std::move_only_function<void(runtime::Exchange, json::Value)> then) {
    const std::size_t limit = request.route.max_body_bytes;
    return runtime::collect_body(
        request.head.body, limit, context.bodies, std::move(request.exchange),
        [limit, then = std::move(then)](runtime::Exchange exchange,
                                        runtime::CollectedBody body) mutable {
            auto value = json::parse(body.bytes, {.size_bytes = limit, .depth = 8});
            if (!value) return respond_failure(exchange, value.error());
            then(std::move(exchange), std::move(*value));
        });
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
