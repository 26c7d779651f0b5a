// SPDX-License-Identifier: AGPL-3.0-only
// Collateral from the server that is to be judged by it. Whoever answers is not known yet, and need
// not be: each piece carries its vendor's signature, and the verdict demands them all the same.
#pragma once

#include <chrono>
#include <cstddef>

#include "client/verified_channel.h"
#include "common/attestation/endorsements/bundle.h"

namespace eos::client {

inline constexpr Code not_stapled{"client", "not_stapled", "the server staples no collateral"};

/// When a server is asked for the collateral that it staples.
enum class Stapling {
    kWithoutOwn,  ///< where there is none of one's own
    kAlways,      ///< to complete one's own
    kNever,
};

inline constexpr std::string_view kStapledPath = "/.well-known/enclave-os/collateral";
/// A server that is slower than this has stapled nothing.
inline constexpr std::chrono::seconds kStapledLimit{5};

/// Asks the target's server for its bundle, on a connection of its own that is not trusted: no
/// challenge, no client certificate, nothing that is secret, and nothing but the bundle is taken
/// from it. Redirects are not followed.
/// errors: not_stapled (any status but 200); those of TlsChannel::open, HttpExchange::run and
///         endorsements::parse_bundle: the bundle is taken whole or not at all.
/// bound:  endorsements::kMaxBundleBytes; kStapledLimit, or `deadline` if that is earlier.
[[nodiscard]] Result<attestation::endorsements::Bundle> fetch_stapled(const Target& target,
                                                                      Deadline deadline);

/// Completes the target's endorsements by what its server staples, and notes in them what came of
/// it, for the verdict. What the target has already wins. Never fails: without collateral the
/// verdict says what is missing.
void staple(Target& target, Deadline deadline);

/// The same where the rule wants it; one's own is what the target has by then.
void staple(Target& target, Stapling rule, Deadline deadline);

/// Whether some of it came from the server that is judged by it. Of such collateral nothing is
/// learnt: whoever answers for a server may staple an evaluation data number that is genuine and
/// not standard yet, and everyone else's collateral would be refused for months.
bool is_stapled(const attestation::endorsements::Endorsements& endorsements);

}  // namespace eos::client
