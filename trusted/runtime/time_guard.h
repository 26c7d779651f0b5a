// SPDX-License-Identifier: AGPL-3.0-only
// Whether the host's time can be believed as far as new leaves are dated by it.
// source: docs/security-model.md.
#pragma once

#include <string_view>

#include "common/base/result.h"
#include "trusted/runtime/interfaces.h"

namespace eos::runtime {

inline constexpr Code time_jumped{"trusted/runtime", "time_jumped",
                                  "the host's time jumped and its owner has not confirmed it"};
inline constexpr Code time_disputed{"trusted/runtime", "time_disputed",
                                    "the caller's time is not the one to be confirmed"};

/// A longer jump is longer than any leaf of mode A lives.
inline constexpr std::int64_t kMaxTimeJumpSeconds = 25 * 3600;
/// How far the clock of who confirms may be off.
inline constexpr std::int64_t kMaxTimeDifferenceSeconds = 10 * 60;

/// How far the time is believed.
enum class TimeTrust {
    kUnconfirmed,  ///< as the host told it at the start
    kConfirmed,    ///< an owner said the same
    kJumped,       ///< forwards by more than kMaxTimeJumpSeconds while running
};

/// "unconfirmed", "confirmed", "jumped".
std::string_view to_string(TimeTrust trust);

/// Compares the wall clock with itself and with the monotonic clock. A jump is more than
/// kMaxTimeJumpSeconds at once, or as much in small steps that the monotonic clock does not share;
/// a host that lets both run fast alike is not found out. threads: one.
class TimeGuard {
  public:
    /// `clock` outlives this.
    explicit TimeGuard(const Clock& clock) : clock_(clock) { restart(); }

    /// Accepts the time as it is, unconfirmed: the start of the program, or of its ownership.
    void restart();

    /// Looks at the clocks; often. Returns whether the time has jumped since the look before.
    bool look();

    /// The owner's word that it is `owners_time` now.
    /// errors: time_disputed.
    [[nodiscard]] Result<void> confirm(UnixTime owners_time);

    TimeTrust trust() const { return trust_; }
    /// Of kJumped: how far.
    std::int64_t jump_seconds() const { return jump_seconds_; }

  private:
    void accept(TimeTrust trust);
    std::int64_t lead_seconds() const;

    const Clock& clock_;
    TimeTrust trust_ = TimeTrust::kUnconfirmed;
    UnixTime last_;                  // when it was looked at
    std::int64_t lead_seconds_ = 0;  // of the wall clock over the monotonic one, when accepted
    std::int64_t jump_seconds_ = 0;
};

}  // namespace eos::runtime
