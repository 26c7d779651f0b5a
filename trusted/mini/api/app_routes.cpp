// SPDX-License-Identifier: AGPL-3.0-only
#include <algorithm>
#include <charconv>

#include "common/base/encoding.h"
#include "trusted/mini/api/app_manifest.h"
#include "trusted/mini/api/context.h"
#include "trusted/runtime/responses.h"

namespace eos::mini {
namespace {

using runtime::Dispatched;
using runtime::RoutedRequest;
using runtime::RouteNames;

// Facts come from the caller: inspecting a module costs up to seconds, and a load has done it
// already.
json::Value app_json(const std::string& name, const Snapshot& snapshot,
                     const Result<ModuleFacts>& facts) {
    const runtime::App& app = snapshot.state->apps.at(name);
    json::Value environment = json::Value::array();
    for (const runtime::AppVariable& variable : app.environment)
        environment.push_back(variable.name);
    json::Value out = {{"name", name},
                       {"hostname", app.hostname},
                       {"digest", hex(app.code_digest)},
                       {"app_id", uuid_text(app.app_id)},
                       {"workload_root", hex(snapshot.workload_trees.find(name)->second->root())},
                       {"args", app.arguments},
                       {"env", environment},
                       {"max_memory_bytes", app.limits.max_memory_bytes},
                       {"max_fuel", app.limits.max_fuel},
                       {"loaded_at", rfc3339(app.loaded_at)}};
    if (facts) {
        out["kind"] = facts->has_cgi_entry ? "cgi" : "json";
        out["functions"] = facts->functions;
    }
    return out;
}

json::Value summary_json(const std::string& name, const Snapshot& snapshot) {
    const runtime::App& app = snapshot.state->apps.at(name);
    return {{"name", name},
            {"hostname", app.hostname},
            {"digest", hex(app.code_digest)},
            {"workload_root", hex(snapshot.workload_trees.find(name)->second->root())},
            {"loaded_at", rfc3339(app.loaded_at)}};
}

Dispatched list_apps(const ApiContext& context, RoutedRequest request) {
    const Snapshot& snapshot = *context.control.snapshot();
    json::Value apps = json::Value::array();
    for (const auto& [name, app] : snapshot.state->apps)
        apps.push_back(summary_json(name, snapshot));
    runtime::respond_json(request.exchange, 200, {{"apps", apps}});
    return {};
}

Dispatched inspect_app(const ApiContext& context, RoutedRequest request) {
    const Snapshot& snapshot = *context.control.snapshot();
    const std::string& name = request.parameter("name");
    auto app = snapshot.state->apps.find(name);
    if (app == snapshot.state->apps.end()) {
        runtime::respond_error(request.exchange, 404, "there is no such app");
        return {};
    }
    Result<ModuleFacts> facts =
        inspect_module(snapshot.modules.at(app->second.code_digest)->view(), app->second.limits);
    runtime::respond_json(request.exchange, 200, app_json(name, snapshot, facts));
    return {};
}

Dispatched app_logs(const ApiContext& context, RoutedRequest request) {
    const std::string& name = request.parameter("name");
    std::uint64_t after = 0;
    Result<std::optional<std::string>> text = query_parameter(request.head, "after");
    if (text && *text) std::from_chars((*text)->data(), (*text)->data() + (*text)->size(), after);
    if (!context.control.snapshot()->state->apps.contains(name)) {
        runtime::respond_error(request.exchange, 404, "there is no such app");
        return {};
    }
    AppLogs::Page page = context.logs.read(name, after);
    json::Value lines = json::Value::array();
    for (const AppLogs::Line& line : page.lines) {
        lines.push_back(
            {{"sequence", line.sequence}, {"time", rfc3339(line.time)}, {"text", line.text}});
    }
    runtime::respond_json(request.exchange, 200, {{"lines", lines}, {"dropped", page.dropped}});
    return {};
}

// What a load leaves in the state; an app that is replaced keeps its id.
Result<void> put_app(runtime::PlatformState& state, const std::string& name,
                     AppManifest& manifest) {
    x509::Certificate ca = EOS_TRY(intermediate_of(state.ownership->authority));
    EOS_TRY(check_permitted(ca, manifest.app.hostname));
    auto existing = state.apps.find(name);
    if (existing != state.apps.end()) manifest.app.app_id = existing->second.app_id;
    state.apps.insert_or_assign(name, std::move(manifest.app));
    return {};
}

void load_app(const ApiContext& context, std::string name, runtime::Exchange exchange,
              ByteView body) {
    Result<AppManifest> parsed = parse_app_upload(body, context.clock.now());
    if (!parsed) return respond_failure(exchange, parsed.error());
    std::uint64_t limit = context.control.snapshot()->state->settings.max_module_bytes;
    if (parsed->module.size() > limit) {
        return runtime::respond_error(exchange, 413,
                                      "the module exceeds the setting max_module_bytes");
    }
    if (Result<void> ok = check_configuration(name, parsed->app); !ok) {
        return respond_failure(exchange, ok.error());
    }
    Result<ModuleFacts> facts = inspect_module(parsed->module.view(), parsed->app.limits);
    if (!facts) return respond_failure(exchange, facts.error());
    const runtime::Apps& apps = context.control.snapshot()->state->apps;
    auto old = apps.find(name);
    bool is_new = old == apps.end();
    // Unchanged code has its record already.
    bool same_code = !is_new && old->second.code_digest == parsed->app.code_digest;
    auto shared = std::make_shared<AppManifest>(std::move(*parsed));
    ask<SnapshotPtr>(
        context.control,
        [shared, name, same_code](Control& control, runtime::Done<SnapshotPtr> done) {
            Control::Change change;
            if (!same_code) change.modules.emplace(name, std::move(shared->module));
            change.edit = [shared, name](runtime::PlatformState& state) {
                return put_app(state, name, *shared);
            };
            control.change(std::move(change), std::move(done));
        },
        [name, is_new, facts = std::move(facts),
         exchange = std::move(exchange)](Result<SnapshotPtr> outcome) mutable {
            if (!outcome) return respond_failure(exchange, outcome.error());
            runtime::respond_json(exchange, is_new ? 201 : 200, app_json(name, **outcome, facts));
        });
}

Dispatched handle_load(const ApiContext& context, RoutedRequest request) {
    std::string name = request.parameter("name");
    if (request.head.headers.first("content-type") != kAppUploadType) {
        runtime::respond_error(request.exchange, 415,
                               "expected Content-Type " + std::string(kAppUploadType));
        return {};
    }
    return runtime::collect_body(
        request.head.body, request.route.max_body_bytes, context.bodies,
        std::move(request.exchange),
        [&context, name](runtime::Exchange exchange, runtime::CollectedBody body) {
            load_app(context, name, std::move(exchange), body.bytes);
        });
}

Dispatched handle_unload(const ApiContext& context, RoutedRequest request) {
    std::string name = request.parameter("name");
    if (!context.control.snapshot()->state->apps.contains(name)) {
        runtime::respond_error(request.exchange, 404, "there is no such app");
        return {};
    }
    ask<SnapshotPtr>(
        context.control,
        [name](Control& control, runtime::Done<SnapshotPtr> done) {
            control.change({.edit = [name](runtime::PlatformState& state) -> Result<void> {
                                state.apps.erase(name);
                                return {};
                            },
                            .modules = {}},
                           std::move(done));
        },
        [&context, name,
         exchange = std::move(request.exchange)](Result<SnapshotPtr> outcome) mutable {
            if (!outcome) return respond_failure(exchange, outcome.error());
            context.logs.forget(name);
            runtime::respond_json(exchange, 200, {{"name", name}, {"status", "unloaded"}});
        });
    return {};
}

}  // namespace

void add_app_routes(runtime::Router& router, const ApiContext& context) {
    auto route = [&](http::Method method, runtime::StaticText pattern, std::uint64_t max_body_bytes,
                     runtime::StaticText summary,
                     Dispatched (*handle)(const ApiContext&, RoutedRequest)) {
        router.add({.method = method,
                    .pattern = pattern,
                    .names = RouteNames::kPlatform,
                    .max_body_bytes = max_body_bytes,
                    .summary = summary},
                   [&context, handle](RoutedRequest request) {
                       return handle(context, std::move(request));
                   });
    };
    route(http::Method::kGet, "/api/v1/apps", 0, "all apps", list_apps);
    route(http::Method::kGet, "/api/v1/apps/{name}", 0, "one app", inspect_app);
    route(http::Method::kGet, "/api/v1/apps/{name}/logs", 0,
          "?after=N: what the app wrote to stderr", app_logs);
    route(http::Method::kPost, "/api/v1/apps/{name}", kMaxAppUploadBytes, "load or replace an app",
          handle_load);
    route(http::Method::kDelete, "/api/v1/apps/{name}", 0, "unload an app", handle_unload);
}

}  // namespace eos::mini
