// SPDX-License-Identifier: AGPL-3.0-only
#include "boundary/log_codes.h"

#include <algorithm>

namespace eos::boundary {
namespace {

using enum LogCode;
using enum Severity;

constexpr std::size_t count_places(std::string_view text) {
    return static_cast<std::size_t>(std::ranges::count(text, '{'));
}

constexpr LogLine line(LogCode code, Severity severity, std::string_view text) {
    return {.code = code,
            .severity = severity,
            .text = text,
            .number_count = static_cast<unsigned>(count_places(text))};
}

constexpr std::array kTable{
    line(kStarted, kInfo, "enclave started with {} workers"),
    line(kStopping, kInfo, "stopping: {} connections open, {} ms to finish"),
    line(kAborted, kError, "aborted, reason {}"),
    line(kBoundaryViolated, kError, "worker {}: the host broke a rule of the boundary; ending"),
    line(kHostCallRefused, kWarning, "{} file opens and {} other host calls were refused inside"),

    line(kUnowned, kWarning, "no sealed state: unowned, waiting for provisioning"),
    line(kOwned, kInfo, "the enclave has an owner; state generation {}"),
    line(kProvisioningToken, kInfo, "provisioning token {x}{x}"),
    line(kStateLoaded, kInfo, "sealed state loaded: generation {}, {} apps"),
    line(kStateRefused, kError, "sealed state refused; nothing was changed"),
    line(kStateWriteFailed, kError, "a state write failed; nothing was changed"),
    line(kFactoryReset, kWarning, "factory reset: the state was destroyed"),
    line(kCaRotated, kInfo, "the CA was replaced; state generation {}"),
    line(kStateUnavailable, kError,
         "the storage does not answer or reports an error; next attempt in {} ms"),
    line(kStateWriteUnknown, kError,
         "a state write has an unknown outcome; no change is taken until the enclave is restarted"),

    line(kEvidenceRequested, kInfo, "evidence requested"),
    line(kEvidenceReady, kInfo, "evidence ready; leaves under it end at Unix time {}"),
    line(kEvidenceFailed, kError, "no evidence; next attempt in {} ms"),
    line(kLeavesMinted, kInfo, "{} leaf certificates minted in {} us"),
    line(kTimeJumped, kWarning,
         "the host's time jumped by {} s; no new leaf and no change until the owner confirms it"),
    line(kTimeConfirmed, kInfo, "the owner confirmed the time"),
    line(kTimeBehind, kWarning,
         "the host's time is {} s behind the sealed state; it stands still until it has caught up"),

    line(kConnectionsRefused, kWarning, "{} connections refused in the last {} ms: limit {}"),
    line(kHandshakesFailed, kInfo, "{} handshakes failed in the last {} ms"),
    line(kConnectionsDrained, kInfo, "{} connections drained after a change, {} cut"),

    line(kAppLoaded, kInfo, "an app was loaded: {} bytes in {} ms; {} apps now"),
    line(kAppUnloaded, kInfo, "an app was unloaded; {} apps now"),
    line(kAppLoadFailed, kWarning, "an app was not loaded, reason {}; nothing was changed"),
    line(kAppTrapped, kInfo, "{} app calls trapped in the last {} ms"),

    line(kStateRecordAltered, kError, "sealed state refused: a record was altered"),
    line(kStateRecordSwapped, kError, "sealed state refused: a record was replaced by another one"),
    line(kStateRecordMissing, kError, "sealed state refused: a record is missing"),
    line(kStateRecordStale, kError,
         "sealed state refused: a record was replaced by an older version of itself"),
    line(kStateRootAltered, kError, "sealed state refused: the root record was altered"),
    line(kStateRootMissing, kError,
         "sealed state refused: there are records, but the root record is missing"),
    line(kStateForeign, kError,
         "sealed state refused: it was sealed by another enclave or on another machine; start the "
         "build that made it, or put the state aside with --reset-state and provision anew"),
    line(kStateFormat, kError, "sealed state refused: its format is not one this build knows"),
    line(kStateStorage, kError, "sealed state refused: the storage broke its contract"),
    line(kStateUnknownRecord, kError, "sealed state refused: it holds an unknown record"),
    line(kStateMalformed, kError, "sealed state refused: a record is malformed"),
    line(kStateInconsistent, kError, "sealed state refused: its parts contradict each other"),
};

static_assert(std::ranges::is_sorted(kTable, std::ranges::less{}, &LogLine::code));
static_assert(std::ranges::all_of(kTable, [](const LogLine& l) { return l.number_count <= 4; }));

}  // namespace

std::span<const LogLine> log_table() {
    return kTable;
}

const LogLine* find_log_line(std::uint16_t code) {
    auto found = std::ranges::lower_bound(kTable, static_cast<LogCode>(code), {}, &LogLine::code);
    if (found == kTable.end() || found->code != static_cast<LogCode>(code)) return nullptr;
    return found;
}

}  // namespace eos::boundary
