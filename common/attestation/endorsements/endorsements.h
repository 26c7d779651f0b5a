// SPDX-License-Identifier: AGPL-3.0-only
// What vendors sign about evidence, as it travels: nothing here is trusted before verify says so.
#pragma once

#include <optional>
#include <string>

#include "common/attestation/endorsements/tcb.h"
#include "common/base/bytes.h"
#include "common/base/result.h"

namespace eos::attestation::endorsements {

/// A JSON object that a vendor signed: the signature covers these exact bytes.
struct SignedObject {
    Bytes body;
    ByteArray<64> signature{};     ///< ECDSA P-256, r ‖ s
    std::string issuer_chain_pem;  ///< signer, root
};

/// The Endorsements of one piece of Intel evidence. What is missing is not evaluated.
struct Endorsements {
    std::optional<Bytes> root_ca_crl;  ///< DER
    std::optional<Bytes> pck_crl;      ///< DER, of the CA that issued the PCK certificate
    std::optional<SignedObject> tcb_info;
    std::optional<SignedObject> qe_identity;
};

/// Reads the JSON collateral object in use among verifiers: string members root_ca_crl and pck_crl
/// (hex DER), tcb_info, tcb_info_signature (hex r ‖ s), tcb_info_issuer_chain (PEM), and the same
/// three for qe_identity; a member that is absent or null is missing. Syntax of the frame only.
/// errors:  those of json::parse; json::wrong_type, out_of_range, missing_member (an object without
///          its signature or chain), unknown_member; bad_encoding.
/// bound:   4 × kMaxCollateralBytes.
[[nodiscard]] Result<Endorsements> parse_endorsements(ByteView in);

}  // namespace eos::attestation::endorsements
