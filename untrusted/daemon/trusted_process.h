// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <deque>
#include <memory>
#include <optional>

#include "boundary/time_page.h"
#include "untrusted/daemon/host_services.h"
#include "untrusted/daemon/line_reader.h"
#include "untrusted/daemon/runner_process.h"
#include "untrusted/daemon/shared_block.h"
#include "untrusted/daemon/traffic.h"

namespace eos::daemon {

/// One run of the trusted side: its process, its memory, its connections. Nothing of it survives
/// it; the next run gets everything new. threads: the loop's.
class TrustedProcess : private EventHandler, private boundary::HostSignals {
  public:
    struct Parts {
        EventLoop& loop;
        HostServices& services;
        ConnectionIds& ids;
        Counters& counters;
        Health& health;
        const Log& log;
    };

    /// Makes the shared block and starts the runner. All parts must outlive this.
    /// errors:  no_shared_block, boundary::bad_layout, runner_not_started.
    [[nodiscard]] static Result<std::unique_ptr<TrustedProcess>> start(
        const Parts& parts, const RunnerCommand& command, const boundary::LayoutOptions& layout);
    /// Kills the process if it still runs, resets its connections.
    ~TrustedProcess() override;
    TrustedProcess(const TrustedProcess&) = delete;
    TrustedProcess& operator=(const TrustedProcess&) = delete;

    /// Moves messages both ways until the rings are empty or a bound of work is reached, and keeps
    /// the time page.
    /// errors:  whatever the trusted side did wrong: it can only be killed.
    [[nodiscard]] Result<void> turn(MonotonicTime now);

    /// The turn for a process that has ended: until all it left has been taken.
    /// errors:  as turn().
    [[nodiscard]] Result<void> last_turn(MonotonicTime now);

    /// Makes visible what turn() left, spins if an answer is likely soon, else announces sleep. For
    /// so long the loop may wait for events; then it calls awake() and the next turn().
    Milliseconds rest();
    void awake();

    /// How the process ended, once it has.
    const std::optional<ProcessEnd>& end() const { return end_; }
    /// The reason it gave before it ended, if any.
    std::optional<boundary::Exit::Why> exit_reason() const { return exit_reason_; }
    /// "exited with code 33 (it said: …)", for a person; end() must have come (asserted).
    std::string describe_end() const;

    /// Asks every worker to finish within `time`.
    /// errors:  as turn().
    [[nodiscard]] Result<void> ask_to_stop(Milliseconds time);
    void kill() { process_->kill(); }

    Traffic& traffic() { return *traffic_; }
    const Traffic& traffic() const { return *traffic_; }
    pid_t pid() const { return process_->pid(); }

  private:
    /// Watches the process for its end.
    class EndWatch : public EventHandler {
      public:
        explicit EndWatch(TrustedProcess& owner) : owner_(owner) {}
        void on_events(std::uint32_t events) override;

      private:
        TrustedProcess& owner_;
    };

    TrustedProcess(const Parts& parts, std::unique_ptr<SharedBlock> block, UniqueFd notify);

    void on_events(std::uint32_t events) override;  // the eventfd: the process rings
    void wake(unsigned worker) override;            // the futex: we ring

    Result<void> receive(WorkerLink& link);
    Result<void> on_request(WorkerLink& link, boundary::RpcToHost request);
    HostServices::Answer answer_to(unsigned worker);
    void print(const boundary::Log& line);
    void print_output(std::string_view line);
    bool may_print();
    void write_time();
    void watch_for_stuck_workers();
    bool has_work() const;
    bool spin();

    Parts p_;
    std::unique_ptr<SharedBlock> block_;
    UniqueFd notify_;
    boundary::TimePageWriter time_page_;
    std::deque<WorkerLink> links_;
    std::unique_ptr<Traffic> traffic_;
    std::optional<LineReader> output_;  // what the runner itself says, before the sandbox closes
    std::unique_ptr<RunnerProcess> process_;
    EndWatch end_watch_;
    boundary::AdaptiveSpin spin_;
    bool more_to_receive_ = false;
    MonotonicTime now_{};
    MonotonicTime last_message_{};
    std::optional<ProcessEnd> end_;
    std::optional<boundary::Exit::Why> exit_reason_;
    std::optional<Error> failure_;  // of an answer that came between turns
    double log_tokens_ = 0;
    MonotonicTime log_refilled_{};
    std::shared_ptr<TrustedProcess*> self_;  // answers hold it weakly
};

}  // namespace eos::daemon
