// SPDX-License-Identifier: AGPL-3.0-only
// The signatures of one verification, looked at once each, or not at all where the caller's memo
// has them. For this folder only.
#pragma once

#include <utility>

#include "common/attestation/endorsements/endorsements.h"
#include "common/attestation/verify/roots.h"
#include "common/attestation/verify/signature_memo.h"
#include "common/base/result.h"

namespace eos::attestation::verify {

/// SHA-256 over what is used of the endorsements, and over the roots.
/// in: used: what is left after fitting_endorsements() or fitting_amd(), so no pieces.
crypto::Digest32 digest_of_endorsements(const endorsements::Endorsements& used, const Roots& roots);

/// SHA-256 over everything that decides which signatures verify() looks at and whether they are
/// good.
crypto::Digest32 digest_of_inputs(ByteView evidence, const crypto::Digest32& endorsements);

/// Asks the memo when it is made and tells it when it dies.
class Signatures {
  public:
    /// Remembers nothing.
    Signatures() = default;
    /// `memo` outlives this.
    Signatures(SignatureMemo& memo, const crypto::Digest32& inputs)
        : memo_(&memo), inputs_(inputs), good_(memo.begin(inputs)) {}
    ~Signatures() {
        if (memo_ != nullptr) memo_->end(inputs_, good_);
    }
    Signatures(const Signatures&) = delete;
    Signatures& operator=(const Signatures&) = delete;

    /// `verify` is called unless this signature is known to be good. It must depend on nothing but
    /// the inputs: not on the time.
    template <typename Verify>
    Result<void> check(SignatureOf which, Verify verify) {
        if (good_.contains(which)) return {};
        Result<void> outcome = verify();
        if (outcome.has_value()) good_.add(which);
        return outcome;
    }

  private:
    SignatureMemo* memo_ = nullptr;
    crypto::Digest32 inputs_{};
    SignatureSet good_;
};

}  // namespace eos::attestation::verify
