// SPDX-License-Identifier: AGPL-3.0-only
// Whether each piece of a bundle is its vendor's and holds now, without any evidence.
#pragma once

#include <vector>

#include "common/attestation/endorsements/bundle.h"
#include "common/attestation/verify/check.h"
#include "common/attestation/verify/roots.h"

namespace eos::attestation::verify {

/// One group for each piece, "bundle.<kind>" or "bundle.<kind>.<key>", with the checks `chain`
/// (roles, signatures, up to one of the roots), `signature`, `dates` and, of TCB info, `platform`
/// (the key is the statement's FMSPC).
/// in:      time: all of it must hold then.
/// returns: a group "bundle"; without pieces it is not evaluated.
/// source:  docs/formats/bundle.md.
/// bound:   a few signature verifications a piece.
Check check_pieces(const std::vector<endorsements::Piece>& pieces, const Roots& roots,
                   UnixTime time);

}  // namespace eos::attestation::verify
