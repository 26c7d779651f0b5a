// SPDX-License-Identifier: AGPL-3.0-only
// AMD's endorsements as pieces of a bundle. For this folder only.
#pragma once

#include <vector>

#include "common/attestation/endorsements/endorsements.h"

namespace eos::attestation::endorsements {

/// The pieces for certificates and lists that were given one by one, by what their names say; who
/// signed them is not looked at. A CA without its root gets AMD's own, if there is one.
/// errors:  bad_bundle (a certificate or list that no kind of piece is for, or two that one piece
///          would be of); those of x509 and of parse_vek_extension.
[[nodiscard]] Result<std::vector<Piece>> amd_pieces(const AmdEndorsements& amd);

}  // namespace eos::attestation::endorsements
