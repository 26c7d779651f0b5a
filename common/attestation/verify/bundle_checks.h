// SPDX-License-Identifier: AGPL-3.0-only
// Whether each piece of a bundle is its vendor's and holds now, without any evidence.
#pragma once

#include <vector>

#include "common/attestation/endorsements/bundle.h"
#include "common/attestation/verify/check.h"
#include "common/attestation/verify/roots.h"

namespace eos::attestation::verify {

/// When the pieces must hold, and how old they may be.
struct PieceTimes {
    UnixTime time;
    /// Of statements and lists, since they were issued; 0: until their own end.
    std::int64_t max_age_s = 0;
};

/// One group for each piece, "bundle.<kind>" or "bundle.<kind>.<key>", with those of the checks
/// `chain` (roles, signatures, up to one of the roots), `signature`, `dates` and `platform` (it is
/// about what kind and key say) that it can have.
/// returns: a group "bundle"; without pieces it is not evaluated.
/// source:  docs/formats/bundle.md.
/// bound:   a few signature verifications a piece.
Check check_pieces(const std::vector<endorsements::Piece>& pieces, const Roots& roots,
                   const PieceTimes& times);

}  // namespace eos::attestation::verify
