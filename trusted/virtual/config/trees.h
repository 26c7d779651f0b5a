// SPDX-License-Identifier: AGPL-3.0-only
// What a configuration and its machine's ownership say to clients: the configuration trees, and the
// values that each name's leaf carries.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/config_tree/tree.h"
#include "trusted/runtime/ownership.h"
#include "trusted/runtime/served.h"
#include "trusted/virtual/config/config.h"

namespace eos::cvm {

/// Random ids of the workloads, by name; each is made when the name appears and kept while it is
/// there.
using AppIds = std::map<std::string, ByteArray<16>, std::less<>>;

/// Everything that is attested. Borrowed for the call.
struct Attested {
    const Config& config;
    const std::optional<runtime::Ownership>& owned;
    const AppIds& app_ids;  ///< of every route (asserted)
};

/// What governs every tenant; its root is on every leaf.
/// errors: those of config_tree::TreeBuilder.
[[nodiscard]] Result<config_tree::Tree> policy_tree(const Attested& state);

/// The policy leaves, operational settings, and host name, digest and root of every route.
/// errors: those of config_tree::TreeBuilder.
/// bound:  five leaves a route, and every route's own tree.
[[nodiscard]] Result<config_tree::Tree> platform_tree(const Attested& state);

/// The route's own.
/// errors: config_tree::bad_scope, those of config_tree::TreeBuilder.
[[nodiscard]] Result<config_tree::Tree> workload_tree(const RouteConfig& route,
                                                      const ByteArray<16>& app_id);

/// What does not change while the minter runs.
struct MinterFacts {
    std::string version;    ///< "enclave-os-minter 0.1.0"
    std::string assurance;  ///< "production", "debug"
};

/// The names and what each name's leaf says, without epochs, issuer and instance.
/// errors: those of the trees.
[[nodiscard]] Result<std::shared_ptr<runtime::Served>> served_of(const Attested& state,
                                                                 const MinterFacts& facts);

}  // namespace eos::cvm
