// SPDX-License-Identifier: AGPL-3.0-only
#include "boundary/log_codes.h"

#include <algorithm>

namespace eos::boundary {
namespace {

using enum LogCode;
using enum Severity;

constexpr std::size_t count_places(std::string_view text) {
    std::size_t count = 0;
    for (std::size_t at = text.find("{}"); at != text.npos; at = text.find("{}", at + 2)) ++count;
    return count;
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
    line(kOwned, kInfo, "ownership was taken; state generation {}"),
    line(kProvisioningToken, kInfo, "provisioning token, as two numbers: {} {}"),
    line(kStateLoaded, kInfo, "sealed state loaded: generation {}, {} records, {} apps"),
    line(kStateRefused, kError, "sealed state refused, reason {}; nothing was changed"),
    line(kStateWriteFailed, kError, "a state write failed, reason {}; the old state stands"),
    line(kFactoryReset, kWarning, "factory reset: the state was destroyed"),
    line(kCaRotated, kInfo, "the CA was replaced; state generation {}"),

    line(kEvidenceRequested, kInfo, "evidence requested, attempt {}"),
    line(kEvidenceReady, kInfo, "evidence ready after {} ms; expires at Unix time {}"),
    line(kEvidenceFailed, kError, "no evidence, reason {}; next attempt in {} ms"),
    line(kLeavesMinted, kInfo, "{} leaf certificates minted in {} us"),
    line(kTimeJumped, kWarning, "the host's time jumped by {} s; unconfirmed until an owner call"),

    line(kConnectionsRefused, kWarning, "{} connections refused in the last {} ms: limit {}"),
    line(kHandshakesFailed, kInfo, "{} handshakes failed in the last {} ms"),
    line(kConnectionsDrained, kInfo, "{} connections drained after a change, {} cut"),

    line(kAppLoaded, kInfo, "an app was loaded: {} bytes in {} ms; {} apps now"),
    line(kAppUnloaded, kInfo, "an app was unloaded; {} apps now"),
    line(kAppLoadFailed, kWarning, "an app was not loaded, reason {}; nothing was changed"),
    line(kAppTrapped, kInfo, "{} app calls trapped in the last {} ms"),
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
