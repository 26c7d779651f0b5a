// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/result.h"

namespace eos {

inline constexpr Code bad_time{"common/base", "bad_time", "not a valid time"};

/// A date and time of day in the proleptic Gregorian calendar, UTC, no leap seconds.
struct CivilTime {
    int year = 1970;  ///< 0..9999
    int month = 1;    ///< 1..12
    int day = 1;      ///< 1..31
    int hour = 0;     ///< 0..23
    int minute = 0;   ///< 0..59
    int second = 0;   ///< 0..59

    friend bool operator==(const CivilTime&, const CivilTime&) = default;
};

/// An instant: whole seconds since 1970-01-01T00:00:00Z. A value; nothing in common/ reads a clock.
struct UnixTime {
    std::int64_t seconds = 0;

    friend auto operator<=>(const UnixTime&, const UnixTime&) = default;
    friend UnixTime operator+(UnixTime t, std::int64_t s) { return {t.seconds + s}; }
    friend UnixTime operator-(UnixTime t, std::int64_t s) { return {t.seconds - s}; }
    friend std::int64_t operator-(UnixTime a, UnixTime b) { return a.seconds - b.seconds; }
};

inline constexpr std::int64_t kSecondsPerDay = 86400;

/// The instant as a date. The instant must lie in the years 0..9999 (asserted).
CivilTime to_civil(UnixTime time);

/// errors: bad_time (a field out of range, or a day the month does not have).
[[nodiscard]] Result<UnixTime> from_civil(const CivilTime& civil);

/// "2026-09-04T10:15:30Z" (RFC 3339, UTC).
std::string rfc3339(UnixTime time);

/// Accepts exactly the form that rfc3339() writes.
/// errors: bad_time.
[[nodiscard]] Result<UnixTime> parse_rfc3339(std::string_view text);

/// "2026-09-04T10:15Z": the minute string of RA-TLS v1; seconds are cut off.
std::string minute_string(UnixTime time);

}  // namespace eos
