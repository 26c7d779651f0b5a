// SPDX-License-Identifier: AGPL-3.0-only
// Which pieces of a bundle a piece of evidence needs. For this folder only.
#pragma once

#include <string_view>

#include "common/attestation/endorsements/endorsements.h"

namespace eos::attestation::verify {

/// The kinds of statement that a TEE's evidence is judged by.
struct StatementKinds {
    endorsements::PieceKind tcb_info;
    endorsements::PieceKind qe_identity;
};

/// The endorsements for the platform that a PCK chain describes. The chain is not verified yet: one
/// that lies gets pieces that do not fit it, and fails.
endorsements::Endorsements fitting_endorsements(std::string_view pck_chain_pem,
                                                const endorsements::Endorsements& all,
                                                const StatementKinds& kinds);

}  // namespace eos::attestation::verify
