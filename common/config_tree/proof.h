// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "common/config_tree/leaf.h"

namespace eos::config_tree {

inline constexpr Code wrong_scope{"common/config_tree", "wrong_scope",
                                  "the proof is for another tree"};
inline constexpr Code wrong_name{"common/config_tree", "wrong_name",
                                 "the proof is for another name"};
inline constexpr Code count_out_of_range{"common/config_tree", "count_out_of_range",
                                         "a tree has at most 65536 leaves"};
inline constexpr Code index_out_of_range{"common/config_tree", "index_out_of_range",
                                         "the leaf index is not below the number of leaves"};
inline constexpr Code wrong_path_length{"common/config_tree", "wrong_path_length",
                                        "the path does not have the length that index and number "
                                        "of leaves demand"};
inline constexpr Code root_mismatch{"common/config_tree", "root_mismatch",
                                    "the proof leads to another root"};
inline constexpr Code neighbour_missing{"common/config_tree", "neighbour_missing",
                                        "an absence proof lacks a leaf beside the gap"};
inline constexpr Code not_adjacent{"common/config_tree", "not_adjacent",
                                   "the leaves of an absence proof are not neighbours"};
inline constexpr Code not_a_gap{"common/config_tree", "not_a_gap",
                                "the name does not lie between the leaves of an absence proof"};

inline constexpr std::uint32_t kMaxLeaves = 65536;
inline constexpr std::size_t kMaxPathNodes = 16;

/// A leaf, its place among all leaves, and the siblings from it to the top.
struct ProvedLeaf {
    std::uint32_t index = 0;
    Leaf leaf;
    std::vector<Digest32> path;  ///< the deepest sibling first

    friend bool operator==(const ProvedLeaf&, const ProvedLeaf&) = default;
};

/// "This leaf is in that tree."
struct InclusionProof {
    Scope scope;
    std::uint32_t count = 0;  ///< leaves in the tree
    ProvedLeaf leaf;

    friend bool operator==(const InclusionProof&, const InclusionProof&) = default;
};

/// "No leaf of that tree has this name": the leaves on both sides of where it would stand. Holds
/// only for roots of measured code that sorts its leaves; another producer could leave them
/// unsorted.
struct AbsenceProof {
    Scope scope;
    std::uint32_t count = 0;
    Name name;
    std::optional<ProvedLeaf> before;  ///< absent if the name would come first
    std::optional<ProvedLeaf> after;   ///< absent if it would come last

    friend bool operator==(const AbsenceProof&, const AbsenceProof&) = default;
};

/// A root, and what it is claimed to be the root of.
struct ExpectedRoot {
    Scope scope;
    Digest32 root;
};

/// in:      expected: from an attested certificate; name: what the caller asked about.
/// returns: the value that the tree holds under `name`.
/// errors:  wrong_scope, wrong_name, count_out_of_range, index_out_of_range, wrong_path_length,
///          root_mismatch.
/// bound:   17 hashes.
[[nodiscard]] Result<Value> verify_inclusion(const InclusionProof& proof,
                                             const ExpectedRoot& expected, const Name& name);

/// errors:  wrong_scope, wrong_name, count_out_of_range, neighbour_missing (also: the only one is
///          neither the first nor the last leaf), not_adjacent, not_a_gap, index_out_of_range,
///          wrong_path_length, root_mismatch.
/// bound:   34 hashes.
[[nodiscard]] Result<void> verify_absence(const AbsenceProof& proof, const ExpectedRoot& expected,
                                          const Name& name);

}  // namespace eos::config_tree
