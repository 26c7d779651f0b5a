// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "untrusted/daemon/unique_fd.h"

namespace eos::daemon {

inline constexpr Code runner_not_started{"untrusted/daemon", "runner_not_started",
                                         "the runner cannot be started"};

/// What is started, and with which arguments.
struct RunnerCommand {
    std::string path;
    std::vector<std::string> arguments;
};

/// What a runner finds at fixed descriptor numbers. Borrowed from the daemon.
struct RunnerDescriptors {
    int block_fd;   ///< becomes 3: the shared block
    int notify_fd;  ///< becomes 4: an eventfd that wakes the daemon
    int output_fd;  ///< becomes 1 and 2: where its own words go
};

/// How a process ended.
struct ProcessEnd {
    enum class Kind { kExited, kKilled };
    Kind kind = Kind::kExited;
    int value = 0;  ///< exit code or signal number

    /// "exited with code 3", "was killed by signal 9 (KILL)".
    std::string describe() const;
};

/// A running child that owns the trusted side. It dies with the thread that started it, which must
/// therefore be the main thread. threads: that one.
class RunnerProcess {
  public:
    /// errors: runner_not_started (missing, not executable, no process to be had, …).
    [[nodiscard]] static Result<std::unique_ptr<RunnerProcess>> start(
        const RunnerCommand& command, const RunnerDescriptors& descriptors);
    /// Kills and reaps what still runs.
    ~RunnerProcess();
    RunnerProcess(const RunnerProcess&) = delete;
    RunnerProcess& operator=(const RunnerProcess&) = delete;

    pid_t pid() const { return pid_; }
    /// Readable when the process has ended.
    int pid_fd() const { return pid_fd_.get(); }
    void kill();
    /// How it ended, once it has; reaps it.
    std::optional<ProcessEnd> reap();

  private:
    RunnerProcess(pid_t pid, UniqueFd pid_fd) : pid_(pid), pid_fd_(std::move(pid_fd)) {}

    pid_t pid_;
    UniqueFd pid_fd_;
    bool reaped_ = false;
};

}  // namespace eos::daemon
