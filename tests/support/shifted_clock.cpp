// SPDX-License-Identifier: AGPL-3.0-only
// Preloaded into the daemon and the CLI by end-to-end tests: the wall clock of the process runs
// ahead by the seconds (8 bytes, little endian) in the file that EOS_TEST_CLOCK_SHIFT names. What a
// host could do to its own clock, without doing it to this machine's; no program knows of it.
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <ctime>

namespace {

const volatile std::int64_t* open_shift() {
    const char* path = std::getenv("EOS_TEST_CLOCK_SHIFT");
    int file = path == nullptr ? -1 : ::open(path, O_RDONLY | O_CLOEXEC);
    void* page = ::mmap(nullptr, sizeof(std::int64_t), PROT_READ, MAP_SHARED, file, 0);
    if (page == MAP_FAILED) std::abort();  // the test set it up wrongly
    ::close(file);
    return static_cast<const volatile std::int64_t*>(page);
}

std::int64_t shift_seconds() {
    static const volatile std::int64_t* const shift = open_shift();
    return *shift;
}

}  // namespace

extern "C" {

int clock_gettime(clockid_t clock, struct timespec* time) noexcept {
    using Function = int (*)(clockid_t, struct timespec*);
    static const auto real = reinterpret_cast<Function>(::dlsym(RTLD_NEXT, "clock_gettime"));
    const int result = real(clock, time);
    if (result == 0 && clock == CLOCK_REALTIME) time->tv_sec += shift_seconds();
    return result;
}

time_t time(time_t* out) noexcept {
    struct timespec now = {};
    clock_gettime(CLOCK_REALTIME, &now);
    if (out != nullptr) *out = now.tv_sec;
    return now.tv_sec;
}
}
