// SPDX-License-Identifier: AGPL-3.0-only
#include "untrusted/daemon/runner_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <array>
#include <cstring>

#include "boundary/exit_codes.h"
#include "untrusted/daemon/system_error.h"

namespace eos::daemon {
namespace {

constexpr int kBlockFd = 3;
constexpr int kNotifyFd = 4;
constexpr int kFirstSpareFd = 16;  // above the fixed numbers, so that dup2 never hits its source

/// All that the child needs, made before the fork: after it only async-signal-safe calls are made.
struct ChildPlan {
    std::vector<char*> arguments;
    int block_fd;
    int notify_fd;
    int output_fd;
    int null_fd;
    int error_fd;
    pid_t parent;
};

[[noreturn]] void give_up(int error_fd) {
    const int number = errno;
    [[maybe_unused]] const ssize_t sent = ::write(error_fd, &number, sizeof(number));
    ::_exit(127);
}

[[noreturn]] void run_child(const ChildPlan& plan) {
    // The runner must not outlive the daemon: without it the enclave would spin on dead rings.
    if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) give_up(plan.error_fd);
    if (::getppid() != plan.parent) ::_exit(127);  // the daemon died before the line above
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::signal(SIGPIPE, SIG_DFL);
    if (::dup2(plan.null_fd, STDIN_FILENO) < 0 || ::dup2(plan.block_fd, kBlockFd) < 0 ||
        ::dup2(plan.notify_fd, kNotifyFd) < 0 || ::dup2(plan.output_fd, STDOUT_FILENO) < 0 ||
        ::dup2(plan.output_fd, STDERR_FILENO) < 0) {
        give_up(plan.error_fd);
    }
    // All our descriptors are close-on-exec; this catches what a library forgot.
    ::syscall(SYS_close_range, kNotifyFd + 1, ~0U, 4U /* CLOSE_RANGE_CLOEXEC */);
    ::execv(plan.arguments.front(), plan.arguments.data());
    give_up(plan.error_fd);
}

Result<UniqueFd> duplicate_high(int fd) {
    UniqueFd copy(::fcntl(fd, F_DUPFD_CLOEXEC, kFirstSpareFd));
    if (!copy) return fail(runner_not_started, system_error_text("dup"));
    return copy;
}

/// The errno that kept the child from becoming the runner, or 0.
int read_child_error(int fd) {
    int number = 0;
    ssize_t got = 0;
    do {
        got = ::read(fd, &number, sizeof(number));
    } while (got < 0 && errno == EINTR);
    return got == sizeof(number) ? number : 0;
}

}  // namespace

std::string ProcessEnd::describe() const {
    if (kind == Kind::kExited) {
        std::string_view meaning = boundary::describe_exit_code(value);
        return "exited with code " + std::to_string(value) +
               (meaning.empty() ? "" : ": " + std::string(meaning));
    }
    const char* name = ::sigabbrev_np(value);
    return "was killed by signal " + std::to_string(value) + " (" +
           (name != nullptr ? name : "unknown") + ")";
}

Result<std::unique_ptr<RunnerProcess>> RunnerProcess::start(const RunnerCommand& command,
                                                            const RunnerDescriptors& descriptors) {
    UniqueFd block = EOS_TRY(duplicate_high(descriptors.block_fd));
    UniqueFd notify = EOS_TRY(duplicate_high(descriptors.notify_fd));
    UniqueFd output = EOS_TRY(duplicate_high(descriptors.output_fd));
    UniqueFd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    std::array<int, 2> ends{-1, -1};
    if (!null || ::pipe2(ends.data(), O_CLOEXEC) != 0) {
        return fail(runner_not_started, system_error_text(command.path));
    }
    UniqueFd error_in(ends[0]);
    UniqueFd error_out(ends[1]);
    UniqueFd error_high = EOS_TRY(duplicate_high(error_out.get()));
    error_out.reset();

    std::vector<std::string> words{command.path};
    words.insert(words.end(), command.arguments.begin(), command.arguments.end());
    ChildPlan plan{.block_fd = block.get(),
                   .notify_fd = notify.get(),
                   .output_fd = output.get(),
                   .null_fd = null.get(),
                   .error_fd = error_high.get(),
                   .parent = ::getpid()};
    for (std::string& word : words) plan.arguments.push_back(word.data());
    plan.arguments.push_back(nullptr);

    pid_t pid = ::fork();
    if (pid < 0) return fail(runner_not_started, system_error_text("fork"));
    if (pid == 0) run_child(plan);

    error_high.reset();
    UniqueFd pid_fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    std::unique_ptr<RunnerProcess> process(new RunnerProcess(pid, std::move(pid_fd)));
    if (process->pid_fd() < 0) return fail(runner_not_started, system_error_text("pidfd_open"));
    if (int number = read_child_error(error_in.get()); number != 0) {
        return fail(runner_not_started, system_error_text(command.path, number));
    }
    return process;
}

RunnerProcess::~RunnerProcess() {
    if (reaped_) return;
    kill();
    ::waitpid(pid_, nullptr, 0);
}

void RunnerProcess::kill() {
    if (!reaped_) ::kill(pid_, SIGKILL);
}

std::optional<ProcessEnd> RunnerProcess::reap() {
    int status = 0;
    if (reaped_ || ::waitpid(pid_, &status, WNOHANG) != pid_) return std::nullopt;
    reaped_ = true;
    if (WIFSIGNALED(status)) return ProcessEnd{ProcessEnd::Kind::kKilled, WTERMSIG(status)};
    return ProcessEnd{ProcessEnd::Kind::kExited, WEXITSTATUS(status)};
}

}  // namespace eos::daemon
