// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/mini/control/serving.h"

#include "common/config_tree/manifest.h"
#include "common/oid/registry.h"
#include "trusted/mini/control/authority.h"

namespace eos::mini {
namespace {

using ratls::ExtensionValue;

// docs/formats/certificate.md 2, OID 2.5: SHA-256 over name ‖ digest of all workloads, sorted by
// name; none: zeros.
crypto::Digest32 combined_workloads_hash(const runtime::Apps& apps) {
    if (apps.empty()) return {};
    crypto::Sha256 hash;
    for (const auto& [name, app] : apps) {
        hash.update(as_bytes(name));
        hash.update(app.code_digest);
    }
    return hash.finish();
}

void add(std::vector<ExtensionValue>& values, const oid::Oid& oid, ByteView value) {
    values.push_back({oid, to_bytes(value)});
}

// Leaves whose assurance is not production say so in 2.8, too.
void add_profile(std::vector<ExtensionValue>& values, const ProgramFacts& facts) {
    std::string_view profile = facts.assurance == "production" ? "production" : "dev";
    add(values, oid::kImageProfile, as_bytes(profile));
}

runtime::ServedName platform_row(const Snapshot& snapshot, const ProgramFacts& facts) {
    runtime::ServedName row;
    row.kind = runtime::NameKind::kPlatform;
    if (snapshot.state->ownership) row.name = snapshot.state->ownership->platform_name;
    add(row.values, oid::kPlatformConfigRoot, snapshot.platform_tree->root());
    add(row.values, oid::kRuntimeVersionHash, crypto::sha256(as_bytes(facts.version)));
    add(row.values, oid::kCombinedWorkloadsHash, combined_workloads_hash(snapshot.state->apps));
    add_profile(row.values, facts);
    return row;
}

runtime::ServedName app_row(const std::string& name, const runtime::App& app,
                            const config_tree::Tree& tree, const ProgramFacts& facts) {
    runtime::ServedName row;
    row.name = app.hostname;
    row.kind = runtime::NameKind::kApp;
    row.app = name;
    add_profile(row.values, facts);
    add(row.values, oid::kWorkloadConfigRoot, tree.root());
    add(row.values, oid::kWorkloadDigest, app.code_digest);
    add(row.values, oid::kAppId, app.app_id);
    return row;
}

void add_row(runtime::Served& served, runtime::ServedName row) {
    row.tag = runtime::name_tag(row, served);
    std::string key = row.name;
    served.names.emplace(std::move(key), std::move(row));
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
        served->issuer = EOS_TRY(make_issuer(state->ownership->authority));
        served->platform_name = state->ownership->platform_name;
        x509::Certificate ca = EOS_TRY(intermediate_of(state->ownership->authority));
        snapshot.ca_not_after = ca.validity().not_after;
    }
    add_row(*served, platform_row(snapshot, facts));
    for (const auto& [name, app] : state->apps) {
        auto tree =
            std::make_shared<const config_tree::Tree>(EOS_TRY(runtime::workload_tree(name, app)));
        add_row(*served, app_row(name, app, *tree, facts));
        snapshot.workload_trees.emplace(name, std::move(tree));
    }
    out.served = std::move(served);
    return out;
}

bool keep_epochs(runtime::Served& next, const runtime::Served* current) {
    bool complete = true;
    for (auto& [name, row] : next.names) {
        auto old = current == nullptr ? nullptr : current->find(name);
        // The platform's row is also found under the empty name: it must be the same name.
        if (old != nullptr && old->name == row.name && old->tag == row.tag) row.epoch = old->epoch;
        complete = complete && row.epoch != nullptr;
    }
    return complete;
}

void fill_epochs(runtime::Served& next, const std::shared_ptr<const runtime::KeyEpoch>& epoch) {
    for (auto& [name, row] : next.names) {
        if (row.epoch == nullptr) row.epoch = epoch;
    }
}

void replace_epochs(runtime::Served& next, const std::shared_ptr<const runtime::KeyEpoch>& epoch) {
    for (auto& [name, row] : next.names) row.epoch = epoch;
}

}  // namespace eos::mini
