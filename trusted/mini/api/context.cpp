// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/mini/api/context.h"

#include <algorithm>
#include <array>

#include "common/json/json.h"
#include "trusted/mini/api/app_changes.h"
#include "trusted/mini/host_services/host_calls.h"
#include "trusted/runtime/owner_api.h"
#include "trusted/runtime/responses.h"

namespace eos::mini {
namespace {

using runtime::Access;
using runtime::Permission;

// What the platform could not do now, and may be able to do later.
bool is_temporary(const Code& code) {
    static constexpr std::array kTemporary = {wrong_stage,
                                              runtime::time_jumped,
                                              too_many_changes,
                                              too_many_readers,
                                              host_timed_out,
                                              host_failed,
                                              host_overloaded,
                                              runtime::storage_unavailable,
                                              runtime::store_busy,
                                              runtime::commit_failed,
                                              runtime::commit_outcome_unknown};
    return std::ranges::find(kTemporary, code) != kTemporary.end();
}

}  // namespace

Permission OwnerAuthorizer::decide(Access access, const runtime::ConnectionInfo& connection,
                                   const http::RequestHead&) const {
    const SnapshotPtr& snapshot = control_.snapshot();
    const bool is_owned = snapshot->state && snapshot->state->ownership;
    return runtime::decide_for_owner(
        access, connection, is_owned ? &snapshot->state->ownership->owner_spki_hash : nullptr);
}

std::string_view OwnerAuthorizer::challenge() const {
    return runtime::kOwnerChallenge;
}

std::optional<AppRef> find_app(const Snapshot& snapshot, const std::string& name) {
    auto app = snapshot.state->apps.find(name);
    if (app == snapshot.state->apps.end()) return std::nullopt;
    return AppRef{name, snapshot.state, &app->second, snapshot.modules.at(app->second.code_digest),
                  snapshot.workload_trees.find(name)->second->root()};
}

LoadedApps loaded_apps(const Snapshot& snapshot) {
    LoadedApps loaded;
    for (const auto& [name, app] : snapshot.state->apps) loaded.ids.insert(app.app_id);
    for (const auto& [name, tree] : snapshot.workload_trees)
        loaded.workload_roots.insert(tree->root());
    return loaded;
}

int status_of(const Error& error) {
    const Code& code = error.code();
    if (code == wrong_token || code == wrong_instance || code == runtime::name_not_permitted)
        return 403;
    if (code == runtime::hostname_taken || code == runtime::stale_transaction ||
        code == no_pending_request || code == runtime::time_disputed) {
        return 409;
    }
    if (code == runtime::no_such_record || code == no_such_app) return 404;
    if (code == module_too_large) return 413;
    if (code == runtime::too_many_apps || code == runtime::store_full) return 507;
    if (is_temporary(code)) return 503;
    if (code == host_misbehaved || code == runtime::storage_misbehaved) return 502;
    return 400;
}

void respond_failure(runtime::Exchange& exchange, const Error& error) {
    runtime::respond_error(exchange, status_of(error), error.message());
}

runtime::Dispatched with_json(const ApiContext& context, runtime::RoutedRequest request,
                              std::move_only_function<void(runtime::Exchange, json::Value)> then) {
    return runtime::with_json(std::move(request), context.bodies, respond_failure, std::move(then));
}

void add_all_routes(runtime::Router& router, const ApiContext& context) {
    add_attest_route(router, context);
    add_status_routes(router, context);
    add_config_routes(router, context);
    add_ownership_routes(router, context);
    add_time_routes(router, context);
    add_collateral_routes(router, context);
    add_app_routes(router, context);
    add_workload_routes(router, context);
}

}  // namespace eos::mini
