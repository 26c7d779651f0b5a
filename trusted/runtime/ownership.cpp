// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/runtime/ownership.h"

namespace eos::runtime {
namespace {

using config_tree::Name;
using config_tree::Value;

constexpr std::string_view kStateFreshness = "none";
constexpr std::string_view kManagementAuthentication = "owner-certificate";

std::string_view origin_text(const std::optional<Ownership>& owned) {
    if (!owned) return "none";
    return owned->authority.origin == CaKeyOrigin::kImported ? "imported" : "born_inside";
}

}  // namespace

void rotate_authority(Ownership& ownership, Authority next) {
    if (ownership.authority.origin == CaKeyOrigin::kImported) next.origin = CaKeyOrigin::kImported;
    ownership.authority = std::move(next);
}

Result<void> add_ownership_leaves(config_tree::TreeBuilder& out,
                                  const std::optional<Ownership>& owned,
                                  std::string_view platform_name) {
    const crypto::Digest32 none{};
    out.add(Name::of({"ca_certificate"}),
            Value::sha256(owned ? crypto::sha256(owned->authority.chain.front()) : none));
    out.add(Name::of({"ca_key_origin"}), Value::constant(origin_text(owned)));
    out.add(Name::of({"management_authentication"}), Value::constant(kManagementAuthentication));
    out.add(Name::of({"owner_key"}), Value::sha256(owned ? owned->owner_spki_hash : none));
    out.add(Name::of({"platform_name"}), EOS_TRY(Value::text(platform_name)));
    out.add(Name::of({"state_freshness"}), Value::constant(kStateFreshness));
    return {};
}

}  // namespace eos::runtime
