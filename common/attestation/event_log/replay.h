// SPDX-License-Identifier: AGPL-3.0-only
// From a log to register values, and from a difference to the event that explains it.
#pragma once

#include <optional>

#include "common/attestation/event_log/event_log.h"

namespace eos::attestation::event_log {

/// The registers after every measured event of the log. A register without events is all zero.
/// source: Intel TDX module ABI, TDG.MR.RTMR.EXTEND: SHA-384(register ‖ digest).
Rtmrs replay(const EventLog& log);

/// Why one register's replay can differ from the quoted value.
enum class Cause {
    after_quote,   ///< the quoted value is that before this event: it was logged later, or added
    not_measured,  ///< without this event the log replays
    swapped,       ///< with this event and the register's next one swapped, it replays
    altered        ///< with the digest of the data beside it, it replays
};

/// The event that explains a difference.
struct Suspect {
    std::size_t index = 0;  ///< in the log's events
    Cause cause{};
};

inline constexpr std::size_t kMaxSuspectExtends = 64 * 1024;

/// The first event whose removal, exchange or correction makes the register replay to `quoted`.
/// An event that is missing from the log cannot be found so: its digest is unknown; a reference log
/// names it (first_difference).
/// returns: nothing if the register replays, or no single event explains it.
/// bound:   kMaxSuspectExtends SHA-384 computations of 96 bytes.
std::optional<Suspect> find_suspect(const EventLog& log, std::size_t rtmr, const Digest48& quoted);

/// Where two logs part.
struct Difference {
    std::size_t rtmr = 0;
    std::size_t position = 0;       ///< among the register's measured events
    std::optional<Event> expected;  ///< absent: the log has more events than expected
    std::optional<Event> found;     ///< absent: the log ends before
};

/// The first measured event of the lowest register whose digest differs. Only the order within a
/// register counts, as for replay.
std::optional<Difference> first_difference(const EventLog& expected, const EventLog& found);

/// "event 4 of RTMR0: expected EV_SEPARATOR (digest), found …".
std::string describe(const Difference& difference);

}  // namespace eos::attestation::event_log
