// SPDX-License-Identifier: AGPL-3.0-only
// What Intel's statements and lists say by themselves: read once, each signature looked at once,
// before any evidence is held against them. For this folder only.
#pragma once

#include <optional>

#include "common/attestation/endorsements/endorsements.h"
#include "common/attestation/verify/pck_chain.h"
#include "common/attestation/verify/revocation.h"

namespace eos::attestation::verify {

/// A signed statement as far as it can be judged without evidence and without a clock.
template <typename Content>
struct Statement {
    Result<SignerChain> signer;
    Result<void> chain;      ///< of check_signer_chain(); means nothing without a signer
    Result<void> signature;  ///< the signer's; means nothing without a signer
    Result<Content> content;
};

/// The collateral of one platform and what was found out about it. Nothing here depends on the
/// time.
struct IntelCollateral {
    std::optional<Statement<endorsements::TcbInfo>> tcb_info;
    std::optional<Statement<endorsements::QeIdentity>> qe_identity;
    // Judged under the CAs of a PCK chain: absent without one, or if not given.
    std::optional<RevocationList> root_crl;
    std::optional<RevocationList> pck_crl;
};

/// in: fitting: what is left after fitting_endorsements(). pck: of the evidence; null: it has none.
IntelCollateral read_collateral(const endorsements::Endorsements& fitting, const PckChain* pck,
                                const Roots& roots, Signatures& signatures);

}  // namespace eos::attestation::verify
