// SPDX-License-Identifier: AGPL-3.0-only
// What policies would say about evidence after an event: before it happens.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/attestation/appraise/appraise.h"
#include "common/attestation/endorsements/endorsements.h"
#include "common/ratls/appraise_leaf.h"

namespace eos::client {

inline constexpr Code bad_drill{"client", "bad_drill", "not a drill file of version 1"};

/// Evidence as its presenter showed it once.
struct Exhibit {
    std::string name;          ///< of the file or server
    std::vector<Bytes> chain;  ///< DER, leaf first
    std::optional<ratls::HandshakeEvidence> handshake;
    std::string server_name;
    std::vector<x509::Certificate> anchors;
    /// Another project's, from a file: judged by the rule of its format, in place of the chain.
    std::optional<x509::Certificate> foreign = std::nullopt;
    std::optional<Bytes> nonce = std::nullopt;  ///< that a foreign one was made for
};

/// A policy under a name of its file.
struct NamedPolicy {
    std::string name;
    attestation::appraise::Policy policy;
};

/// One thing that could happen: what the verifier would have at hand, when, and which policies it
/// would judge by if they are part of the event.
struct Event {
    std::string name;
    std::string what;
    attestation::endorsements::Endorsements endorsements;
    UnixTime time;
    /// Added to the policy's own minimum.
    std::uint32_t min_evaluation_data_number = 0;
    /// Raises the policy's own minimum, part by part: AMD states no bar, so policies have it.
    std::map<snp_arch::Product, snp_arch::Tcb> min_snp_tcb;
};

/// Reads a drill file. errors: bad_drill; those of json and parse_endorsements.
/// source: docs/formats/drill.md.
/// bound:  kMaxDrillBytes.
[[nodiscard]] Result<std::vector<Event>> parse_drill(ByteView in, UnixTime now);
inline constexpr std::size_t kMaxDrillBytes = 8 * 1024 * 1024;

/// What can be rehearsed with real collateral, which nobody can issue anew: only time, what is at
/// hand, and the policy vary.
std::vector<Event> events_of_real_collateral(
    const attestation::endorsements::Endorsements& collateral, UnixTime now);

/// One cell of the table.
struct Rehearsed {
    std::string event;
    std::string exhibit;
    std::string policy;
    attestation::appraise::AttestationResult result;
    bool differs_from_first = false;  ///< from the same exhibit and policy at the first event
};

/// Every event × exhibit × policy, in this order.
/// errors:  those of verify_foreign_leaf(), of foreign exhibits.
[[nodiscard]] Result<std::vector<Rehearsed>> rehearse(const std::vector<Event>& events,
                                                      const std::vector<Exhibit>& exhibits,
                                                      const std::vector<NamedPolicy>& policies);

}  // namespace eos::client
