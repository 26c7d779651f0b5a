// SPDX-License-Identifier: AGPL-3.0-only
// Event logs of a TDX guest: what was measured into the run-time measurement registers, in order.
// A log proves nothing by itself: it is as good as its replay to the registers of a verified quote
// (replay.h, log_checks.h).
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/result.h"

namespace eos::attestation::event_log {

inline constexpr std::size_t kRtmrCount = 4;
inline constexpr std::size_t kMaxLogBytes = 4 * 1024 * 1024;
inline constexpr std::size_t kMaxEvents = 8192;
inline constexpr std::size_t kMaxEventBytes = 128 * 1024;
inline constexpr std::size_t kMaxEventNameBytes = 256;

/// A SHA-384 value: a digest of an event, or a register.
using Digest48 = ByteArray<48>;
/// RTMR0 to RTMR3.
using Rtmrs = std::array<Digest48, kRtmrCount>;

inline constexpr std::string_view kLibrary = "common/attestation/event_log";
inline constexpr Code log_too_large{kLibrary, "log_too_large", "the event log exceeds a limit"};
inline constexpr Code log_truncated{kLibrary, "log_truncated",
                                    "the event log ends inside a record"};
inline constexpr Code log_padding{kLibrary, "log_padding",
                                  "what follows the last event is neither all ones nor all zero"};
inline constexpr Code bad_log_header{kLibrary, "bad_log_header",
                                     "the event log does not begin with a Spec ID Event03"};
inline constexpr Code unknown_algorithm{kLibrary, "unknown_algorithm",
                                        "a digest algorithm is unknown or was not announced"};
inline constexpr Code bad_digest_size{kLibrary, "bad_digest_size",
                                      "a digest does not have its algorithm's size"};
inline constexpr Code bad_digest_count{kLibrary, "bad_digest_count",
                                       "an event does not have one digest per algorithm"};
inline constexpr Code no_sha384{kLibrary, "no_sha384", "the event log has no SHA-384 digests"};
inline constexpr Code unknown_register{kLibrary, "unknown_register",
                                       "an event names a register that is no RTMR"};
inline constexpr Code bad_ccel_table{kLibrary, "bad_ccel_table",
                                     "not the ACPI table CCEL of a TDX guest"};

/// Event types of the TCG PC Client Platform Firmware Profile that are looked at by number.
inline constexpr std::uint32_t kEvNoAction = 0x3;
inline constexpr std::uint32_t kEvSeparator = 0x4;
inline constexpr std::uint32_t kEvAction = 0x5;
inline constexpr std::uint32_t kEvEfiVariableDriverConfig = 0x80000001;
inline constexpr std::uint32_t kEvEfiVariableBoot = 0x80000002;
inline constexpr std::uint32_t kEvEfiGptEvent = 0x80000006;
inline constexpr std::uint32_t kEvEfiAction = 0x80000007;
inline constexpr std::uint32_t kEvEfiVariableAuthority = 0x800000e0;
/// The run-time events of dstack, whose digest covers type, name and payload.
inline constexpr std::uint32_t kDstackRuntimeEvent = 0x08000001;

/// The name of the run-time event in RTMR3 whose payload is a policy root of this project's, which
/// is measured before it is served. source: docs/formats/policy-log.md.
inline constexpr std::string_view kPolicyRootEvent = "enclave-os/policy-root/1";

/// One measurement. Everything but `rtmr` and `digest` is a claim about what was measured:
/// content_of() says how far it is backed.
struct Event {
    std::size_t rtmr = 0;  ///< 0 to 3
    std::uint32_t type = 0;
    Digest48 digest{};
    std::string name;  ///< of a run-time event; else empty
    Bytes data;

    friend bool operator==(const Event&, const Event&) = default;
};

/// The events of all registers, in the order of the log.
struct EventLog {
    std::vector<Event> events;
};

/// The event that is measured for a policy root of this project's.
/// in: policy_root: 32 bytes.
/// source: docs/formats/policy-log.md.
Event policy_root_event(ByteView policy_root);

/// Whether replay extends a register with it: EV_NO_ACTION is never measured.
inline bool is_measured(const Event& event) {
    return event.type != kEvNoAction;
}

/// What the digest says about the text beside it.
enum class Content {
    verified,     ///< the digest is that of name and data
    unverified,   ///< the digest covers something else: name and data are hearsay
    contradicted  ///< the type prescribes what the digest covers, and it does not
};

/// Recomputes the digest from what lies beside it.
/// source: TCG PC Client Platform Firmware Profile 1.06, 10.4.1 (what each type's digest covers);
///         docs/formats/verification.md 5 (dstack).
Content content_of(const Event& event);

/// "EV_EFI_VARIABLE_DRIVER_CONFIG", or the number in hexadecimal.
std::string type_name(std::uint32_t type);

/// What the event says it is, for a person: type, and name or text. Printable ASCII.
std::string describe(const Event& event);

/// Parses the data area of a CCEL: a TCG2 crypto-agile log whose register 1 to 4 is RTMR0 to 3.
/// in:      the whole area, or its used part, at most kMaxLogBytes; not retained. After the last
///          event there is nothing, all ones or all zero.
/// returns: every event but the header, copied; of several digests the SHA-384 one.
/// errors:  log_too_large, log_truncated, log_padding, bad_log_header, unknown_algorithm,
///          bad_digest_size, bad_digest_count, no_sha384, unknown_register.
/// bound:   memory and time linear in the size; at most kMaxEvents events of kMaxEventBytes.
/// source:  TCG PC Client Platform Firmware Profile 1.06, 10.2; Intel GHCI for TDX 1.5, 4.3.
[[nodiscard]] Result<EventLog> parse_ccel(ByteView area);

/// Where the log of a guest lies.
struct CcelTable {
    std::uint64_t area_bytes = 0;  ///< log area minimum length
    std::uint64_t area_address = 0;
};

/// Parses the ACPI table "CCEL", which announces the data area.
/// errors:  bad_ccel_table (size, signature, checksum, or another kind of guest).
/// source:  UEFI 2.10, 38.4; ACPI 6.5, 5.2.6.
[[nodiscard]] Result<CcelTable> parse_ccel_table(ByteView table);

/// Parses a JSON list of `{imr, event_type, digest, event, event_payload}`, as dstack writes it;
/// `imr` 0 to 3 is RTMR0 to 3, digest and payload are hexadecimal. An empty digest of a run-time
/// event, as in dstack's shortened logs, is computed from name and payload; the register decides.
/// in:      at most kMaxLogBytes of JSON; not retained.
/// errors:  those of common/json, bad_encoding, bad_digest_size, log_too_large (one payload).
/// source:  docs/formats/verification.md 5.
[[nodiscard]] Result<EventLog> parse_runtime_log(ByteView text);

/// The inverse: parse_runtime_log() of it gives the same log. Deterministic.
std::string encode_runtime_log(const EventLog& log);

}  // namespace eos::attestation::event_log
