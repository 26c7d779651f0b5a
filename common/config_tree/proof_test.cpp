// SPDX-License-Identifier: AGPL-3.0-only
#include "common/config_tree/proof.h"

#include <gtest/gtest.h>

#include "common/config_tree/tree.h"

namespace eos::config_tree {
namespace {

// Leaves b, d, f, … so that there is a gap before, between and after them.
Tree make_tree(std::uint32_t count) {
    TreeBuilder builder(Scope::policy());
    for (std::uint32_t i = 0; i < count; ++i) {
        builder.add(*Name::from({std::string(1, static_cast<char>('b' + 2 * i))}), Value::u64(i));
    }
    return *std::move(builder).build();
}

Name letter(std::uint32_t i) {
    return *Name::from({std::string(1, static_cast<char>('a' + i))});
}

ExpectedRoot expected(const Tree& tree) {
    return {tree.scope(), tree.root()};
}

template <typename T>
std::string_view outcome(const Result<T>& result) {
    return result.has_value() ? "accepted" : result.error().code().name;
}

TEST(ConfigTreeProof, EveryLeafAndGapOfEverySmallTree) {
    for (std::uint32_t count = 0; count <= 12; ++count) {
        Tree tree = make_tree(count);
        for (std::uint32_t i = 0; i <= 2 * count; ++i) {
            Name name = letter(i);
            if (i % 2 == 1) {
                InclusionProof proof = *tree.prove_inclusion(name);
                EXPECT_EQ(*verify_inclusion(proof, expected(tree), name), Value::u64(i / 2));
                EXPECT_EQ(outcome(tree.prove_absence(name)), "leaf_exists");
            } else {
                AbsenceProof proof = *tree.prove_absence(name);
                EXPECT_EQ(outcome(verify_absence(proof, expected(tree), name)), "accepted");
                EXPECT_EQ(outcome(tree.prove_inclusion(name)), "no_such_leaf");
            }
        }
    }
}

struct InclusionCase {
    std::string_view code;
    void (*mutate)(InclusionProof&);
};

TEST(ConfigTreeProof, MutatedInclusion) {
    static const std::vector<InclusionCase> cases{
        {"accepted", [](InclusionProof&) {}},
        {"wrong_scope", [](InclusionProof& p) { p.scope = Scope::platform(); }},
        {"wrong_scope", [](InclusionProof& p) { p.scope = *Scope::workload("a"); }},
        {"wrong_name", [](InclusionProof& p) { p.leaf.leaf.name = letter(3); }},
        {"count_out_of_range", [](InclusionProof& p) { p.count = 65537; }},
        {"count_out_of_range", [](InclusionProof& p) { p.count = 0xFFFFFFFF; }},
        {"index_out_of_range", [](InclusionProof& p) { p.leaf.index = 7; }},
        {"index_out_of_range", [](InclusionProof& p) { p.count = 0; }},
        {"wrong_path_length", [](InclusionProof& p) { p.leaf.path.pop_back(); }},
        {"wrong_path_length", [](InclusionProof& p) { p.leaf.path.emplace_back(); }},
        {"wrong_path_length", [](InclusionProof& p) { p.leaf.path.clear(); }},
        {"wrong_path_length", [](InclusionProof& p) { p.count = 9; }},
        {"wrong_path_length", [](InclusionProof& p) { p.leaf.index = 6; }},
        {"root_mismatch", [](InclusionProof& p) { p.count = 8; }},
        {"root_mismatch", [](InclusionProof& p) { p.leaf.index = 1; }},
        {"root_mismatch", [](InclusionProof& p) { p.leaf.leaf.value = Value::u64(3); }},
        {"root_mismatch",
         [](InclusionProof& p) { p.leaf.leaf.value = *Value::bytes(Bytes(8, std::byte{2})); }},
        {"root_mismatch", [](InclusionProof& p) { p.leaf.path[0][0] ^= std::byte{1}; }},
        {"root_mismatch", [](InclusionProof& p) { std::swap(p.leaf.path[0], p.leaf.path[1]); }},
    };
    Tree tree = make_tree(7);
    for (const InclusionCase& c : cases) {
        InclusionProof proof = *tree.prove_inclusion(letter(5));
        c.mutate(proof);
        EXPECT_EQ(outcome(verify_inclusion(proof, expected(tree), letter(5))), c.code);
    }
}

TEST(ConfigTreeProof, ANodeIsNoLeafAndARootIsNoTop) {
    Tree tree = make_tree(2);
    InclusionProof proof = *tree.prove_inclusion(letter(1));
    proof.count = 1;
    proof.leaf.path.clear();
    EXPECT_EQ(outcome(verify_inclusion(proof, expected(tree), letter(1))), "root_mismatch");
}

struct AbsenceCase {
    std::string_view code;
    void (*mutate)(AbsenceProof&, const Tree&);
};

ProvedLeaf proved(const Tree& tree, std::uint32_t i) {
    return tree.prove_inclusion(letter(i))->leaf;
}

TEST(ConfigTreeProof, MutatedAbsenceInTheMiddle) {
    using P = AbsenceProof;
    static const std::vector<AbsenceCase> cases{
        {"accepted", [](P&, const Tree&) {}},
        {"wrong_scope", [](P& p, const Tree&) { p.scope = Scope::platform(); }},
        {"wrong_name", [](P& p, const Tree&) { p.name = letter(2); }},
        {"count_out_of_range", [](P& p, const Tree&) { p.count = 65537; }},
        {"neighbour_missing", [](P& p, const Tree&) { p.before.reset(); }},
        {"neighbour_missing", [](P& p, const Tree&) { p.after.reset(); }},
        {"neighbour_missing",
         [](P& p, const Tree&) {
             p.before.reset();
             p.after.reset();
         }},
        {"not_a_gap", [](P& p, const Tree&) { std::swap(p.before, p.after); }},
        {"not_a_gap", [](P& p, const Tree&) { p.after = p.before; }},
        {"not_a_gap", [](P& p, const Tree&) { p.count = 0; }},
        {"not_adjacent", [](P& p, const Tree& t) { p.before = proved(t, 1); }},
        {"not_adjacent", [](P& p, const Tree& t) { p.after = proved(t, 7); }},
        {"not_adjacent", [](P& p, const Tree&) { p.after->index = 0xFFFFFFFF; }},
        {"not_adjacent",
         [](P& p, const Tree&) {
             p.before->index = 0xFFFFFFFF;
             p.after->index = 0;
         }},
        {"root_mismatch", [](P& p, const Tree&) { p.before->leaf.value = Value::u64(9); }},
        {"root_mismatch", [](P& p, const Tree&) { p.after->path[0][5] ^= std::byte{4}; }},
        {"root_mismatch",
         [](P& p, const Tree& t) {
             p.before = proved(t, 1);
             p.after->index = 1;
         }},
        {"wrong_path_length", [](P& p, const Tree&) { p.before->path.pop_back(); }},
        {"wrong_path_length", [](P& p, const Tree&) { p.count = 2; }},
    };
    Tree tree = make_tree(7);
    for (const AbsenceCase& c : cases) {
        AbsenceProof proof = *tree.prove_absence(letter(4));
        c.mutate(proof, tree);
        EXPECT_EQ(outcome(verify_absence(proof, expected(tree), letter(4))), c.code);
    }
}

// The name of a leaf that exists must not be proved absent by any pair of other leaves.
TEST(ConfigTreeProof, AnExistingLeafCannotBeProvedAbsent) {
    Tree tree = make_tree(7);
    for (std::uint32_t target = 1; target < 14; target += 2) {
        for (std::uint32_t i = 1; i <= 15; i += 2) {
            for (std::uint32_t j = 1; j <= 15; j += 2) {
                AbsenceProof proof{tree.scope(), 7, letter(target), {}, {}};
                if (i < 14) proof.before = proved(tree, i);
                if (j < 14) proof.after = proved(tree, j);
                EXPECT_NE(outcome(verify_absence(proof, expected(tree), letter(target))),
                          "accepted");
            }
        }
    }
}

TEST(ConfigTreeProof, AbsenceAtTheEnds) {
    Tree tree = make_tree(5);
    AbsenceProof first = *tree.prove_absence(letter(0));
    EXPECT_FALSE(first.before.has_value());
    first.after = proved(tree, 3);
    EXPECT_EQ(outcome(verify_absence(first, expected(tree), letter(0))), "neighbour_missing");
    AbsenceProof last = *tree.prove_absence(letter(12));
    EXPECT_FALSE(last.after.has_value());
    last.before = proved(tree, 7);
    EXPECT_EQ(outcome(verify_absence(last, expected(tree), letter(12))), "neighbour_missing");
    last.before = proved(tree, 9);
    last.after = proved(tree, 9);
    last.after->index = 5;
    last.after->leaf.name = letter(13);
    EXPECT_EQ(outcome(verify_absence(last, expected(tree), letter(12))), "index_out_of_range");
}

TEST(ConfigTreeProof, AbsenceInAnEmptyTree) {
    Tree empty = make_tree(0);
    Tree full = make_tree(1);
    AbsenceProof proof = *empty.prove_absence(letter(0));
    EXPECT_EQ(outcome(verify_absence(proof, expected(empty), letter(0))), "accepted");
    EXPECT_EQ(outcome(verify_absence(proof, expected(full), letter(0))), "root_mismatch");
    proof.after = proved(full, 1);
    EXPECT_EQ(outcome(verify_absence(proof, expected(empty), letter(0))), "not_a_gap");
}

}  // namespace
}  // namespace eos::config_tree
