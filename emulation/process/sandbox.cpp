// SPDX-License-Identifier: AGPL-3.0-only
#include "emulation/process/sandbox.h"

#include <linux/audit.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <memory>
#include <string>

namespace eos::emulation::process {
namespace {

// What is allowed, and why. Every call that is in none of these tables ends the process.

struct Allowed {
    int call;
    const char* reason;
};
constexpr Allowed kAllowed[] = {
    {SCMP_SYS(futex), "mutexes, thread ends, and sleeping on a worker's bell"},
    {SCMP_SYS(munmap), "malloc and thread stacks give memory back"},
    {SCMP_SYS(madvise), "thread stacks are given back when threads end"},
    {SCMP_SYS(brk), "malloc"},
    {SCMP_SYS(clock_gettime), "condition variables with a deadline, where the vDSO cannot answer"},
    {SCMP_SYS(getrandom), "stands in for RDRAND and RDSEED"},
    {SCMP_SYS(rseq), "glibc registers each thread"},
    {SCMP_SYS(set_robust_list), "glibc registers each thread"},
    {SCMP_SYS(rt_sigprocmask), "glibc blocks signals while it starts a thread; abort()"},
    {SCMP_SYS(rt_sigreturn), "returning from the handler below"},
    {SCMP_SYS(restart_syscall), "the kernel resumes a futex wait after a stop"},
    {SCMP_SYS(sched_yield), "std::this_thread::yield"},
    {SCMP_SYS(gettid), "abort() names its thread"},
    {SCMP_SYS(getpid), "abort() names its process"},
    {SCMP_SYS(exit), "a thread ends"},
    {SCMP_SYS(exit_group), "the process ends"},
};

// Allowed under a condition on one argument.
struct Conditional {
    int call;
    scmp_arg_cmp condition;
    const char* reason;
};
const Conditional kConditional[] = {
    {SCMP_SYS(mprotect), SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0),
     "thread stacks get their guard; nothing becomes executable"},
    {SCMP_SYS(clone), SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD | CLONE_VM, CLONE_THREAD | CLONE_VM),
     "a worker thread starts; no new process"},
    {SCMP_SYS(rt_sigaction), SCMP_A0(SCMP_CMP_NE, SIGSYS),
     "glibc at the first thread, abort(); never the handler below"},
    {SCMP_SYS(tgkill), SCMP_A2(SCMP_CMP_EQ, SIGABRT), "abort() ends the process by its name"},
};

// Answered at once with an error, silently: libc asks at moments when signals are blocked, or goes
// another way without harm.
struct Answered {
    int call;
    int error;
    const char* reason;
};
constexpr Answered kAnswered[] = {
    {SCMP_SYS(clone3), ENOSYS, "its flags are out of the filter's sight: glibc then uses clone"},
    {SCMP_SYS(mremap), ENOSYS, "realloc then copies, as it must inside an enclave"},
    {SCMP_SYS(sysinfo), ENOSYS, "qsort asks for the memory size and does without"},
};

// Answered by the handler below, counted: in a correct program the counts stay 0.
struct Counted {
    int call;
    int error;
    enum Kind { kFileOpen, kOther } kind;
};
constexpr Counted kCounted[] = {
    {SYS_open, ENOENT, Counted::kFileOpen},
    {SYS_openat, ENOENT, Counted::kFileOpen},
    {SYS_openat2, ENOENT, Counted::kFileOpen},
    {SYS_creat, ENOENT, Counted::kFileOpen},
    {SYS_stat, ENOENT, Counted::kFileOpen},
    {SYS_lstat, ENOENT, Counted::kFileOpen},
    {SYS_newfstatat, ENOENT, Counted::kFileOpen},
    {SYS_statx, ENOENT, Counted::kFileOpen},
    {SYS_access, ENOENT, Counted::kFileOpen},
    {SYS_faccessat, ENOENT, Counted::kFileOpen},
    {SYS_faccessat2, ENOENT, Counted::kFileOpen},
    {SYS_readlink, ENOENT, Counted::kFileOpen},
    {SYS_readlinkat, ENOENT, Counted::kFileOpen},
    {SYS_read, EBADF, Counted::kOther},
    {SYS_write, EBADF, Counted::kOther},
    {SYS_writev, EBADF, Counted::kOther},
    {SYS_close, EBADF, Counted::kOther},
    {SYS_fstat, EBADF, Counted::kOther},
    {SYS_lseek, EBADF, Counted::kOther},
    {SYS_ioctl, ENOTTY, Counted::kOther},
    {SYS_sched_getaffinity, ENOSYS, Counted::kOther},
};

