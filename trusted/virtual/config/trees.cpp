// SPDX-License-Identifier: AGPL-3.0-only
// The configuration trees of a configuration: every field of its tables is a leaf with its
// effective value.
#include "trusted/virtual/config/trees.h"

#include <algorithm>

#include "common/base/assert.h"
#include "common/oid/registry.h"

namespace eos::cvm {
namespace {

using config_tree::Name;
using config_tree::Scope;
using config_tree::Tree;
using config_tree::TreeBuilder;
using config_tree::Value;

// Workloads have no keys of their own yet.
constexpr std::string_view kKeySource = "none";

/// Adds a leaf for every field of a section; a visitor.
class LeafWriter {
  public:
    explicit LeafWriter(TreeBuilder& out, std::vector<std::string> prefix = {})
        : out_(out), prefix_(std::move(prefix)) {}

    Result<void> number(const NumberRow& row, const std::uint64_t& value) {
        return add(row.name, Value::u64(value));
    }
    template <typename Choice>
    Result<void> choice(const ChoiceRow& row, const Choice& value) {
        return add(row.name, Value::constant(row.words[static_cast<std::size_t>(value)]));
    }
    Result<void> text(const TextRow& row, const std::string& value) {
        return add(row.name, EOS_TRY(Value::text(value)));
    }
    Result<void> texts(const ListRow& row, const std::vector<std::string>& values) {
        EOS_TRY(count(row, values.size()));
        LeafWriter below(out_, path(row.name));
        for (std::size_t i = 0; i < values.size(); ++i)
            EOS_TRY(below.add(std::to_string(i), EOS_TRY(Value::text(values[i]))));
        return {};
    }
    template <typename Section>
    Result<void> section(const Row& row, const Section& section) {
        LeafWriter below(out_, path(row.name));
        return Section::visit(section, below);
    }
    // As in the policy tree: one name for one setting.
    Result<void> section(const Row&, const PolicyConfig& policy) {
        return PolicyConfig::visit(policy, *this);
    }
    template <typename Section>
    Result<void> list(const ListRow& row, const std::vector<Section>& sections) {
        EOS_TRY(count(row, sections.size()));
        for (std::size_t i = 0; i < sections.size(); ++i) {
            std::vector<std::string> prefix = path(row.name);
            prefix.push_back(std::to_string(i));
            LeafWriter below(out_, std::move(prefix));
            EOS_TRY(Section::visit(sections[i], below));
        }
        return {};
    }

    Result<void> add(std::string_view name, Value value) {
        out_.add(EOS_TRY(Name::from(path(name))), std::move(value));
        return {};
    }

  private:
    std::vector<std::string> path(std::string_view name) const {
        std::vector<std::string> out = prefix_;
        out.emplace_back(name);
        return out;
    }
    Result<void> count(const ListRow& row, std::size_t size) {
        return add(std::string(row.name) + "_count", Value::u64(size));
    }

