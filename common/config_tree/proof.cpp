// SPDX-License-Identifier: AGPL-3.0-only
#include "common/config_tree/proof.h"

#include "common/config_tree/hashing.h"

namespace eos::config_tree {
namespace {

struct Shape {
    const Scope& scope;
    std::uint32_t count;
};

Result<void> check_subject(const Shape& shape, const ExpectedRoot& expected) {
    if (shape.scope != expected.scope) {
        return fail(wrong_scope, shape.scope.display() + ", expected " + expected.scope.display());
    }
    if (shape.count > kMaxLeaves) return fail(count_out_of_range, std::to_string(shape.count));
    return {};
}

Result<void> check_name(const Name& found, const Name& asked) {
    if (found != asked) return fail(wrong_name, found.text() + ", expected " + asked.text());
    return {};
}

Result<void> verify_leaf(const ProvedLeaf& proved, const Shape& shape, const Digest32& root) {
    if (proved.index >= shape.count) {
        return fail(index_out_of_range,
                    std::to_string(proved.index) + " of " + std::to_string(shape.count));
    }
    TreeHasher hasher;
    Digest32 hash = hasher.leaf(proved.leaf);
    std::size_t used = 0;
    for (PathWalk walk(proved.index, shape.count); !walk.at_top(); walk.up()) {
        if (walk.sibling() == PathWalk::Sibling::kNone) continue;
        if (used == proved.path.size()) return fail(wrong_path_length, "too short");
        const Digest32& sibling = proved.path[used++];
        hash = walk.sibling() == PathWalk::Sibling::kLeft ? hasher.node(sibling, hash)
                                                          : hasher.node(hash, sibling);
    }
    if (used != proved.path.size()) return fail(wrong_path_length, "too long");
    if (hasher.root(shape.scope, shape.count, hash) != root) {
        return fail(root_mismatch, proved.leaf.name.text());
    }
    return {};
}

// The leaves must leave no room for another one between them, or before the first, or after the
// last.
Result<void> check_gap(const AbsenceProof& proof) {
    if (proof.count == 0 && (proof.before || proof.after)) {
        return fail(not_a_gap, "a leaf beside a gap in a tree without leaves");
    }
    if (proof.before && !(proof.before->leaf.name < proof.name)) {
        return fail(not_a_gap, proof.before->leaf.name.text() + " does not come before it");
    }
    if (proof.after && !(proof.name < proof.after->leaf.name)) {
        return fail(not_a_gap, proof.after->leaf.name.text() + " does not come after it");
    }
    if (proof.before && proof.after) {
        if (proof.before->index >= proof.count || proof.after->index != proof.before->index + 1) {
            return fail(not_adjacent, std::to_string(proof.before->index) + " and " +
                                          std::to_string(proof.after->index));
        }
        return {};
    }
    if (proof.before) {
        if (proof.before->index + 1 == proof.count) return {};
        return fail(neighbour_missing, "nothing after a leaf that is not the last");
    }
    if (proof.after) {
        if (proof.after->index == 0) return {};
        return fail(neighbour_missing, "nothing before a leaf that is not the first");
    }
    if (proof.count != 0) return fail(neighbour_missing, "the tree has leaves");
    return {};
}

}  // namespace

Result<Value> verify_inclusion(const InclusionProof& proof, const ExpectedRoot& expected,
                               const Name& name) {
    Shape shape{proof.scope, proof.count};
    EOS_TRY(check_subject(shape, expected));
    EOS_TRY(check_name(proof.leaf.leaf.name, name));
    EOS_TRY(verify_leaf(proof.leaf, shape, expected.root));
    return proof.leaf.leaf.value;
}

Result<void> verify_absence(const AbsenceProof& proof, const ExpectedRoot& expected,
                            const Name& name) {
    Shape shape{proof.scope, proof.count};
    EOS_TRY(check_subject(shape, expected));
    EOS_TRY(check_name(proof.name, name));
    EOS_TRY(check_gap(proof));
    if (proof.count == 0) {
        TreeHasher hasher;
        if (hasher.root(proof.scope, 0, hasher.empty_top()) == expected.root) return {};
        return fail(root_mismatch, "the tree is not empty");
    }
    if (proof.before) EOS_TRY(verify_leaf(*proof.before, shape, expected.root));
    if (proof.after) EOS_TRY(verify_leaf(*proof.after, shape, expected.root));
    return {};
}

}  // namespace eos::config_tree