std::atomic<std::uint64_t> file_opens = 0;
std::atomic<std::uint64_t> other_calls = 0;

// Gives a trapped call its answer. Async-signal-safe: two atomics and a register.
void answer_call(int, siginfo_t* info, void* context) {
    for (const Counted& row : kCounted) {
        if (row.call != info->si_syscall) continue;
        (row.kind == Counted::kFileOpen ? file_opens : other_calls).fetch_add(1);
        static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_RAX] = -row.error;
        return;
    }
    _exit(128 + SIGSYS);  // not reached: the filter traps the calls of the table only
}

Result<void> check(int outcome, const char* what) {
    if (outcome == 0) return {};
    return fail(sandbox_failed, std::string(what) + ": error " + std::to_string(-outcome));
}

struct Release {
    void operator()(void* filter) const { seccomp_release(filter); }
};
using Filter = std::unique_ptr<void, Release>;

Result<void> add_rules(void* filter, int notify_fd, Stderr standard_error) {
    for (const Allowed& row : kAllowed)
        EOS_TRY(check(seccomp_rule_add(filter, SCMP_ACT_ALLOW, row.call, 0), row.reason));
    for (const Conditional& row : kConditional)
        EOS_TRY(check(seccomp_rule_add(filter, SCMP_ACT_ALLOW, row.call, 1, row.condition),
                      row.reason));
    for (const Answered& row : kAnswered)
        EOS_TRY(
            check(seccomp_rule_add(filter, SCMP_ACT_ERRNO(static_cast<std::uint16_t>(row.error)),
                                   row.call, 0),
                  row.reason));
    for (const Counted& row : kCounted) {
        if (row.call == SYS_write) continue;  // below: it depends on the descriptor
        EOS_TRY(check(seccomp_rule_add(filter, SCMP_ACT_TRAP, row.call, 0), "counted calls"));
    }
    // Memory for malloc and stacks: anonymous, never executable.
    EOS_TRY(check(seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 2,
                                   SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0),
                                   SCMP_A3(SCMP_CMP_MASKED_EQ, MAP_ANONYMOUS, MAP_ANONYMOUS)),
                  "mmap"));
    // The one way to wake the host: 8 bytes to the eventfd.
    auto notify = static_cast<scmp_datum_t>(notify_fd);
    EOS_TRY(check(seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(write), 2,
                                   SCMP_A0(SCMP_CMP_EQ, notify), SCMP_A2(SCMP_CMP_EQ, 8)),
                  "write"));
    if (standard_error == Stderr::kKept)
        return check(seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(write), 1,
                                      SCMP_A0(SCMP_CMP_EQ, STDERR_FILENO)),
                     "write to standard error");
    // What is printed goes nowhere, and the printer goes on: abort() must still be reached.
    return check(seccomp_rule_add(filter, SCMP_ACT_TRAP, SCMP_SYS(write), 1,
                                  SCMP_A0(SCMP_CMP_EQ, STDERR_FILENO)),
                 "write to standard error");
}

}  // namespace

Result<void> close_sandbox(int notify_fd, Stderr standard_error) {
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return fail(sandbox_failed, "PR_SET_NO_NEW_PRIVS");
    if (!kHasSandbox) return {};

    struct sigaction action{};
    action.sa_sigaction = answer_call;
    action.sa_flags = SA_SIGINFO;
    if (sigaction(SIGSYS, &action, nullptr) != 0) return fail(sandbox_failed, "SIGSYS handler");

    // Other architectures' calls are killed too: that is libseccomp's default.
    Filter filter(seccomp_init(SCMP_ACT_KILL_PROCESS));
    if (filter == nullptr) return fail(sandbox_failed, "out of memory");
    EOS_TRY(add_rules(filter.get(), notify_fd, standard_error));
    return check(seccomp_load(filter.get()), "loading the filter");
}

std::uint64_t sandbox_file_opens() {
    return file_opens.load();
}

std::uint64_t sandbox_other_calls() {
    return other_calls.load();
}

}  // namespace eos::emulation::process
