// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/runtime/platform_state.h"

#include <algorithm>
#include <functional>
#include <set>

#include "common/base/encoding.h"
#include "trusted/runtime/host_name.h"

namespace eos::runtime {
namespace {

constexpr std::string_view kLower = "abcdefghijklmnopqrstuvwxyz0123456789-";
constexpr std::string_view kVariable =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";

bool is_text(ByteView bytes, std::size_t max_bytes) {
    return bytes.size() <= max_bytes && is_utf8(bytes) &&
           std::ranges::find(bytes, std::byte{0}) == bytes.end();
}

Result<void> check_variable(const AppVariable& variable) {
    const std::string& name = variable.name;
    if (name.empty() || name.size() > kMaxVariableNameBytes ||
        name.find_first_not_of(kVariable) != name.npos || (name[0] >= '0' && name[0] <= '9')) {
        return fail(bad_app,
                    "the name of an environment variable: '" + printable(as_bytes(name), 64) + "'");
    }
    if (name.starts_with("EOS_")) return fail(bad_app, name + " is the platform's to set");
    if (!is_text(variable.value.view(), kMaxVariableBytes)) {
        return fail(bad_app, name + ": at most 32 KiB of UTF-8 without NUL");
    }
    if (variable.visibility == Visibility::kSalted && all_zero(variable.salt)) {
        return fail(bad_app, name + " is not public and has no salt");
    }
    if (variable.visibility == Visibility::kPublic && !all_zero(variable.salt)) {
        return fail(bad_app, name + " is public and has a salt");
    }
    return {};
}

Result<void> check_environment(const App& app) {
    if (app.environment.size() > kMaxEnvironmentVariables) {
        return fail(bad_app, "more than 128 environment variables");
    }
    for (const AppVariable& variable : app.environment) EOS_TRY(check_variable(variable));
    auto twice =
        std::ranges::adjacent_find(app.environment, std::greater_equal{}, &AppVariable::name);
    if (twice != app.environment.end()) {
        return fail(bad_app, "environment variables twice or out of order: " + twice->name);
    }
    return {};
}

Result<void> check_permissions(const App& app) {
    if (app.permissions.size() > kMaxPermissions) return fail(bad_app, "over 32 permissions");
    for (const std::string& permission : app.permissions) {
        if (permission.empty() || permission.size() > 64 ||
            permission.find_first_not_of(kLower) != permission.npos) {
            return fail(bad_app, "the name of a permission");
        }
    }
    if (std::ranges::adjacent_find(app.permissions, std::greater_equal{}) !=
        app.permissions.end()) {
        return fail(bad_app, "permissions twice or out of order");
    }
    return {};
}

}  // namespace

PlatformState PlatformState::duplicate() const {
    PlatformState out;
    if (ownership) out.ownership = ownership->duplicate();
    out.settings = settings;
    for (const auto& [name, app] : apps) {
        App copy{app.hostname, app.code_digest, app.module_bytes,
                 app.app_id,   app.limits,      app.arguments,
                 {},           app.permissions, app.profile,
                 app.loaded_at};
        for (const AppVariable& v : app.environment) {
            copy.environment.push_back({v.name, v.value.duplicate(), v.visibility, v.salt});
        }
        out.apps.emplace(name, std::move(copy));
    }
    out.history = history;
    out.time_floor = time_floor;
    out.stapled = stapled;
    return out;
}

Result<void> check_app(std::string_view name, const App& app) {
    EOS_TRY(config_tree::check_workload_name(name));
    if (!is_host_name(app.hostname)) {
        return fail(bad_app, "hostname '" + printable(as_bytes(app.hostname), 64) +
                                 "' is not a lower-case DNS name");
    }
    if (app.module_bytes == 0 || app.module_bytes > kMaxRecordBytes) {
        return fail(bad_app, "a module of " + std::to_string(app.module_bytes) + " bytes");
    }
    if (app.arguments.size() > kMaxArguments) return fail(bad_app, "more than 64 arguments");
    for (const std::string& argument : app.arguments) {
        if (!is_text(as_bytes(argument), kMaxArgumentBytes)) {
            return fail(bad_app, "an argument: at most 4 KiB of UTF-8 without NUL");
        }
    }
    EOS_TRY(check_environment(app));
    return check_permissions(app);
}

Result<void> check_state(const PlatformState& state) {
    for (const SettingInfo& info : all_settings()) {
        Settings scratch;
        EOS_TRY(set_setting(scratch, info, info.get(state.settings)));
    }
    if (!state.ownership) {
        if (state.apps.empty() && !state.stapled) return {};
        return fail(inconsistent_state, "apps or collateral without an owner");
    }
    const Ownership& owned = *state.ownership;
    if (!is_host_name(owned.platform_name)) {
        return fail(inconsistent_state, "the platform name is not a lower-case DNS name");
    }
    if (owned.authority.chain.empty()) return fail(inconsistent_state, "no CA certificate");
    if (state.apps.size() > state.settings.max_apps) {
        return fail(too_many_apps, std::to_string(state.settings.max_apps));
    }
    std::set<std::string_view> taken{owned.platform_name};
    for (const auto& [name, app] : state.apps) {
        EOS_TRY(check_app(name, app));
        if (!taken.insert(app.hostname).second) return fail(hostname_taken, app.hostname);
    }
    return {};
}

}  // namespace eos::runtime
