// SPDX-License-Identifier: AGPL-3.0-only
// The three hashes of a configuration tree, and the shape of a path in it.
#pragma once

#include <cstdint>

#include "common/config_tree/leaf.h"
#include "common/crypto/hash.h"

namespace eos::config_tree {

/// Computes leaf, node and root hashes with one hash context: making a context costs more than
/// hashing a node.
/// source: docs/formats/config-tree.md.
class TreeHasher {
  public:
    Digest32 leaf(const Leaf& leaf);
    Digest32 node(const Digest32& left, const Digest32& right);
    /// in: top: of the leaves; empty_top() if there are none.
    Digest32 root(const Scope& scope, std::uint32_t count, const Digest32& top);
    /// SHA-256 of nothing: the top of a tree without leaves.
    Digest32 empty_top();

  private:
    crypto::Sha256 hash_;
};

/// Walks from a leaf to the top, level by level. The split of RFC 9162 §2.1.1 (the left subtree has
/// the largest power of two below the number of leaves) pairs neighbours on each level and carries
/// an odd last node up unchanged, so the shape follows from index and count alone.
class PathWalk {
  public:
    enum class Sibling { kLeft, kRight, kNone };

    /// in: index < count (asserted).
    PathWalk(std::uint32_t index, std::uint32_t count);

    bool at_top() const { return count_ == 1; }
    Sibling sibling() const;
    /// The position of this node on its level.
    std::uint32_t index() const { return index_; }
    void up();

  private:
    std::uint32_t index_;
    std::uint32_t count_;
};

}  // namespace eos::config_tree
