// SPDX-License-Identifier: AGPL-3.0-only
#include "common/config_tree/tree.h"

#include <algorithm>

#include "common/config_tree/hashing.h"

namespace eos::config_tree {

Tree::Tree(Scope scope, std::vector<Leaf> leaves)
    : scope_(std::move(scope)), leaves_(std::move(leaves)) {
    TreeHasher hasher;
    Digest32 top = hasher.empty_top();
    if (!leaves_.empty()) {
        std::vector<Digest32>& hashes = levels_.emplace_back();
        hashes.reserve(leaves_.size());
        for (const Leaf& leaf : leaves_) hashes.push_back(hasher.leaf(leaf));
        while (levels_.back().size() > 1) {
            const std::vector<Digest32>& below = levels_.back();
            std::vector<Digest32> level;
            level.reserve(below.size() / 2 + 1);
            for (std::size_t i = 0; i + 1 < below.size(); i += 2) {
                level.push_back(hasher.node(below[i], below[i + 1]));
            }
            if (below.size() % 2 == 1) level.push_back(below.back());
            levels_.push_back(std::move(level));
        }
        top = levels_.back().front();
    }
    root_ = hasher.root(scope_, static_cast<std::uint32_t>(leaves_.size()), top);
}

std::size_t Tree::lower_bound(const Name& name) const {
    auto it = std::ranges::lower_bound(leaves_, name, {}, &Leaf::name);
    return static_cast<std::size_t>(it - leaves_.begin());
}

const Leaf* Tree::find(const Name& name) const {
    std::size_t index = lower_bound(name);
    return index < leaves_.size() && leaves_[index].name == name ? &leaves_[index] : nullptr;
}

ProvedLeaf Tree::prove(std::size_t index) const {
    ProvedLeaf out{static_cast<std::uint32_t>(index), leaves_[index], {}};
    PathWalk walk(out.index, static_cast<std::uint32_t>(leaves_.size()));
    for (std::size_t level = 0; !walk.at_top(); walk.up(), ++level) {
        if (walk.sibling() == PathWalk::Sibling::kNone) continue;
        out.path.push_back(levels_[level][walk.index() ^ 1]);
    }
    return out;
}

Result<InclusionProof> Tree::prove_inclusion(const Name& name) const {
    if (!find(name)) return fail(no_such_leaf, name.text());
    return InclusionProof{scope_, static_cast<std::uint32_t>(leaves_.size()),
                          prove(lower_bound(name))};
}

Result<AbsenceProof> Tree::prove_absence(const Name& name) const {
    if (find(name)) return fail(leaf_exists, name.text());
    AbsenceProof proof{scope_, static_cast<std::uint32_t>(leaves_.size()), name, {}, {}};
    std::size_t next = lower_bound(name);
    if (next > 0) proof.before = prove(next - 1);
    if (next < leaves_.size()) proof.after = prove(next);
    return proof;
}

Result<Tree> TreeBuilder::build() && {
    if (leaves_.size() > kMaxLeaves) {
        return fail(too_many_leaves, std::to_string(leaves_.size()));
    }
    // Most builders add in order, and comparing names costs more than hashing them.
    if (!std::ranges::is_sorted(leaves_, {}, &Leaf::name)) {
        std::ranges::sort(leaves_, {}, &Leaf::name);
    }
    auto twice = std::ranges::adjacent_find(leaves_, {}, &Leaf::name);
    if (twice != leaves_.end()) return fail(duplicate_name, twice->name.text());
    return Tree(std::move(scope_), std::move(leaves_));
}

std::string Difference::display() const {
    if (!before) return "+ " + name.text() + ": " + after->display();
    if (!after) return "- " + name.text() + ": " + before->display();
    return name.text() + ": " + before->display() + " -> " + after->display();
}

std::vector<Difference> diff(const Tree& before, const Tree& after) {
    std::vector<Difference> out;
    auto a = before.leaves().begin();
    auto b = after.leaves().begin();
    while (a != before.leaves().end() || b != after.leaves().end()) {
        bool only_a =
            b == after.leaves().end() || (a != before.leaves().end() && a->name < b->name);
        bool only_b = !only_a && (a == before.leaves().end() || b->name < a->name);
        if (only_a) {
            out.push_back({a->name, a->value, {}});
            ++a;
        } else if (only_b) {
            out.push_back({b->name, {}, b->value});
            ++b;
        } else {
            if (a->value != b->value) out.push_back({a->name, a->value, b->value});
            ++a;
            ++b;
        }
    }
    return out;
}

}  // namespace eos::config_tree
