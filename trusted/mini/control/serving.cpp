// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/mini/control/serving.h"

#include "common/config_tree/manifest.h"
#include "common/oid/registry.h"
#include "trusted/runtime/authority.h"

namespace eos::mini {
namespace {

using ratls::ExtensionValue;

void add(std::vector<ExtensionValue>& values, const oid::Oid& oid, ByteView value) {
    values.push_back({oid, to_bytes(value)});
}

runtime::ServedName platform_row(const Snapshot& snapshot, const ProgramFacts& facts) {
    runtime::ServedName row;
    row.kind = runtime::NameKind::kPlatform;
    std::vector<runtime::WorkloadDigest> workloads;
    for (const auto& [name, app] : snapshot.state->apps)
        workloads.push_back({name, app.code_digest});
    if (snapshot.state->ownership) row.name = snapshot.state->ownership->platform_name;
    add(row.values, oid::kPlatformConfigRoot, snapshot.platform_tree->root());
    add(row.values, oid::kRuntimeVersionHash, crypto::sha256(as_bytes(facts.version)));
    add(row.values, oid::kCombinedWorkloadsHash, runtime::combined_workloads_hash(workloads));
    row.values.push_back(runtime::image_profile(facts.assurance));
    return row;
}

runtime::ServedName app_row(const std::string& name, const runtime::App& app,
                            const config_tree::Tree& tree, const ProgramFacts& facts) {
    runtime::ServedName row;
    row.name = app.hostname;
    row.kind = runtime::NameKind::kApp;
    row.app = name;
    row.profile = app.profile;
    row.values.push_back(runtime::image_profile(facts.assurance));
    add(row.values, oid::kWorkloadConfigRoot, tree.root());
    add(row.values, oid::kWorkloadDigest, app.code_digest);
    add(row.values, oid::kAppId, app.app_id);
    return row;
}

}  // namespace

Result<Draft> draft_of(std::shared_ptr<const runtime::PlatformState> state,
                       const ProgramFacts& facts) {
    Draft out;
    Snapshot& snapshot = out.snapshot;
    snapshot.state = state;
    snapshot.stage = state->ownership ? Stage::kOwned : Stage::kUnowned;
    snapshot.policy_tree = std::make_shared<const config_tree::Tree>(
        EOS_TRY(runtime::policy_tree(*state, facts.build)));
    snapshot.policy_manifest = config_tree::encode_manifest(*snapshot.policy_tree);
    snapshot.platform_tree = std::make_shared<const config_tree::Tree>(
        EOS_TRY(runtime::platform_tree(*state, facts.build)));
    auto served = std::make_shared<runtime::Served>();
    served->policy_root = snapshot.policy_tree->root();
    served->assurance = facts.assurance;
    served->instance.boot_id = facts.boot_id;
    if (state->ownership) {
        served->issuer = EOS_TRY(runtime::make_issuer(state->ownership->authority));
        served->platform_name = state->ownership->platform_name;
        x509::Certificate ca = EOS_TRY(runtime::intermediate_of(state->ownership->authority));
        snapshot.ca_not_after = ca.validity().not_after;
    }
    runtime::add_name(*served, platform_row(snapshot, facts));
    for (const auto& [name, app] : state->apps) {
        auto tree =
            std::make_shared<const config_tree::Tree>(EOS_TRY(runtime::workload_tree(name, app)));
        runtime::add_name(*served, app_row(name, app, *tree, facts));
        snapshot.workload_trees.emplace(name, std::move(tree));
    }
    out.served = std::move(served);
    return out;
}

}  // namespace eos::mini
