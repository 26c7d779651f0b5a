// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <cstdint>
#include <deque>

#include "common/base/time.h"
#include "common/config_tree/leaf.h"

namespace eos::config_tree {

inline constexpr Code history_mismatch{"common/config_tree", "history_mismatch",
                                       "the history does not lead to its head"};
inline constexpr Code history_disorder{"common/config_tree", "history_disorder",
                                       "the generations of a history do not rise"};

inline constexpr std::size_t kMaxHistoryEntries = 1000;

/// One change of state.
struct Change {
    std::uint64_t generation = 0;  ///< of the state after the change
    Digest32 policy_root{};        ///< after the change
    UnixTime time;                 ///< not negative; as the platform knew it

    friend bool operator==(const Change&, const Change&) = default;
};

/// history_n = SHA-256(0x03 ‖ history_{n-1} ‖ u64be generation ‖ policy root ‖ u64be time);
/// history_0 is 32 zero bytes.
/// source: docs/formats/config-tree.md.
Digest32 extend_history(const Digest32& previous, const Change& change);

/// The last changes, oldest first, and the hashes before and after them. A value.
struct History {
    Digest32 base{};  ///< the hash before the oldest change that is kept
    std::deque<Change> changes;
    Digest32 head{};

    /// Adds a change; forgets the oldest beyond kMaxHistoryEntries.
    void append(const Change& change);

    friend bool operator==(const History&, const History&) = default;
};

/// Recomputes the chain from base to head.
/// errors: history_mismatch, history_disorder.
[[nodiscard]] Result<void> verify_history(const History& history);

}  // namespace eos::config_tree
