// SPDX-License-Identifier: AGPL-3.0-only
// Each function here replaces libc's in the link. What the libraries of the TCB would ask the
// system is answered as an enclave must: time from the shared page, no environment, no process, no
// network, nothing to load. File opens are not here: the shim below libc answers them (in
// emulation/process the sandbox does), libc's own included.
#include "trusted/platform/libc/libc_overrides.h"

#include <sys/time.h>
#include <time.h>

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstddef>

#include "common/base/time.h"

namespace eos::platform {
namespace {

constexpr std::uint64_t kNanosecondsPerSecond = 1'000'000'000;

// The one mutable global of the trusted side: the C library's functions have no other way to it.
std::atomic<const TrustedClock*> libc_clock = nullptr;
std::atomic<std::uint64_t> refused_calls = 0;

std::uint64_t wall_ns() {
    const TrustedClock* clock = libc_clock.load(std::memory_order_acquire);
    return clock == nullptr ? 0 : clock->wall_ns();
}

std::uint64_t monotonic_ns() {
    const TrustedClock* clock = libc_clock.load(std::memory_order_acquire);
    return clock == nullptr ? 0 : clock->monotonic_ns();
}

[[maybe_unused]] int refuse(int error) {
    refused_calls.fetch_add(1, std::memory_order_relaxed);
    errno = error;
    return -1;
}

[[maybe_unused]] void* refuse_pointer() {
    refuse(ENOSYS);
    return nullptr;
}

}  // namespace

void set_libc_clock(const TrustedClock* clock) {
    libc_clock.store(clock, std::memory_order_release);
}

std::uint64_t refused_libc_calls() {
    return refused_calls.load(std::memory_order_relaxed);
}

}  // namespace eos::platform

using namespace eos::platform;

extern "C" {

// ---- time ---------------------------------------------------------------------------------------

time_t time(time_t* out) noexcept {
    auto now = static_cast<time_t>(wall_ns() / kNanosecondsPerSecond);
    if (out != nullptr) *out = now;
    return now;
}

int gettimeofday(timeval* out, void*) noexcept {
    std::uint64_t now = wall_ns();
    out->tv_sec = static_cast<time_t>(now / kNanosecondsPerSecond);
    out->tv_usec = static_cast<suseconds_t>(now % kNanosecondsPerSecond / 1000);
    return 0;
}

int clock_gettime(clockid_t id, timespec* out) noexcept {
    bool is_wall = id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE;
    std::uint64_t now = is_wall ? wall_ns() : monotonic_ns();
    out->tv_sec = static_cast<time_t>(now / kNanosecondsPerSecond);
    out->tv_nsec = static_cast<long>(now % kNanosecondsPerSecond);
    return 0;
}

// libc's reads the time zone from /etc/localtime first. Years 0 to 9999; else EOVERFLOW.
tm* gmtime_r(const time_t* when, tm* out) noexcept {
    constexpr time_t kFirst = -62167219200;  // 0000-01-01
    constexpr time_t kLast = 253402300799;   // 9999-12-31T23:59:59
    if (*when < kFirst || *when > kLast) {
        errno = EOVERFLOW;
        return nullptr;
    }
    eos::CivilTime civil = eos::to_civil({.seconds = *when});
    auto january_first = eos::from_civil({.year = civil.year});
    std::int64_t days = (*when - kFirst) / eos::kSecondsPerDay;
    *out = tm{};
    out->tm_year = civil.year - 1900;
    out->tm_mon = civil.month - 1;
    out->tm_mday = civil.day;
    out->tm_hour = civil.hour;
    out->tm_min = civil.minute;
    out->tm_sec = civil.second;
    out->tm_wday = static_cast<int>((days + 6) % 7);  // 0000-01-01 was a Saturday
    out->tm_yday = static_cast<int>((*when - january_first->seconds) / eos::kSecondsPerDay);
    out->tm_zone = "UTC";
    return out;
}

// The sanitizers' runtimes need the real ones of all that follows.
#ifndef EOS_SANITIZED

// ---- process and environment --------------------------------------------------------------------

int getpid() noexcept {
    return 1;
}

char* getenv(const char*) noexcept {
    return nullptr;
}

char* secure_getenv(const char*) noexcept {
    return nullptr;
}

void openlog(const char*, int, int) {}
void closelog() {}
void syslog(int, const char*, ...) {}
void __syslog_chk(int, int, const char*, ...) {}

// ---- dynamic linking ----------------------------------------------------------------------------

void* dlopen(const char*, int) noexcept {
    return refuse_pointer();
}

void* dlsym(void*, const char*) noexcept {
    return refuse_pointer();
}

int dlclose(void*) noexcept {
    return refuse(ENOSYS);
}

int dladdr(const void*, void*) noexcept {
    refuse(ENOSYS);
    return 0;
}

char* dlerror() noexcept {
    static char text[] = "no dynamic linking in an enclave";
    return text;
}

// ---- network ------------------------------------------------------------------------------------

int socket(int, int, int) noexcept {
    return refuse(EAFNOSUPPORT);
}

int bind(int, const void*, unsigned) noexcept {
    return refuse(ENOSYS);
}

int listen(int, int) noexcept {
    return refuse(ENOSYS);
}

int accept(int, void*, unsigned*) {
    return refuse(ENOSYS);
}

int connect(int, const void*, unsigned) {
    return refuse(ENOSYS);
}

int shutdown(int, int) noexcept {
    return refuse(ENOSYS);
}

int getsockname(int, void*, unsigned*) noexcept {
    return refuse(ENOSYS);
}

int getsockopt(int, int, int, void*, unsigned*) noexcept {
    return refuse(ENOSYS);
}

int setsockopt(int, int, int, const void*, unsigned) noexcept {
    return refuse(ENOSYS);
}

ssize_t sendto(int, const void*, std::size_t, int, const void*, unsigned) {
    return refuse(ENOSYS);
}

ssize_t recvfrom(int, void*, std::size_t, int, void*, unsigned*) {
    return refuse(ENOSYS);
}

ssize_t sendmsg(int, const void*, int) {
    return refuse(ENOSYS);
}

ssize_t recvmsg(int, void*, int) {
    return refuse(ENOSYS);
}

int getaddrinfo(const char*, const char*, const void*, void**) {
    constexpr int kAddressFamilyUnsupported = -6;  // EAI_FAMILY
    refuse(EAFNOSUPPORT);
    return kAddressFamilyUnsupported;
}

void freeaddrinfo(void*) noexcept {}

const char* gai_strerror(int) noexcept {
    return "no network in an enclave";
}

int getnameinfo(const void*, unsigned, char*, unsigned, char*, unsigned, int) {
    constexpr int kAddressFamilyUnsupported = -6;
    refuse(EAFNOSUPPORT);
    return kAddressFamilyUnsupported;
}

void* gethostbyname(const char*) {
    return refuse_pointer();
}

#endif  // EOS_SANITIZED

}  // extern "C"
