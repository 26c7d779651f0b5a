// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/config_tree/leaf.h"
#include "common/config_tree/proof.h"

namespace eos::config_tree {

inline constexpr Code duplicate_name{"common/config_tree", "duplicate_name",
                                     "two leaves have the same name"};
inline constexpr Code too_many_leaves{"common/config_tree", "too_many_leaves",
                                      "a tree has at most 65536 leaves"};
inline constexpr Code no_such_leaf{"common/config_tree", "no_such_leaf",
                                   "the tree has no leaf of that name"};
inline constexpr Code leaf_exists{"common/config_tree", "leaf_exists",
                                  "the tree has a leaf of that name"};

/// A finished configuration tree: its leaves in order, every hash, proofs. Immutable; a change of
/// configuration makes a new one.
class Tree {
  public:
    const Scope& scope() const { return scope_; }
    const Digest32& root() const { return root_; }
    const std::vector<Leaf>& leaves() const { return leaves_; }

    /// The leaf of that name, or nullptr.
    const Leaf* find(const Name& name) const;

    /// errors: no_such_leaf.
    [[nodiscard]] Result<InclusionProof> prove_inclusion(const Name& name) const;

    /// errors: leaf_exists.
    [[nodiscard]] Result<AbsenceProof> prove_absence(const Name& name) const;

  private:
    friend class TreeBuilder;
    Tree(Scope scope, std::vector<Leaf> leaves);
    std::size_t lower_bound(const Name& name) const;
    ProvedLeaf prove(std::size_t index) const;

    Scope scope_;
    std::vector<Leaf> leaves_;
    std::vector<std::vector<Digest32>> levels_;  // leaf hashes first; empty for an empty tree
    Digest32 root_{};
};

/// Collects leaves in any order.
class TreeBuilder {
  public:
    explicit TreeBuilder(Scope scope) : scope_(std::move(scope)) {}

    TreeBuilder& add(Name name, Value value) {
        leaves_.push_back({std::move(name), std::move(value)});
        return *this;
    }

    /// Sorts the leaves and hashes them.
    /// errors: duplicate_name, too_many_leaves.
    /// bound:  count·log(count) comparisons, 2·count hashes.
    [[nodiscard]] Result<Tree> build() &&;

  private:
    Scope scope_;
    std::vector<Leaf> leaves_;
};

/// One name whose leaf is not the same in two trees.
struct Difference {
    Name name;
    std::optional<Value> before;  ///< absent: the leaf was added
    std::optional<Value> after;   ///< absent: the leaf was removed

    /// "drain_time_s: 30 -> 60", "+ apps.hello.digest: …", "- …".
    std::string display() const;
};

/// The names by which two trees differ, in order. Scopes are not compared.
std::vector<Difference> diff(const Tree& before, const Tree& after);

}  // namespace eos::config_tree
