// SPDX-License-Identifier: AGPL-3.0-only
// What the service decides by, from its files.
#pragma once

#include <memory>

#include "trusted/attestd/appraiser.h"
#include "trusted/attestd/callers.h"
#include "trusted/attestd/config.h"

namespace eos::attestd {

/// Reads policy, collateral and signing key.
/// in:      roots: of the built-in policy; a policy of a file must name the same kind.
/// errors:  those of reading the files; wrong_roots; bad_config (a folder without collateral, a
///          policy that evidence without its certificate never satisfies).
[[nodiscard]] Result<std::shared_ptr<const Standing>> load_standing(
    const Config& config, const attestation::verify::Roots& roots);

/// The pieces of several files as one. Of two with one name the later issued one is taken.
/// errors:  those of parse_endorsements(), to_pieces() and dates_of(), with the file.
[[nodiscard]] Result<attestation::endorsements::Endorsements> load_collateral(
    const std::vector<std::string>& paths);

/// When the first statement or list of the service's own collateral ends; nothing if it has none.
/// Certificates are not counted.
std::optional<UnixTime> end_of_collateral(const Standing& standing);

/// The keys of an issuer that are in a file.
/// errors:  those of reading it and of jose::parse_key_set().
[[nodiscard]] Result<KeySetPtr> load_key_set(const std::string& path);

}  // namespace eos::attestd
