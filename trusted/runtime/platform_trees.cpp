// SPDX-License-Identifier: AGPL-3.0-only
// The configuration trees of a platform state. Every setting has a leaf with its effective value;
// where there is nothing yet (no owner, no CA) the leaf says so.
#include "trusted/runtime/platform_state.h"

namespace eos::runtime {
namespace {

using config_tree::Name;
using config_tree::Scope;
using config_tree::Tree;
using config_tree::TreeBuilder;
using config_tree::Value;

// Workloads have no keys of their own yet.
constexpr std::string_view kKeySource = "none";

Result<void> add_policy_leaves(TreeBuilder& out, const PlatformState& state,
                               const BuildFacts& facts) {
    const std::optional<Ownership>& owned = state.ownership;
    EOS_TRY(add_ownership_leaves(out, owned, owned ? owned->platform_name : ""));
    out.add(Name::of({"engine"}), EOS_TRY(Value::text(facts.engine)));
    out.add(Name::of({"engine_flags"}), EOS_TRY(Value::text(facts.engine_flags)));
    for (const SettingInfo& info : all_settings()) {
        if (info.tree != Scope::Kind::kPolicy) continue;
        out.add(Name::of({info.name}), setting_value(state.settings, info));
    }
    return {};
}

Result<void> add_app_leaves(TreeBuilder& out, const std::string& name, const App& app) {
    Tree own = EOS_TRY(workload_tree(name, app));
    out.add(Name::of({"apps", name, "digest"}), Value::sha256(app.code_digest));
    out.add(Name::of({"apps", name, "hostname"}), EOS_TRY(Value::text(app.hostname)));
    out.add(Name::of({"apps", name, "key_source"}), Value::constant(kKeySource));
    out.add(Name::of({"apps", name, "root"}), Value::sha256(own.root()));
    return {};
}

std::string joined(const std::vector<std::string>& parts) {
    std::string out;
    for (const std::string& part : parts) {
        if (!out.empty()) out += ',';
        out += part;
    }
    return out;
}

Result<Value> variable_value(const AppVariable& variable) {
    if (variable.visibility == Visibility::kSalted) {
        return Value::salted(variable.salt, variable.value.view());
    }
    return Value::text(as_chars(variable.value.view()));
}

}  // namespace

Result<Tree> policy_tree(const PlatformState& state, const BuildFacts& facts) {
    TreeBuilder out(Scope::policy());
    EOS_TRY(add_policy_leaves(out, state, facts));
    return std::move(out).build();
}

Result<Tree> platform_tree(const PlatformState& state, const BuildFacts& facts) {
    TreeBuilder out(Scope::platform());
    EOS_TRY(add_policy_leaves(out, state, facts));
    for (const SettingInfo& info : all_settings()) {
        if (info.tree != Scope::Kind::kPlatform) continue;
        out.add(Name::of({info.name}), setting_value(state.settings, info));
    }
    for (const auto& [name, app] : state.apps) EOS_TRY(add_app_leaves(out, name, app));
    return std::move(out).build();
}

Result<Tree> workload_tree(std::string_view name, const App& app) {
    TreeBuilder out(EOS_TRY(Scope::workload(name)));
    out.add(Name::of({"app_id"}), EOS_TRY(Value::bytes(app.app_id)));
    out.add(Name::of({"arg_count"}), Value::u64(app.arguments.size()));
    for (std::size_t i = 0; i < app.arguments.size(); ++i) {
        out.add(Name::of({"args", std::to_string(i)}), EOS_TRY(Value::text(app.arguments[i])));
    }
    out.add(Name::of({"digest"}), Value::sha256(app.code_digest));
    for (const AppVariable& variable : app.environment) {
        out.add(Name::of({"env", variable.name}), EOS_TRY(variable_value(variable)));
    }
    out.add(Name::of({"env_count"}), Value::u64(app.environment.size()));
    out.add(Name::of({"hostname"}), EOS_TRY(Value::text(app.hostname)));
    out.add(Name::of({"key_source"}), Value::constant(kKeySource));
    out.add(Name::of({"limits", "max_fuel"}), Value::u64(app.limits.max_fuel));
    out.add(Name::of({"limits", "max_memory_bytes"}), Value::u64(app.limits.max_memory_bytes));
    out.add(Name::of({"module_bytes"}), Value::u64(app.module_bytes));
    out.add(Name::of({"permissions"}), EOS_TRY(Value::text(joined(app.permissions))));
    out.add(Name::of({"ratls_profile"}),
            Value::constant(ratls::kProfileWords[static_cast<std::size_t>(app.profile)]));
    return std::move(out).build();
}

}  // namespace eos::runtime
