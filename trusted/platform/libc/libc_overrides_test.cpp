// SPDX-License-Identifier: AGPL-3.0-only
// This program links the overrides, so every call below is the enclave's.
#include "trusted/platform/libc/libc_overrides.h"

#include <gtest/gtest.h>
#include <netdb.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <ctime>
#include <random>

#include "boundary/test_block.h"

namespace eos::platform {
namespace {

TEST(LibcOverrides, TimeComesFromTheSharedPage) {
    boundary::TestBlock block({});
    boundary::TimePageWriter host(block.layout().time());
    host.write({.wall_ns = 1'900'000'000'123'456'789, .monotonic_ns = 5'000'000'042});
    TrustedClock clock(block.layout().time());
    set_libc_clock(&clock);
    time_t stored = 0;
    time_t now = time(&stored);
    timeval of_day{};
    gettimeofday(&of_day, nullptr);
    timespec wall{}, monotonic{};
    clock_gettime(CLOCK_REALTIME, &wall);
    clock_gettime(CLOCK_MONOTONIC, &monotonic);
    set_libc_clock(nullptr);
    EXPECT_EQ(now, 1'900'000'000);
    EXPECT_EQ(stored, now);
    EXPECT_EQ(of_day.tv_sec, now);
    EXPECT_EQ(of_day.tv_usec, 123'456);
    EXPECT_EQ(wall.tv_sec, now);
    EXPECT_EQ(wall.tv_nsec, 123'456'789);
    EXPECT_EQ(monotonic.tv_sec, 5);
    EXPECT_EQ(monotonic.tv_nsec, 42);
    EXPECT_EQ(time(nullptr), 0);
}

// timegm is libc's own and needs no time zone file.
TEST(LibcOverrides, GmtimeIsTheInverseOfTimegm) {
    std::mt19937_64 random(4);
    std::uniform_int_distribution<time_t> any(-62167219200, 253402300799);
    for (int i = 0; i < 20000; ++i) {
        time_t when = i == 0 ? -62167219200 : i == 1 ? 253402300799 : any(random);
        tm ours{};
        ASSERT_EQ(gmtime_r(&when, &ours), &ours);
        tm theirs = ours;
        ASSERT_EQ(timegm(&theirs), when);
        ASSERT_EQ(ours.tm_wday, theirs.tm_wday) << when;
        ASSERT_EQ(ours.tm_yday, theirs.tm_yday) << when;
        ASSERT_EQ(ours.tm_mon, theirs.tm_mon) << when;
        ASSERT_EQ(ours.tm_year, theirs.tm_year) << when;
    }
}

TEST(LibcOverrides, GmtimeRefusesYearsItCannotTell) {
    for (time_t when : {time_t{-62167219201}, time_t{253402300800}}) {
        tm out{};
        errno = 0;
        EXPECT_EQ(gmtime_r(&when, &out), nullptr);
        EXPECT_EQ(errno, EOVERFLOW);
    }
}

#ifndef EOS_SANITIZED
TEST(LibcOverrides, ThereIsNoProcessAndNoEnvironment) {
    EXPECT_EQ(getpid(), 1);
    EXPECT_EQ(std::getenv("PATH"), nullptr);
    EXPECT_EQ(secure_getenv("PATH"), nullptr);
}

TEST(LibcOverrides, NetworkIsRefusedAndCounted) {
    std::uint64_t before = refused_libc_calls();
    errno = 0;
    EXPECT_EQ(socket(AF_INET, SOCK_STREAM, 0), -1);
    EXPECT_EQ(errno, EAFNOSUPPORT);
    addrinfo* found = nullptr;
    EXPECT_EQ(getaddrinfo("localhost", "443", nullptr, &found), EAI_FAMILY);
    EXPECT_EQ(gethostbyname("localhost"), nullptr);
    EXPECT_EQ(refused_libc_calls(), before + 3);
}
#endif

}  // namespace
}  // namespace eos::platform
