// SPDX-License-Identifier: AGPL-3.0-only
// How old a bundle's pieces are, for people and programs.
#pragma once

#include <string>

#include "common/attestation/endorsements/bundle.h"
#include "common/json/json.h"

namespace eos::client::cli {

/// What counts as too old.
struct AgeLimits {
    UnixTime now;
    unsigned max_age_days = 0;  ///< of statements and lists; 0: until their own end
    unsigned ahead_days = 0;
};

/// What is to be done about a piece.
enum class PieceState {
    current,
    due,         ///< ends within ahead_days
    too_old,     ///< issued more than max_age_days ago
    expired,     ///< its own end has passed
    not_yet,     ///< issued in the future
    unreadable,  ///< not what its kind says
};

/// The worst that is true of the piece.
PieceState state_of(const attestation::endorsements::Piece& piece, const AgeLimits& limits);
/// Whether verification would suffer: everything but current and due.
bool has_stale_piece(const attestation::endorsements::Bundle& bundle, const AgeLimits& limits);

/// One line for each piece and one for its source.
std::string bundle_text(const attestation::endorsements::Bundle& bundle, const AgeLimits& limits);
/// The same for a program.
json::Value bundle_json(const attestation::endorsements::Bundle& bundle, const AgeLimits& limits);

}  // namespace eos::client::cli
