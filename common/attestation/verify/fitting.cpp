// SPDX-License-Identifier: AGPL-3.0-only
#include "common/attestation/verify/fitting.h"

#include "common/attestation/endorsements/pck.h"
#include "common/attestation/verify/pck_chain.h"

namespace eos::attestation::verify {

endorsements::Endorsements fitting_endorsements(std::string_view pck_chain_pem,
                                                const endorsements::Endorsements& all,
                                                const StatementKinds& kinds) {
    if (all.pieces.empty()) return all;
    endorsements::IntelPlatform platform{.tcb_info = kinds.tcb_info,
                                         .qe_identity = kinds.qe_identity,
                                         .fmspc = {},
                                         .pck_issuer = {}};
    Result<PckChain> chain = parse_pck_chain(pck_chain_pem);
    if (chain.has_value()) {
        platform.pck_issuer = chain->leaf.issuer_tlv();
        Result<endorsements::PckExtension> extension =
            endorsements::parse_pck_extension(chain->leaf);
        if (extension.has_value()) platform.fmspc = extension->fmspc;
    }
    return endorsements::select(all, platform);
}

}  // namespace eos::attestation::verify
