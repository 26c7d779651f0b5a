// SPDX-License-Identifier: AGPL-3.0-only
#include "common/base/encoding.h"
#include "trusted/mini/api/app_manifest.h"
#include "trusted/mini/api/context.h"
#include "trusted/runtime/responses.h"

namespace eos::mini {
namespace {

using runtime::Access;
using runtime::Dispatched;
using runtime::RoutedRequest;
using runtime::RouteNames;

constexpr std::size_t kMaxRequestBody = 16 * 1024 * 1024;  // the setting max_body_bytes is below

// What the platform tells an app about itself and the connection; no header field can produce
// these.
std::vector<wasm::EnvironmentVariable> platform_facts(const ApiContext& context, const AppRef& app,
                                                      const runtime::ConnectionInfo& connection) {
    const Snapshot& snapshot = *context.control.snapshot();
    std::vector<wasm::EnvironmentVariable> facts = {
        {"EOS_APP", app.name},
        {"EOS_APP_ID", uuid_text(app.app->app_id)},
        {"EOS_WORKLOAD_ROOT", hex(app.workload_root)},
        {"EOS_POLICY_ROOT", hex(snapshot.policy_tree->root())},
        {"EOS_INSTANCE", hex(snapshot.instance_id)},
        {"EOS_ASSURANCE", context.facts.assurance},
        {"EOS_ATTESTATION", connection.is_challenged() ? "challenge" : "deterministic"}};
    if (connection.client_key_hash)
        facts.push_back({"EOS_CLIENT_KEY_SHA256", hex(*connection.client_key_hash)});
    return facts;
}

Dispatched call_function(const ApiContext& context, RoutedRequest request) {
    std::string name = request.parameter("app");
    std::string function = request.parameter("function");
    bool own_name = request.connection.kind == runtime::NameKind::kApp;
    // The app that this connection's leaf stands for: what replaces it while the body is on its way
    // is another one, which this client has not seen.
    std::optional<AppRef> app = find_app(*context.control.snapshot(), name);
    if ((own_name && request.connection.app != name) || !app) {
        runtime::respond_error(request.exchange, 404, "there is no such app on this name");
        return {};
    }
    std::size_t limit = context.control.snapshot()->state->settings.max_body_bytes;
    return runtime::collect_body(
        request.head.body, limit, context.bodies, std::move(request.exchange),
        [&context, app = *app, function](runtime::Exchange exchange, runtime::CollectedBody body) {
            context.apps.call(app, function, std::move(body), std::move(exchange));
        });
}

Dispatched serve_request(const ApiContext& context, RoutedRequest request) {
    std::optional<AppRef> app = find_app(*context.control.snapshot(), request.connection.app);
    if (!app) {
        runtime::respond_error(request.exchange, 404, "there is no app on this name");
        return {};
    }
    std::size_t limit = context.control.snapshot()->state->settings.max_body_bytes;
    auto cgi = std::make_shared<wasm::CgiRequest>();
    cgi->platform_facts = platform_facts(context, *app, request.connection);
    http::BodySize declared = request.head.body;
    cgi->head = std::move(request.head);
    return runtime::collect_body(
        declared, limit, context.bodies, std::move(request.exchange),
        [&context, cgi, app = *app](runtime::Exchange exchange, runtime::CollectedBody body) {
            cgi->body = SecretBytes(std::move(body.bytes));
            context.apps.serve(app, std::move(*cgi), std::move(body.loan), std::move(exchange));
        });
}

}  // namespace

void add_workload_routes(runtime::Router& router, const ApiContext& context) {
    auto call = [&context](RoutedRequest request) {
        return call_function(context, std::move(request));
    };
    router.add({.method = http::Method::kPost,
                .pattern = "/rpc/{app}/{function}",
                .names = RouteNames::kPlatform,
                .max_body_bytes = kMaxRequestBody,
                .summary = "call a function of an app, as the owner"},
               call);
    router.add({.method = http::Method::kPost,
                .pattern = "/rpc/{app}/{function}",
                .names = RouteNames::kApp,
                .access = Access::kAnyone,
                .max_body_bytes = kMaxRequestBody,
                .summary = "call a function of this name's app"},
               call);
    for (http::Method method :
         {http::Method::kGet, http::Method::kPost, http::Method::kPut, http::Method::kDelete,
          http::Method::kPatch, http::Method::kOptions}) {
        router.add({.method = method,
                    .pattern = "/{path...}",
                    .names = RouteNames::kApp,
                    .access = Access::kAnyone,
                    .max_body_bytes = kMaxRequestBody,
                    .summary = "the app's CGI handler"},
                   [&context](RoutedRequest request) {
                       return serve_request(context, std::move(request));
                   });
    }
}

}  // namespace eos::mini
