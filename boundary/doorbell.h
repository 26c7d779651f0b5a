// SPDX-License-Identifier: AGPL-3.0-only
// Waiting for the other side, without lost wake-ups and without system calls while both are busy.
//
// Before a side sleeps it sets `sleeping` and looks at its rings once more; after a side publishes
// it looks at the other's `sleeping` and rings only then. All four accesses are sequentially
// consistent, so at least one of the two sees the other. A hostile side can leave out a wake-up or
// send one too many: the first costs time, which a host can take anyway, the second one look.
#pragma once

#include <cstdint>

#include "boundary/layout.h"

namespace eos::boundary {

/// What a sleeping side waits for.
enum class WaitFor : std::uint32_t {
    kInput = 1,         ///< a frame
    kInputOrSpace = 2,  ///< a frame, or room in a ring that was full
};

/// The owner's half of a bell. threads: one at a time.
class BellOwner {
  public:
    explicit BellOwner(const BellMemory& memory) : memory_(memory) {}

    /// Announces sleep. The caller then looks for work once more and, if there is none, sleeps
    /// while the bell's word still has the value returned here.
    std::uint32_t announce(WaitFor what);

    /// Takes the announcement back; after every sleep, and when work was found after all.
    void awake();

  private:
    BellMemory memory_;
};

/// What the peer has just done that a sleeper might wait for.
enum class RingReason { kPublished, kReleased };

/// The other side's half of a bell. threads: one at a time.
class BellRinger {
  public:
    explicit BellRinger(const BellMemory& memory) : memory_(memory) {}

    /// Whether the owner sleeps and wants to hear of this. If so the bell's word has changed, and
    /// the caller makes the system call that ends the sleep.
    bool must_wake(RingReason reason);

  private:
    BellMemory memory_;
};

/// Decides how long to spin before sleeping. Spinning pays when the peer answers from another core
/// within the time a wake-up would take; it is waste when both share a core, for then the peer
/// cannot run until this side sleeps. No clock and no core number is needed: what counts is whether
/// spinning was rewarded lately. Where it was not, one wait in `probe_interval_` is a probe.
/// threads: one at a time.
class AdaptiveSpin {
  public:
    /// How many turns of a loop with spin_hint() to look for work before sleeping; often 0.
    std::uint32_t turns();

    /// Whether the turns returned by the last turns() ended with work. Not called after 0 turns.
    enum class Outcome { kRewarded, kFruitless };
    void learn(Outcome outcome);

  private:
    std::uint32_t reward_ = 0;  // moving average of rewarded spins, 0..kFullReward
    std::uint32_t waits_until_probe_ = 0;
    std::uint32_t probe_interval_ = 8;
};

}  // namespace eos::boundary