    TreeBuilder& out_;
    std::vector<std::string> prefix_;
};

const ByteArray<16>& app_id_of(const Attested& state, const RouteConfig& route) {
    auto found = state.app_ids.find(route.name);
    EOS_ASSERT(found != state.app_ids.end());
    return found->second;
}

/// The roots of the routes' trees, in the configuration's order.
using WorkloadRoots = std::vector<crypto::Digest32>;

Result<WorkloadRoots> workload_roots(const Attested& state) {
    WorkloadRoots out;
    for (const RouteConfig& route : state.config.routes)
        out.push_back(EOS_TRY(workload_tree(route, app_id_of(state, route))).root());
    return out;
}

Result<void> add_route_leaves(TreeBuilder& out, const RouteConfig& route,
                              const crypto::Digest32& root) {
    LeafWriter leaves(out, {"routes", route.name});
    EOS_TRY(leaves.add("digest", Value::sha256(declared_digest(route).digest)));
    EOS_TRY(leaves.add("hostname", EOS_TRY(Value::text(route.hostname))));
    EOS_TRY(leaves.add("key_source", Value::constant(kKeySource)));
    return leaves.add("root", Value::sha256(root));
}

Result<Tree> platform_tree_over(const Attested& state, const WorkloadRoots& roots) {
    TreeBuilder out(Scope::platform());
    EOS_TRY(runtime::add_ownership_leaves(out, state.owned, state.config.platform.name));
    LeafWriter leaves(out);
    EOS_TRY(PlatformConfig::visit(state.config.platform, leaves));
    EOS_TRY(leaves.add("config_version", Value::u64(state.config.version)));
    EOS_TRY(leaves.add("routes_count", Value::u64(state.config.routes.size())));
    for (std::size_t i = 0; i < roots.size(); ++i)
        EOS_TRY(add_route_leaves(out, state.config.routes[i], roots[i]));
    return std::move(out).build();
}

std::vector<const RouteConfig*> by_name(const Config& config) {
    std::vector<const RouteConfig*> out;
    for (const RouteConfig& route : config.routes) out.push_back(&route);
    std::ranges::sort(out, {},
                      [](const RouteConfig* route) -> const std::string& { return route->name; });
    return out;
}

void add_value(runtime::ServedName& row, const oid::Oid& oid, ByteView value) {
    row.values.push_back({oid, to_bytes(value)});
}

Result<runtime::ServedName> platform_row(const Attested& state, const WorkloadRoots& roots,
                                         const MinterFacts& facts) {
    std::vector<runtime::WorkloadDigest> workloads;
    for (const RouteConfig* route : by_name(state.config))
        workloads.push_back({route->name, declared_digest(*route).digest});
    runtime::ServedName row;
    row.kind = runtime::NameKind::kPlatform;
    row.name = state.config.platform.name;
    add_value(row, oid::kPlatformConfigRoot, EOS_TRY(platform_tree_over(state, roots)).root());
    add_value(row, oid::kRuntimeVersionHash, crypto::sha256(as_bytes(facts.version)));
    add_value(row, oid::kCombinedWorkloadsHash, runtime::combined_workloads_hash(workloads));
    // Over the addresses of attestation servers, of which there are none here.
    add_value(row, oid::kAttestationServersHash, crypto::sha256(ByteView()));
    row.values.push_back(runtime::image_profile(facts.assurance));
    return row;
}

runtime::ServedName route_row(const Attested& state, const RouteConfig& route,
                              const crypto::Digest32& root, const MinterFacts& facts) {
    const DeclaredDigest declared = declared_digest(route);
    runtime::ServedName row;
    row.kind = runtime::NameKind::kApp;
    row.name = route.hostname;
    row.app = route.name;
    row.profile = route.ratls_profile;
    row.values.push_back(runtime::image_profile(facts.assurance));
    add_value(row, oid::kWorkloadConfigRoot, root);
    if (declared.kind != DigestKind::kNone) add_value(row, oid::kWorkloadDigest, declared.digest);
    add_value(row, oid::kAppId, app_id_of(state, route));
    return row;
}

}  // namespace

Result<Tree> policy_tree(const Attested& state) {
    TreeBuilder out(Scope::policy());
    EOS_TRY(runtime::add_ownership_leaves(out, state.owned, state.config.platform.name));
    LeafWriter leaves(out);
    EOS_TRY(PolicyConfig::visit(state.config.platform.policy, leaves));
    return std::move(out).build();
}

Result<Tree> platform_tree(const Attested& state) {
    return platform_tree_over(state, EOS_TRY(workload_roots(state)));
}

Result<Tree> workload_tree(const RouteConfig& route, const ByteArray<16>& app_id) {
    TreeBuilder out(EOS_TRY(Scope::workload(route.name)));
    LeafWriter leaves(out);
    EOS_TRY(RouteConfig::visit(route, leaves));
    EOS_TRY(leaves.add("app_id", EOS_TRY(Value::bytes(app_id))));
    EOS_TRY(leaves.add("key_source", Value::constant(kKeySource)));
    return std::move(out).build();
}

Result<std::shared_ptr<runtime::Served>> served_of(const Attested& state,
                                                   const MinterFacts& facts) {
    const WorkloadRoots roots = EOS_TRY(workload_roots(state));
    auto served = std::make_shared<runtime::Served>();
    served->platform_name = state.config.platform.name;
    served->policy_root = EOS_TRY(policy_tree(state)).root();
    served->assurance = facts.assurance;
    runtime::add_name(*served, EOS_TRY(platform_row(state, roots, facts)));
    for (std::size_t i = 0; i < roots.size(); ++i)
        runtime::add_name(*served, route_row(state, state.config.routes[i], roots[i], facts));
    return served;
}

}  // namespace eos::cvm
