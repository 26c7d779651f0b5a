// SPDX-License-Identifier: AGPL-3.0-only
// Vendors' collateral in one file.
#pragma once

#include <filesystem>

#include "common/attestation/endorsements/bundle.h"

namespace eos::client {

inline constexpr Code no_bundle{"client", "no_bundle", "no bundle"};

/// errors: file_unreadable; no_bundle (JSON of another kind: how to make one of it); those of
///         parse_bundle().
[[nodiscard]] Result<attestation::endorsements::Bundle> read_bundle(
    const std::filesystem::path& path);

}  // namespace eos::client
