// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/virtual/minter/sandbox.h"

#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <memory>
#include <string>

#include "trusted/virtual/evidence/guest_device.h"

namespace eos::cvm {
namespace {

struct Allowed {
    int call;
    const char* reason;
};
// What is allowed, and why. Every call that is in none of these tables ends the process.
constexpr Allowed kAllowed[] = {
    {SCMP_SYS(read), "files, events, signals"},
    {SCMP_SYS(write), "files, the log, waking the loop"},
    {SCMP_SYS(readv), "C++ streams"},
    {SCMP_SYS(writev), "C++ streams"},
    {SCMP_SYS(pread64), "files"},
    {SCMP_SYS(pwrite64), "a measurement register is written at its beginning"},
    {SCMP_SYS(lseek), "C++ streams"},
    {SCMP_SYS(close), "descriptors"},
    {SCMP_SYS(fstat), "sizes of files"},
    {SCMP_SYS(newfstatat), "the same"},
    {SCMP_SYS(statx), "the same"},
    {SCMP_SYS(access), "whether the log of the register is there"},
    {SCMP_SYS(faccessat), "the same"},
    {SCMP_SYS(faccessat2), "the same"},
    {SCMP_SYS(openat), "configuration, state, configfs-tsm"},
    {SCMP_SYS(open), "the same, as older libraries spell it"},
    {SCMP_SYS(mkdirat), "a request to configfs-tsm is a directory"},
    {SCMP_SYS(mkdir), "the same"},
    {SCMP_SYS(unlinkat), "that directory again; what a crash left"},
    {SCMP_SYS(rmdir), "the same"},
    {SCMP_SYS(rename), "state and log of the register are replaced whole"},
    {SCMP_SYS(renameat), "the same"},
    {SCMP_SYS(renameat2), "the same"},
    {SCMP_SYS(fsync), "the same"},
    {SCMP_SYS(fdatasync), "the same"},
    {SCMP_SYS(ftruncate), "the same"},
    {SCMP_SYS(fcntl), "flags of descriptors"},
    {SCMP_SYS(getdents64), "which providers there are"},
    {SCMP_SYS(accept4), "the proxy comes"},
    {SCMP_SYS(getsockopt), "and says who it is"},
    {SCMP_SYS(recvfrom), "and is heard"},
    {SCMP_SYS(sendto), "and answered"},
    {SCMP_SYS(shutdown), "and goes"},
    {SCMP_SYS(epoll_wait), "the loop"},
    {SCMP_SYS(epoll_pwait), "the loop"},
    {SCMP_SYS(epoll_ctl), "the loop"},
    {SCMP_SYS(futex), "mutexes, the quote thread"},
    {SCMP_SYS(munmap), "malloc gives memory back"},
    {SCMP_SYS(mremap), "realloc"},
    {SCMP_SYS(madvise), "malloc, thread stacks"},
    {SCMP_SYS(brk), "malloc"},
    {SCMP_SYS(clock_gettime), "where the vDSO cannot answer"},
    {SCMP_SYS(clock_nanosleep), "between two attempts at the kernel"},
    {SCMP_SYS(nanosleep), "the same"},
    {SCMP_SYS(getrandom), "keys"},
    {SCMP_SYS(getpid), "libcrypto asks whether it was forked"},
    {SCMP_SYS(gettid), "abort() names its thread"},
    {SCMP_SYS(sched_yield), "std::this_thread::yield"},
    {SCMP_SYS(rseq), "glibc"},
    {SCMP_SYS(set_robust_list), "glibc"},
    {SCMP_SYS(rt_sigprocmask), "glibc; abort()"},
    {SCMP_SYS(rt_sigreturn), "the end of a signal's handler"},
    {SCMP_SYS(rt_sigaction), "abort()"},
    {SCMP_SYS(restart_syscall), "after a stop"},
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
    {SCMP_SYS(mmap), SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0), "malloc, thread stacks"},
    {SCMP_SYS(mprotect), SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0), "thread stacks"},
    {SCMP_SYS(ioctl), SCMP_A1(SCMP_CMP_EQ, kSnpGetExtendedReport), "/dev/sev-guest"},
    {SCMP_SYS(tgkill), SCMP_A2(SCMP_CMP_EQ, SIGABRT), "abort()"},
};

struct Release {
    void operator()(void* filter) const { seccomp_release(filter); }
};

[[maybe_unused]] Result<void> check(int outcome, const char* what) {
    if (outcome == 0) return {};
    return fail(sandbox_failed, std::string(what) + ": error " + std::to_string(-outcome));
}

[[maybe_unused]] Result<void> load_filter() {
    std::unique_ptr<void, Release> filter(seccomp_init(SCMP_ACT_KILL_PROCESS));
    if (filter == nullptr) return fail(sandbox_failed);
    for (const Allowed& row : kAllowed)
        EOS_TRY(check(seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, row.call, 0), row.reason));
    for (const Conditional& row : kConditional)
        EOS_TRY(check(seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, row.call, 1, row.condition),
                      row.reason));
    // The quote thread is there already.
    EOS_TRY(check(seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_TSYNC, 1), "all threads"));
    return check(seccomp_load(filter.get()), "load");
}

}  // namespace

Result<SandboxKind> close_sandbox() {
#ifdef EOS_SANITIZED
    return SandboxKind::kNone;
#else
    EOS_TRY(load_filter());
    return SandboxKind::kFilter;
#endif
}

}  // namespace eos::cvm
