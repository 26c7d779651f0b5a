// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/runtime/time_guard.h"

#include <algorithm>

namespace eos::runtime {
namespace {

constexpr std::uint64_t kMsPerSecond = 1000;

}  // namespace

std::string_view to_string(TimeTrust trust) {
    switch (trust) {
        case TimeTrust::kUnconfirmed:
            return "unconfirmed";
        case TimeTrust::kConfirmed:
            return "confirmed";
        case TimeTrust::kJumped:
            return "jumped";
    }
    return "";
}

std::int64_t TimeGuard::lead_seconds() const {
    return clock_.now().seconds - static_cast<std::int64_t>(clock_.monotonic_ms() / kMsPerSecond);
}

void TimeGuard::accept(TimeTrust trust) {
    trust_ = trust;
    last_ = clock_.now();
    lead_seconds_ = lead_seconds();
    jump_seconds_ = 0;
}

void TimeGuard::restart() {
    accept(TimeTrust::kUnconfirmed);
}

bool TimeGuard::look() {
    UnixTime now = clock_.now();
    std::int64_t jump = std::max(now - last_, lead_seconds() - lead_seconds_);
    last_ = now;
    if (trust_ == TimeTrust::kJumped || jump <= kMaxTimeJumpSeconds) return false;
    trust_ = TimeTrust::kJumped;
    jump_seconds_ = jump;
    return true;
}

Result<void> TimeGuard::confirm(UnixTime owners_time) {
    const UnixTime now = clock_.now();
    // In this order nothing overflows, whatever number the caller sent.
    const bool is_near = owners_time >= now - kMaxTimeDifferenceSeconds &&
                         owners_time <= now + kMaxTimeDifferenceSeconds;
    if (!is_near) {
        return fail(time_disputed, "the host says " + rfc3339(now) + ", the caller is " +
                                       (owners_time < now ? "behind" : "ahead"));
    }
    accept(TimeTrust::kConfirmed);
    return {};
}

}  // namespace eos::runtime
