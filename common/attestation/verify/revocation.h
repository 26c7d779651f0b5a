// SPDX-License-Identifier: AGPL-3.0-only
// Revocation lists, of either vendor. For this folder only.
#pragma once

#include <span>
#include <vector>

#include "common/attestation/verify/check.h"
#include "common/attestation/verify/instant.h"
#include "common/attestation/verify/signatures.h"
#include "common/attestation/verify/verify.h"
#include "common/x509/crl.h"

namespace eos::attestation::verify {

inline constexpr Code revoked{"common/attestation/verify", "revoked",
                              "a certificate of the evidence is revoked"};

/// A list as far as it can be judged without the certificates that it may name, and without a
/// clock.
struct RevocationList {
    Result<x509::Crl> list;
    Result<void> signature;  ///< the issuer's; a list that cannot be read has that error
};

RevocationList read_list(ByteView der, const x509::Certificate& issuer, SignatureOf which,
                         Signatures& signatures);

/// Whether the list holds now and names none of these. Notes in `dates` from when it is, if it can
/// be read at all.
/// errors: those of the list and its signature; x509::not_yet_valid, x509::expired; revoked.
[[nodiscard]] Result<void> check_not_revoked(const RevocationList& list,
                                             std::span<const x509::Certificate* const> certificates,
                                             Instant& at, std::vector<CollateralDate>& dates);

}  // namespace eos::attestation::verify
