// SPDX-License-Identifier: AGPL-3.0-only
// An event log against the registers of a verified quote, as nodes of the verdict tree.
#pragma once

#include "common/attestation/event_log/event_log.h"
#include "common/attestation/verify/check.h"
#include "common/attestation/verify/verify.h"

namespace eos::attestation::event_log {

/// The nodes event_log.syntax, event_log.rtmr0 to .rtmr3 and event_log.content (what they mean is
/// in docs/formats/verdict.md). A failing register names the event that explains it, if a single
/// one does.
/// in:      quoted: the registers of a quote whose signature was verified; log: the outcome of
///          parsing it, errors included.
/// returns: the group "event_log".
/// bound:   linear in the log, and find_suspect()'s bound for each register that fails.
verify::Check check_event_log(const Rtmrs& quoted, const Result<EventLog>& log);

/// The same for the registers of evidence that verify() found genuine; for appraise::LeafClaims::
/// more. Where it did not, or where the TEE has no such registers, the nodes are not evaluated: a
/// log that was given and could not be looked at stands in the way.
verify::Check check_event_log(const verify::Verification& verification,
                              const Result<EventLog>& log);

}  // namespace eos::attestation::event_log
