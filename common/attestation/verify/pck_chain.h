// SPDX-License-Identifier: AGPL-3.0-only
// The certificate chains of Intel evidence: fixed shapes under one root. For this folder only.
#pragma once

#include <optional>
#include <string>

#include "common/attestation/endorsements/pck.h"
#include "common/attestation/verify/check.h"
#include "common/attestation/verify/instant.h"
#include "common/attestation/verify/roots.h"
#include "common/x509/chain.h"

namespace eos::attestation::verify {

/// PCK certificate, PCK CA and root, as sorted out of the evidence.
struct PckChain {
    x509::Certificate leaf;
    x509::Certificate intermediate;
    x509::Certificate root;
    Result<endorsements::PckExtension> platform;  ///< what the leaf says, or why it cannot be read
};

/// in:      PEM: the leaf first, then the other two in either order.
/// errors:  those of x509; bad_chain (another number, or no root among them).
[[nodiscard]] Result<PckChain> parse_pck_chain(std::string_view pem);

/// Names, signatures, CA flags, path lengths, key usage, roles; no dates, and not who the root is.
/// in:     known: signatures that were verified before.
/// errors: bad_chain and those of x509.
[[nodiscard]] Result<void> check_pck_chain(const PckChain& chain, const Roots& roots,
                                           std::span<const x509::KnownSignature> known = {});

/// The same for a PCK CA alone, under the root that it names.
/// errors: bad_chain and those of x509.
[[nodiscard]] Result<void> check_pck_ca(const x509::Certificate& ca, const x509::Certificate& root,
                                        const Roots& roots);

/// A certificate that signs TCB info and identities, and its root.
struct SignerChain {
    x509::Certificate signer;
    x509::Certificate root;
};

/// in:      PEM: signer, root.
/// errors:  those of x509; bad_chain.
[[nodiscard]] Result<SignerChain> parse_signer_chain(std::string_view pem);

/// As check_pck_chain. The signer is certified by the root itself and is not for anything else: a
/// PCK certificate or a PCK CA does not pass for one.
/// errors: bad_chain and those of x509.
[[nodiscard]] Result<void> check_signer_chain(const SignerChain& chain, const Roots& roots);

/// Whether all of them are valid then, both ends included.
/// errors: outside_validity, with the certificate and its dates.
[[nodiscard]] Result<void> check_validity(std::span<const x509::Certificate* const> certificates,
                                          Instant& at);

inline constexpr Code bad_chain{"common/attestation/verify", "bad_chain",
                                "the certificate chain is not what this evidence needs"};
inline constexpr Code outside_validity{"common/attestation/verify", "outside_validity",
                                       "something is not valid at the time of verification"};

}  // namespace eos::attestation::verify
