// SPDX-License-Identifier: AGPL-3.0-only
#include "common/attestation/verify/fitting.h"

namespace eos::attestation::verify {

endorsements::Endorsements fitting_endorsements(const PckChain* pck,
                                                const endorsements::Endorsements& all,
                                                const StatementKinds& kinds) {
    if (all.pieces.empty()) return all;
    endorsements::IntelPlatform platform{.tcb_info = kinds.tcb_info,
                                         .qe_identity = kinds.qe_identity,
                                         .fmspc = {},
                                         .pck_issuer = {}};
    if (pck != nullptr) {
        platform.pck_issuer = pck->leaf.issuer_tlv();
        if (pck->platform.has_value()) platform.fmspc = pck->platform->fmspc;
    }
    return endorsements::select(all, platform);
}

}  // namespace eos::attestation::verify
