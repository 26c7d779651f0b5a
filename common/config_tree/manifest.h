// SPDX-License-Identifier: AGPL-3.0-only
// Trees, proofs and histories as JSON texts, as docs/formats/config-tree.md describes them.
#pragma once

#include <string>

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/config_tree/history.h"
#include "common/config_tree/proof.h"
#include "common/config_tree/tree.h"

namespace eos::config_tree {

inline constexpr Code unsorted_leaves{"common/config_tree", "unsorted_leaves",
                                      "the leaves of a manifest are not in the order of names"};
inline constexpr Code bad_kind{"common/config_tree", "bad_kind", "not a known kind of value"};
inline constexpr Code bad_format{"common/config_tree", "bad_format",
                                 "not a configuration tree document of the expected format"};

inline constexpr std::size_t kMaxManifestBytes = 16 * 1024 * 1024;
inline constexpr std::size_t kMaxProofBytes = 512 * 1024;
inline constexpr std::size_t kMaxHistoryBytes = 512 * 1024;

/// The whole tree: every leaf with its value, a salted one with its value hash. Deterministic; the
/// root is not in it, because a reader computes it.
std::string encode_manifest(const Tree& tree);

/// Reads a manifest and computes its tree, whose root() is what the manifest proves.
/// in:      at most kMaxManifestBytes; any white space and member order; not retained.
/// errors:  those of common/json, bad_format, bad_scope, bad_name, bad_kind, bad_value,
///          unsorted_leaves, duplicate_name, too_many_leaves, bad_encoding.
[[nodiscard]] Result<Tree> parse_manifest(ByteView text);

/// Deterministic, as the manifest.
std::string encode_proof(const InclusionProof& proof);
std::string encode_proof(const AbsenceProof& proof);

/// Syntax only: nothing is verified.
/// in:      at most kMaxProofBytes.
/// errors:  those of common/json, bad_format (also: the other sort of proof), bad_scope, bad_name,
///          bad_kind, bad_value, bad_encoding.
[[nodiscard]] Result<InclusionProof> parse_inclusion_proof(ByteView text);
[[nodiscard]] Result<AbsenceProof> parse_absence_proof(ByteView text);

/// Deterministic, as the manifest.
std::string encode_history(const History& history);

/// Syntax only: verify_history() checks the chain.
/// in:      at most kMaxHistoryBytes.
/// errors:  those of common/json, bad_format, bad_encoding, bad_time.
[[nodiscard]] Result<History> parse_history(ByteView text);

}  // namespace eos::config_tree
