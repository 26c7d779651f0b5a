// SPDX-License-Identifier: AGPL-3.0-only
#include <algorithm>
#include <charconv>

#include "common/base/encoding.h"
#include "common/http/uri.h"
#include "trusted/mini/api/app_changes.h"
#include "trusted/mini/api/app_manifest.h"
#include "trusted/mini/api/context.h"
#include "trusted/mini/api/log_follower.h"
#include "trusted/runtime/responses.h"

namespace eos::mini {
namespace {

using runtime::Dispatched;
using runtime::RoutedRequest;
using runtime::RouteNames;

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
    const std::string& name = request.parameter("name");
    std::optional<AppRef> app = find_app(*context.control.snapshot(), name);
    if (!app) {
        respond_failure(request.exchange, Error(no_such_app));
        return {};
    }
    runtime::respond_json(request.exchange, 200,
                          app_json(name, *context.control.snapshot(), context.apps.facts(*app)));
    return {};
}

Dispatched app_logs(const ApiContext& context, RoutedRequest request) {
    std::string name = request.parameter("name");
    std::uint64_t after = 0;
    Result<std::optional<std::string>> text = http::query_parameter(request.head, "after");
    if (text && *text) std::from_chars((*text)->data(), (*text)->data() + (*text)->size(), after);
    if (!context.control.snapshot()->state->apps.contains(name)) {
        respond_failure(request.exchange, Error(no_such_app));
        return {};
    }
    Result<std::optional<std::string>> follow = http::query_parameter(request.head, "follow");
    if (follow && *follow == "1") return follow_log(context, std::move(request), name, after);
    AppLogs::Page page = context.logs.read(name, after);
    json::Value lines = json::Value::array();
    for (const AppLogs::Line& line : page.lines) {
        lines.push_back(
            {{"sequence", line.sequence}, {"time", rfc3339(line.time)}, {"text", line.text}});
    }
    runtime::respond_json(request.exchange, 200, {{"lines", lines}, {"dropped", page.dropped}});
    return {};
}

/// How a body becomes changes.
using ParseBody = Result<std::vector<AppChange>> (*)(const std::string& name, ByteView body,
                                                     UnixTime now);

Dispatched collect_changes(const ApiContext& context, RoutedRequest request, AnswerForm form,
                           std::string name, ParseBody parse) {
    return runtime::collect_body(
        request.head.body, request.route.max_body_bytes, context.bodies,
        std::move(request.exchange),
        [&context, form, name = std::move(name), parse,
         instance_id = context.control.snapshot()->instance_id](runtime::Exchange exchange,
                                                                runtime::CollectedBody body) {
            Result<std::vector<AppChange>> changes = parse(name, body.bytes, context.clock.now());
            if (!changes) return respond_failure(exchange, changes.error());
            body.bytes = Bytes();
            change_apps(context, std::move(*changes),
                        {std::move(exchange), form, instance_id, std::move(body.loan)});
        });
}

bool has_type(RoutedRequest& request, std::string_view type) {
    if (request.head.headers.first("content-type") == type) return true;
    runtime::respond_error(request.exchange, 415, "expected Content-Type " + std::string(type));
    return false;
}

Dispatched handle_load(const ApiContext& context, RoutedRequest request) {
    if (!has_type(request, kAppUploadType)) return {};
    std::string name = request.parameter("name");
    return collect_changes(
        context, std::move(request), AnswerForm::kSingle, std::move(name),
        [](const std::string& app, ByteView body, UnixTime now) -> Result<std::vector<AppChange>> {
            std::vector<AppChange> out;
            out.push_back({app, EOS_TRY(parse_app_upload(body, now))});
            return out;
        });
}

Dispatched handle_batch(const ApiContext& context, RoutedRequest request) {
    if (!has_type(request, kBatchUploadType)) return {};
    return collect_changes(context, std::move(request), AnswerForm::kBatch, {},
                           [](const std::string&, ByteView body, UnixTime now) {
                               return parse_batch_upload(body, now);
                           });
}

Dispatched handle_unload(const ApiContext& context, RoutedRequest request) {
    std::vector<AppChange> changes;
    changes.push_back({request.parameter("name"), std::nullopt});
    change_apps(
        context, std::move(changes),
        {std::move(request.exchange), AnswerForm::kSingle, context.control.snapshot()->instance_id,
         runtime::MemoryBudget::Loan(context.bodies)});
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
          "?after=N: what the app wrote to stderr; &follow=1: and writes", app_logs);
    route(http::Method::kPost, "/api/v1/apps/{name}", kMaxAppUploadBytes, "load or replace an app",
          handle_load);
    route(http::Method::kPost, "/api/v1/apps:batch", kMaxBatchUploadBytes,
          "several loads and unloads as one change", handle_batch);
    route(http::Method::kDelete, "/api/v1/apps/{name}", 0, "unload an app", handle_unload);
}

}  // namespace eos::mini
