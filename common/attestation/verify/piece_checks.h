// SPDX-License-Identifier: AGPL-3.0-only
// What the checks of a bundle's pieces share. For this folder only.
#pragma once

#include <string>
#include <vector>

#include "common/attestation/endorsements/bundle.h"
#include "common/attestation/verify/check.h"
#include "common/attestation/verify/roots.h"

namespace eos::attestation::verify {

/// What a piece is checked with.
struct PieceScope {
    const std::vector<endorsements::Piece>& pieces;  ///< all of the bundle
    const Roots& roots;
    UnixTime time;
    std::int64_t max_age_s = 0;
};

/// A check of a piece, with source and remedy.
Subject piece_subject(const std::string& id);

/// Whether the certificate is one of the roots. errors: bad_chain.
[[nodiscard]] Result<void> check_known_root(const x509::Certificate& root, const PieceScope& scope);

/// Whether the piece holds at the scope's time and is young enough.
/// errors: outside_validity, those of endorsements::dates_of.
[[nodiscard]] Result<void> check_dates(const endorsements::Piece& piece, const PieceScope& scope);

/// The outcome, if what it needs is given: nothing that a piece says counts before it is known who
/// signed it.
Check after(const Result<void>& needed, const Subject& subject, const Result<void>& outcome);

/// The checks of a piece of AMD's.
std::vector<Check> check_amd_piece(const std::string& id, const endorsements::Piece& piece,
                                   const PieceScope& scope);

}  // namespace eos::attestation::verify
