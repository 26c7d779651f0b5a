// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "untrusted/daemon/trusted_process.h"

namespace eos::daemon {

/// Keeps one trusted process running: starts it, ends it when it breaks the boundary's rules,
/// starts the next one with a growing pause, and ends it for good when asked. threads: the loop's.
class Supervisor {
  public:
    static constexpr Milliseconds kFirstPause{100};
    static constexpr Milliseconds kLongestPause{10'000};
    /// A run this long makes the next pause the first again.
    static constexpr Milliseconds kGoodRun{30'000};
    /// For the last bytes of connections once the trusted side has ended in good order.
    static constexpr Milliseconds kFlushTime{5'000};
    /// On top of the drain, for the trusted side to cut what is left and to end.
    static constexpr Milliseconds kStopGrace{3'000};

    enum class State {
        kRunning,       ///< a process runs, or will after a pause
        kStopping,      ///< asked to stop, not done yet
        kStopped,       ///< asked to stop and done
        kStateRefused,  ///< the trusted side says that starting it again cannot help
    };

    struct Options {
        RunnerCommand command;
        boundary::LayoutOptions layout;
    };

    /// What `parts` refers to must outlive this.
    Supervisor(const TrustedProcess::Parts& parts, Options options);

    /// One turn of the loop: traffic, deaths, starts, time limits.
    void turn(MonotonicTime now);
    /// How long the loop may wait for events; awake() comes next.
    Milliseconds rest();
    void awake();

    /// Asks the trusted side to finish within `drain_time`; ends it by force kStopGrace later.
    /// Again: at once.
    void stop(MonotonicTime now, Milliseconds drain_time);

    State state() const { return state_; }
    /// The process that takes connections now, or nullptr.
    TrustedProcess* accepting();
    std::size_t connection_count() const;
    /// Once stopped: whether the trusted side, if it ran, ended by itself because it was asked to.
    bool stopped_in_good_order() const { return in_good_order_; }

  private:
    void start(MonotonicTime now);
    void on_end(MonotonicTime now);
    void on_misbehaviour(MonotonicTime now, const Error& error);
    void on_stopping(MonotonicTime now);
    void plan_next_start(MonotonicTime now, const std::string& what_happened);

    TrustedProcess::Parts p_;
    Options options_;
    State state_ = State::kRunning;
    std::unique_ptr<TrustedProcess> process_;
    unsigned attempt_ = 0;  // since the last good run
    MonotonicTime started_{};
    MonotonicTime next_start_{};
    MonotonicTime stop_by_{};
    bool last_flush_ = false;  // stopping, and the process has ended in good order
    bool in_good_order_ = true;
};

}  // namespace eos::daemon
