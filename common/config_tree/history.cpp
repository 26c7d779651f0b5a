// SPDX-License-Identifier: AGPL-3.0-only
#include "common/config_tree/history.h"

#include "common/base/codec.h"

namespace eos::config_tree {

Digest32 extend_history(const Digest32& previous, const Change& change) {
    Writer preimage;
    preimage.u8(3).bytes(previous).u64be(change.generation).bytes(change.policy_root);
    preimage.u64be(static_cast<std::uint64_t>(change.time.seconds));
    return crypto::sha256(preimage.view());
}

void History::append(const Change& change) {
    head = extend_history(head, change);
    changes.push_back(change);
    while (changes.size() > kMaxHistoryEntries) {
        base = extend_history(base, changes.front());
        changes.pop_front();
    }
}

Result<void> verify_history(const History& history) {
    Digest32 hash = history.base;
    const Change* previous = nullptr;
    for (const Change& change : history.changes) {
        if (previous && change.generation <= previous->generation) {
            return fail(history_disorder, "generation " + std::to_string(change.generation));
        }
        hash = extend_history(hash, change);
        previous = &change;
    }
    if (hash != history.head) return fail(history_mismatch);
    return {};
}

}  // namespace eos::config_tree
