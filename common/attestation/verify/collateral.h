// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <memory>

#include "common/attestation/endorsements/endorsements.h"

namespace eos::attestation::verify {

/// Endorsements in use. Verifying with the same object again costs less: a platform's statements
/// and lists are read, and their signatures verified, once; and evidence that was found genuine is
/// not looked at again before one of the dates it was held against is passed. Trees and claims are
/// the same as with a new object. A copy shares what the original knows.
/// threads: any.
/// bound:   what is known of the last kMaxKnownPlatforms sets of statements and lists, and the last
///          kMaxKnownEvidence pieces of evidence with their trees. Only genuine evidence adds to
///          it.
class Collateral {
  public:
    static constexpr std::size_t kMaxKnownPlatforms = 16;
    static constexpr std::size_t kMaxKnownEvidence = 64;

    Collateral() : Collateral(endorsements::Endorsements()) {}
    /// Not explicit: endorsements that are used once can be handed to verify() as they are.
    // NOLINTNEXTLINE(google-explicit-constructor)
    Collateral(endorsements::Endorsements endorsements);

    const endorsements::Endorsements& endorsements() const { return *endorsements_; }

    /// As in Endorsements, or of the last having_seen().
    std::uint32_t seen_evaluation_data_number() const { return seen_evaluation_data_number_; }
    /// The same, for a caller that has met this number since.
    Collateral having_seen(std::uint32_t evaluation_data_number) const;

    /// What verify() knows; for it alone.
    class Known;
    Known& known() const { return *known_; }

  private:
    std::shared_ptr<const endorsements::Endorsements> endorsements_;
    std::uint32_t seen_evaluation_data_number_ = 0;
    std::shared_ptr<Known> known_;
};

}  // namespace eos::attestation::verify
