// SPDX-License-Identifier: AGPL-3.0-only
// Policies as people keep them in files: JSON, or YAML that is turned into it first.
#pragma once

#include <filesystem>

#include "common/attestation/appraise/policy.h"

namespace eos::client::policy {

/// A policy, and the JSON that says it.
struct PolicyFile {
    attestation::appraise::Policy policy;
    /// As the file has it, without defaults. What decides is the policy and its hash, which is the
    /// same whether the file is JSON or YAML.
    json::Value json;
};

/// Reads a file whose name ends in .yaml or .yml as YAML, every other as JSON. Both go through
/// parse_policy().
/// errors:  file_unreadable; bad_yaml; those of parse_policy(), of YAML with line and column, and
///          where a value is a number or a word of YAML's that was meant as text, "quote it". The
///          detail begins with the file.
/// source:  docs/formats/policy.md.
[[nodiscard]] Result<PolicyFile> read_policy_file(const std::filesystem::path& path);

}  // namespace eos::client::policy
