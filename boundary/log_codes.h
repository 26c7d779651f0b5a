// SPDX-License-Identifier: AGPL-3.0-only
// The only words that leave the TEE's log: a fixed text and up to four numbers, chosen by a code.
// No name, URL, header, app output or other request data can be said with them. The trusted side
// sends a code (messages.h, Log); the daemon prints the text.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

namespace eos::boundary {

/// How the daemon prints a line.
enum class Severity : std::uint8_t { kInfo, kWarning, kError };

/// A number is never used again for something else.
enum class LogCode : std::uint16_t {
    kStarted = 1,
    kStopping = 2,
    kAborted = 3,
    kBoundaryViolated = 4,
    kHostCallRefused = 5,

    kUnowned = 20,
    kOwned = 21,
    kProvisioningToken = 22,
    kStateLoaded = 23,
    kStateRefused = 24,
    kStateWriteFailed = 25,
    kFactoryReset = 26,
    kCaRotated = 27,
    kStateUnavailable = 28,
    kStateWriteUnknown = 29,

    kEvidenceRequested = 40,
    kEvidenceReady = 41,
    kEvidenceFailed = 42,
    kLeavesMinted = 43,
    kTimeJumped = 44,
    kTimeConfirmed = 45,
    kTimeBehind = 46,

    kConnectionsRefused = 60,
    kHandshakesFailed = 61,
    kConnectionsDrained = 62,

    kAppLoaded = 80,
    kAppUnloaded = 81,
    kAppLoadFailed = 82,
    kAppTrapped = 83,

    // Why sealed state was refused; kStateRefused for everything else.
    kStateRecordAltered = 100,
    kStateRecordSwapped = 101,
    kStateRecordMissing = 102,
    kStateRecordStale = 103,
    kStateRootAltered = 104,
    kStateRootMissing = 105,
    kStateForeign = 106,
    kStateFormat = 107,
    kStateStorage = 108,
    kStateUnknownRecord = 109,
    kStateMalformed = 110,
    kStateInconsistent = 111,
};

/// One row of the table.
struct LogLine {
    LogCode code;
    Severity severity;
    /// "{}" for each number in decimal, "{x}" for one as 16 hexadecimal digits, in order.
    std::string_view text;
    unsigned number_count;  ///< how many numbers the text has
};

/// The whole table, in rising order of code.
std::span<const LogLine> log_table();

/// The line of a code that came over the boundary, or nullptr if the table has none.
const LogLine* find_log_line(std::uint16_t code);

}  // namespace eos::boundary
