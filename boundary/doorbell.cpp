// SPDX-License-Identifier: AGPL-3.0-only
#include "boundary/doorbell.h"

#include <algorithm>
#include <atomic>

namespace eos::boundary {
namespace {

// About 30 us: what a wake-up across cores costs (docs/performance.md), so that a wrong guess at
// most doubles the cost of waiting.
constexpr std::uint32_t kSpinTurns = 2000;
constexpr std::uint32_t kProbeTurns = 500;
constexpr std::uint32_t kFullReward = 1024;
constexpr std::uint32_t kSpinFromReward = kFullReward / 4;
constexpr std::uint32_t kMinProbeInterval = 8;
constexpr std::uint32_t kMaxProbeInterval = 512;

}  // namespace

std::uint32_t BellOwner::announce(WaitFor what) {
    std::uint32_t seen = std::atomic_ref(*memory_.sequence).load(std::memory_order_seq_cst);
    std::atomic_ref(*memory_.sleeping)
        .store(static_cast<std::uint32_t>(what), std::memory_order_seq_cst);
    return seen;
}

void BellOwner::awake() {
    std::atomic_ref(*memory_.sleeping).store(0, std::memory_order_relaxed);
}

bool BellRinger::must_wake(RingReason reason) {
    std::uint32_t sleeping = std::atomic_ref(*memory_.sleeping).load(std::memory_order_seq_cst);
    auto wanted = static_cast<std::uint32_t>(
        reason == RingReason::kPublished ? WaitFor::kInput : WaitFor::kInputOrSpace);
    if (sleeping < wanted) return false;
    // One ring per announcement: clearing it here spares the system call on the next publish. Where
    // this fails the owner has moved, and looks at its rings after what was published.
    if (!std::atomic_ref(*memory_.sleeping).compare_exchange_strong(sleeping, 0)) return false;
    std::atomic_ref(*memory_.sequence).fetch_add(1, std::memory_order_seq_cst);
    return true;
}

std::uint32_t AdaptiveSpin::turns() {
    if (reward_ >= kSpinFromReward) return kSpinTurns;
    if (waits_until_probe_ > 0) {
        --waits_until_probe_;
        return 0;
    }
    waits_until_probe_ = probe_interval_ - 1;
    return kProbeTurns;
}

void AdaptiveSpin::learn(Outcome outcome) {
    if (outcome == Outcome::kRewarded) {
        reward_ += (kFullReward - reward_) / 8;
        probe_interval_ = kMinProbeInterval;
        waits_until_probe_ = 0;  // follow a rewarded probe with another: tell luck from a pattern
        return;
    }
    reward_ -= std::min(reward_, kFullReward / 8);
    probe_interval_ = std::min(2 * probe_interval_, kMaxProbeInterval);
}

}  // namespace eos::boundary
