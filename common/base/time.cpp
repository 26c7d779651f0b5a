// SPDX-License-Identifier: AGPL-3.0-only
#include "common/base/time.h"

#include <cstdio>

#include "common/base/assert.h"

namespace eos {
namespace {

constexpr std::int64_t kDaysPerEra = 146097;  // 400 years

// Days since 1970-01-01 of a civil date; years counted from March so that the leap day comes last.
std::int64_t days_from_civil(int year, int month, int day) {
    std::int64_t y = year - (month <= 2 ? 1 : 0);
    std::int64_t era = (y >= 0 ? y : y - 399) / 400;
    std::int64_t year_of_era = y - era * 400;
    std::int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    std::int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * kDaysPerEra + day_of_era - 719468;
}

// Reads `count` decimal digits at the front of `text`, which shrinks; -1 if they are not there.
int take_digits(std::string_view& text, std::size_t count) {
    if (text.size() < count) return -1;
    int value = 0;
    for (char c : text.substr(0, count)) {
        if (c < '0' || c > '9') return -1;
        value = value * 10 + (c - '0');
    }
    text.remove_prefix(count);
    return value;
}

bool take_char(std::string_view& text, char c) {
    if (text.empty() || text.front() != c) return false;
    text.remove_prefix(1);
    return true;
}

}  // namespace

CivilTime to_civil(UnixTime time) {
    std::int64_t days = time.seconds / kSecondsPerDay;
    std::int64_t rest = time.seconds % kSecondsPerDay;
    if (rest < 0) {
        rest += kSecondsPerDay;
        --days;
    }
    std::int64_t z = days + 719468;
    std::int64_t era = (z >= 0 ? z : z - (kDaysPerEra - 1)) / kDaysPerEra;
    std::int64_t day_of_era = z - era * kDaysPerEra;
    std::int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    std::int64_t day_of_year =
        day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    std::int64_t shifted_month = (5 * day_of_year + 2) / 153;
    CivilTime out;
    out.day = static_cast<int>(day_of_year - (153 * shifted_month + 2) / 5 + 1);
    out.month = static_cast<int>(shifted_month < 10 ? shifted_month + 3 : shifted_month - 9);
    out.year = static_cast<int>(year_of_era + era * 400 + (out.month <= 2 ? 1 : 0));
    out.hour = static_cast<int>(rest / 3600);
    out.minute = static_cast<int>(rest / 60 % 60);
    out.second = static_cast<int>(rest % 60);
    EOS_ASSERT(out.year >= 0 && out.year <= 9999);
    return out;
}

Result<UnixTime> from_civil(const CivilTime& c) {
    bool in_range = c.year >= 0 && c.year <= 9999 && c.month >= 1 && c.month <= 12 && c.day >= 1 &&
                    c.day <= 31 && c.hour >= 0 && c.hour <= 23 && c.minute >= 0 && c.minute <= 59 &&
                    c.second >= 0 && c.second <= 59;
    if (!in_range) return fail(bad_time, "a field is out of range");
    UnixTime out{days_from_civil(c.year, c.month, c.day) * kSecondsPerDay + c.hour * 3600 +
                 c.minute * 60 + c.second};
    if (to_civil(out) != c) return fail(bad_time, "the month has no such day");
    return out;
}

std::string rfc3339(UnixTime time) {
    CivilTime c = to_civil(time);
    char text[32];
    std::snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02dZ", c.year, c.month, c.day,
                  c.hour, c.minute, c.second);
    return text;
}

Result<UnixTime> parse_rfc3339(std::string_view text) {
    CivilTime c;
    c.year = take_digits(text, 4);
    bool ok = take_char(text, '-');
    c.month = take_digits(text, 2);
    ok = ok && take_char(text, '-');
    c.day = take_digits(text, 2);
    ok = ok && take_char(text, 'T');
    c.hour = take_digits(text, 2);
    ok = ok && take_char(text, ':');
    c.minute = take_digits(text, 2);
    ok = ok && take_char(text, ':');
    c.second = take_digits(text, 2);
    ok = ok && take_char(text, 'Z');
    if (!ok || !text.empty()) return fail(bad_time, "expected the form 2026-09-04T10:15:30Z");
    return from_civil(c);
}

std::string minute_string(UnixTime time) {
    std::string text = rfc3339(time);
    return text.substr(0, 16) + "Z";
}

}  // namespace eos
