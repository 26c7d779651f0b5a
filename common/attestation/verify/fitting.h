// SPDX-License-Identifier: AGPL-3.0-only
// Which pieces of a bundle a piece of evidence needs. For this folder only.
#pragma once

#include "common/attestation/endorsements/endorsements.h"
#include "common/attestation/verify/pck_chain.h"

namespace eos::attestation::verify {

/// The kinds of statement that a TEE's evidence is judged by.
struct StatementKinds {
    endorsements::PieceKind tcb_info;
    endorsements::PieceKind qe_identity;

    friend bool operator==(const StatementKinds&, const StatementKinds&) = default;
};

/// The endorsements for the platform that a PCK chain describes. The chain is not verified yet: one
/// that lies gets pieces that do not fit it, and fails. Null: there is none that can be read.
endorsements::Endorsements fitting_endorsements(const PckChain* pck,
                                                const endorsements::Endorsements& all,
                                                const StatementKinds& kinds);

}  // namespace eos::attestation::verify
