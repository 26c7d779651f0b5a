// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <algorithm>
#include <limits>

#include "common/base/time.h"

namespace eos::attestation::verify {

/// The time of a verification, and how far it may move, either way, before one of the questions
/// that were put to it has another answer.
class Instant {
  public:
    explicit Instant(UnixTime time) : time_(time) {}

    UnixTime time() const { return time_; }

    /// Whether it lies between the two, both included.
    bool is_within(UnixTime from, UnixTime until) {
        if (time_ < from) {
            latest_ = std::min(latest_, from - 1);
            return false;
        }
        earliest_ = std::max(earliest_, from);
        if (time_ > until) {
            earliest_ = std::max(earliest_, until + 1);
            return false;
        }
        latest_ = std::min(latest_, until);
        return true;
    }

    /// Whether all questions so far have the same answers at `other`.
    bool answers_for(UnixTime other) const { return other >= earliest_ && other <= latest_; }

  private:
    UnixTime time_;
    UnixTime earliest_{std::numeric_limits<std::int64_t>::min()};
    UnixTime latest_{std::numeric_limits<std::int64_t>::max()};
};

}  // namespace eos::attestation::verify
