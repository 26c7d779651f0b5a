// SPDX-License-Identifier: AGPL-3.0-only
// How fast a peer must take or send, and how often it may do what costs it nothing. Times come from
// the caller's clock, in milliseconds.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

namespace eos::runtime {

/// How long a transfer of `bytes` may have taken at the lowest rate allowed.
constexpr std::uint64_t paid_ms(std::uint64_t bytes, std::uint64_t bytes_per_second) {
    return bytes * 1000 / std::max<std::uint64_t>(bytes_per_second, 1);
}

/// What a peer that takes too little is measured by.
struct TransferLimits {
    std::uint64_t grace_ms = 30'000;        ///< before the rate below counts
    std::uint64_t bytes_per_second = 1024;  ///< a peer that takes less is cut off
    std::uint64_t stall_ms = 30'000;        ///< as is one that takes nothing for so long
};

/// Keeps account of how fast a peer takes what waits for it.
class Backlog {
  public:
    /// Something waits, or still does.
    void begin(std::uint64_t now_ms) {
        if (since_ms_) return;
        since_ms_ = taken_ms_ = now_ms;
        taken_bytes_ = 0;
    }
    void taken(std::uint64_t bytes, std::uint64_t now_ms) {
        if (bytes == 0) return;
        taken_ms_ = now_ms;
        taken_bytes_ += bytes;
    }
    void end() { since_ms_ = std::nullopt; }

    /// When the peer will have been too slow; nothing while nothing waits.
    std::optional<std::uint64_t> deadline_ms(const TransferLimits& limits) const {
        if (!since_ms_) return std::nullopt;
        const std::uint64_t by_rate =
            *since_ms_ + limits.grace_ms + paid_ms(taken_bytes_, limits.bytes_per_second);
        return std::min(by_rate, taken_ms_ + limits.stall_ms);
    }

  private:
    std::optional<std::uint64_t> since_ms_;
    std::uint64_t taken_ms_ = 0;
    std::uint64_t taken_bytes_ = 0;
};

/// So many at once, and so many a second in the long run.
struct Rate {
    std::uint64_t burst = 0;
    std::uint64_t per_second = 0;
};

/// Counts what a Rate allows.
class TokenBucket {
  public:
    TokenBucket(Rate rate, std::uint64_t now_ms)
        : rate_(rate), level_(rate.burst * kUnit), filled_ms_(now_ms) {}

    /// Whether one more is allowed now.
    [[nodiscard]] bool take(std::uint64_t now_ms) {
        const std::uint64_t elapsed_ms = std::min(now_ms - filled_ms_, kLongestGapMs);
        filled_ms_ = now_ms;
        level_ = std::min(level_ + elapsed_ms * rate_.per_second, rate_.burst * kUnit);
        if (level_ < kUnit) return false;
        level_ -= kUnit;
        return true;
    }

    /// One that was paid for in another way.
    void give() { level_ = std::min(level_ + kUnit, rate_.burst * kUnit); }

  private:
    static constexpr std::uint64_t kUnit = 1000;  // per_second tokens a second are so much a ms
    static constexpr std::uint64_t kLongestGapMs = 3'600'000;
    Rate rate_;
    std::uint64_t level_;
    std::uint64_t filled_ms_;
};

}  // namespace eos::runtime
