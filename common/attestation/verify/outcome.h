// SPDX-License-Identifier: AGPL-3.0-only
// What the checks of one kind of evidence give to verify(), which alone judges it. For this folder
// only.
#pragma once

#include <optional>
#include <vector>

#include "common/attestation/verify/known.h"

namespace eos::attestation::verify {

/// What the caller of verify() gave beside the evidence. Borrowed for the call.
struct Context {
    const Collateral& collateral;
    const Roots& roots;
    Instant& at;
    ByteView evidence;    ///< as it came
    SignatureMemo* memo;  ///< may be null
};

/// The checks in order, and what is worth keeping if none of them failed.
struct Outcome {
    std::vector<Check> checks;
    std::optional<TeeClaims> claims;
    std::optional<RootIdentity> root;
    std::optional<TcbResult> tcb;
    std::vector<CollateralDate> collateral;
    /// Worth keeping too: of Intel evidence, what was read for it and not known before.
    std::optional<IntelKey> intel_key;
    std::shared_ptr<const IntelSet> intel_set;
};

/// One overload for each kind of evidence.
Outcome check_evidence(const evidence::SgxQuote& quote, const Context& context);
Outcome check_evidence(const evidence::TdxQuote& quote, const Context& context);
Outcome check_evidence(const evidence::SnpEvidence& evidence, const Context& context);

}  // namespace eos::attestation::verify
