// SPDX-License-Identifier: AGPL-3.0-only
// Everything that is true at one moment, for every worker: never changed once published.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "common/base/secret.h"
#include "trusted/runtime/platform_state.h"
#include "trusted/runtime/served.h"
#include "trusted/runtime/time_guard.h"

namespace eos::mini {

/// How far the enclave has come.
enum class Stage {
    kStarting,  ///< no state or no quote yet: no handshake is answered
    kUnowned,   ///< waits for its owner
    kOwned,
};

/// One moment of the enclave.
struct Snapshot {
    Stage stage = Stage::kStarting;
    std::shared_ptr<const runtime::PlatformState> state;
    std::shared_ptr<const runtime::Served> served;  ///< null while starting
    /// The module of every app, by its digest.
    std::map<crypto::Digest32, std::shared_ptr<const SecretBytes>> modules;

    std::shared_ptr<const config_tree::Tree> policy_tree;
    std::string policy_manifest;  ///< of policy_tree: anyone may ask for it, as often as they like
    std::shared_ptr<const config_tree::Tree> platform_tree;
    std::map<std::string, std::shared_ptr<const config_tree::Tree>, std::less<>> workload_trees;

    ByteArray<16> instance_id{};
    std::uint64_t generation = 0;
    std::optional<UnixTime> ca_not_after;
    runtime::TimeTrust time_trust = runtime::TimeTrust::kUnconfirmed;
};

using SnapshotPtr = std::shared_ptr<const Snapshot>;

}  // namespace eos::mini
