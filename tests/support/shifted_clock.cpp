// SPDX-License-Identifier: AGPL-3.0-only
// Preloaded into the daemon and the CLI by end-to-end tests: the wall clock of the process runs
// ahead by the seconds (8 bytes, little endian) in the file that EOS_TEST_CLOCK_SHIFT names. What a
// host could do to its own clock, without doing it to this machine's; no program knows of it.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <ctime>

namespace {

// Null until the program's own start-up begins: a sanitizer asks for the time long before.
const volatile std::int64_t* shift_seconds = nullptr;

[[gnu::constructor]] void open_shift() {
    const char* path = std::getenv("EOS_TEST_CLOCK_SHIFT");
    int file = path == nullptr ? -1 : ::open(path, O_RDONLY | O_CLOEXEC);
    void* page = ::mmap(nullptr, sizeof(std::int64_t), PROT_READ, MAP_SHARED, file, 0);
    if (page == MAP_FAILED) std::abort();  // the test set it up wrongly
    ::close(file);
    shift_seconds = static_cast<const volatile std::int64_t*>(page);
}

}  // namespace

extern "C" {

int clock_gettime(clockid_t clock, struct timespec* time) noexcept {
    const long result = ::syscall(SYS_clock_gettime, clock, time);
    if (result == 0 && clock == CLOCK_REALTIME && shift_seconds != nullptr) {
        time->tv_sec += *shift_seconds;
    }
    return static_cast<int>(result);
}

time_t time(time_t* out) noexcept {
    struct timespec now = {};
    clock_gettime(CLOCK_REALTIME, &now);
    if (out != nullptr) *out = now.tv_sec;
    return now.tv_sec;
}
}
