// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/wasm/wasi.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "trusted/wasm/test_heap.h"
#include "trusted/wasm/test_world.h"

namespace eos::wasm {
namespace {

constexpr std::uint32_t kSuccess = 0;
constexpr std::uint32_t kBadF = 8;
constexpr std::uint32_t kFault = 21;
constexpr std::uint32_t kInval = 28;
constexpr std::uint32_t kNoSys = 52;
constexpr std::uint32_t kNotDir = 54;
constexpr std::uint32_t kSPipe = 70;
constexpr std::uint32_t kNotCapable = 76;

// Calls functions by name, over one page of guest memory.
class WasiTest : public ::testing::Test {
  protected:
    WasiTest() { restart({}); }

    void restart(WasiProgram program) {
        wasi_ = std::make_unique<Wasi>(world_.world(), std::move(program));
    }

    HostOutcome outcome(std::string_view name, const std::vector<std::uint64_t>& args) {
        const auto found = std::ranges::find(functions_, name, &HostFunction::name);
        EXPECT_NE(found, functions_.end()) << name;
        Values values;
        for (std::size_t i = 0; i < args.size(); ++i) {
            values.push_back({found->type.params.at(i), args[i]});
        }
        EXPECT_EQ(values.size(), found->type.params.size());
        HostContext context{GuestMemory(memory_), 0};
        return wasi_->call(static_cast<std::uint32_t>(found - functions_.begin()), values, context);
    }
    std::uint32_t call(std::string_view name, const std::vector<std::uint64_t>& args) {
        return std::get<HostReturn>(outcome(name, args)).value->as_u32();
    }
    template <typename T>
    T at(std::uint32_t address) {
        return *GuestMemory(memory_).load<T>(address);
    }
    void put(std::uint32_t address, std::initializer_list<std::uint32_t> words) {
        for (std::uint32_t word : words) {
            EXPECT_TRUE(GuestMemory(memory_).store(address, word));
            address += 4;
        }
    }
    std::string text(std::uint32_t address, std::uint32_t size) {
        return std::string(as_chars(*GuestMemory(memory_).at(address, size)));
    }

    testing::TestWorld world_;
    std::vector<HostFunction> functions_ = wasi_functions();
    Bytes memory_ = Bytes(kPageBytes);
    std::unique_ptr<Wasi> wasi_;
};

TEST_F(WasiTest, OffersAllOfPreviewOne) {
    EXPECT_EQ(functions_.size(), 46u);
    for (const HostFunction& function : functions_) {
        EXPECT_EQ(function.module, "wasi_snapshot_preview1");
    }
}

TEST_F(WasiTest, ArgumentsAndEnvironment) {
    restart({.arguments = {"app", "--x"}, .environment = {{"A", "1"}, {"B", ""}}, .input = {}});
    EXPECT_EQ(call("args_sizes_get", {0, 4}), kSuccess);
    EXPECT_EQ(at<std::uint32_t>(0), 2u);
    EXPECT_EQ(at<std::uint32_t>(4), 8u);
    EXPECT_EQ(call("args_get", {16, 100}), kSuccess);
    EXPECT_EQ(at<std::uint32_t>(16), 100u);
    EXPECT_EQ(at<std::uint32_t>(20), 104u);
    EXPECT_EQ(text(100, 8), std::string("app\0--x\0", 8));
    EXPECT_EQ(call("environ_sizes_get", {0, 4}), kSuccess);
    EXPECT_EQ(at<std::uint32_t>(4), 7u);
    EXPECT_EQ(call("environ_get", {16, 100}), kSuccess);
    EXPECT_EQ(text(100, 7), std::string("A=1\0B=\0", 7));
}

TEST_F(WasiTest, EachClockSaysItsOwnStep) {
    EXPECT_EQ(call("clock_res_get", {0, 8}), kSuccess);
    EXPECT_EQ(at<std::uint64_t>(8), 1'000'000'000u);
    EXPECT_EQ(call("clock_res_get", {1, 8}), kSuccess);
    EXPECT_EQ(at<std::uint64_t>(8), 1'000'000u);
}

TEST_F(WasiTest, PointersOutsideTheMemoryAreFaults) {
    restart({.arguments = {"app"}, .environment = {}, .input = SecretBytes(to_bytes("x"))});
    const std::uint64_t last = kPageBytes - 1;
    for (std::uint64_t bad : {last, std::uint64_t{kPageBytes}, std::uint64_t{0xffff'ffff}}) {
        EXPECT_EQ(call("args_sizes_get", {0, bad}), kFault);
        EXPECT_EQ(call("args_sizes_get", {bad, 0}), kFault);
        EXPECT_EQ(call("args_get", {bad, 0}), kFault);
        EXPECT_EQ(call("args_get", {0, bad}), kFault);
        EXPECT_EQ(call("clock_time_get", {0, 0, bad}), kFault);
        EXPECT_EQ(call("clock_res_get", {0, bad}), kFault);
        EXPECT_EQ(call("random_get", {bad, 2}), kFault);
        EXPECT_EQ(call("fd_fdstat_get", {0, bad}), kFault);
        EXPECT_EQ(call("fd_filestat_get", {0, bad}), kFault);
        EXPECT_EQ(call("fd_read", {0, bad, 1, 0}), kFault);
        EXPECT_EQ(call("fd_write", {1, bad, 1, 0}), kFault);
        EXPECT_EQ(call("poll_oneoff", {bad, 0, 1, 0}), kFault);
        EXPECT_EQ(call("poll_oneoff", {0, bad, 1, 0}), kFault);
        // A good list whose entry points outside, and a bad place for the count.
        put(8, {static_cast<std::uint32_t>(bad), 2});
        EXPECT_EQ(call("fd_read", {0, 8, 1, 0}), kFault);
        EXPECT_EQ(call("fd_write", {2, 8, 1, 0}), kFault);
        EXPECT_EQ(call("fd_write", {1, 8, 0, bad}), kFault);
    }
    EXPECT_TRUE(wasi_->output().empty());
    EXPECT_EQ(world_.log, "");
}

TEST_F(WasiTest, ReadsTheInputToItsEnd) {
    restart({.arguments = {}, .environment = {}, .input = SecretBytes(to_bytes("hello"))});
    put(0, {100, 3, 200, 10});
    EXPECT_EQ(call("fd_read", {0, 0, 2, 64}), kSuccess);
    EXPECT_EQ(at<std::uint32_t>(64), 5u);
    EXPECT_EQ(text(100, 3) + text(200, 2), "hello");
    EXPECT_EQ(call("fd_read", {0, 0, 2, 64}), kSuccess);
    EXPECT_EQ(at<std::uint32_t>(64), 0u);
    EXPECT_EQ(call("fd_read", {1, 0, 2, 64}), kNotCapable);
    EXPECT_EQ(call("fd_read", {3, 0, 2, 64}), kBadF);
}

TEST_F(WasiTest, OutputIsBoundedAndStandardErrorGoesToTheLog) {
    restart({.arguments = {}, .environment = {}, .input = {}, .output_limit_bytes = 8});
    std::ranges::fill(memory_, std::byte{'x'});
    put(0, {100, 5});
    EXPECT_EQ(call("fd_write", {1, 0, 1, 64}), kSuccess);
    EXPECT_EQ(as_chars(wasi_->output()), "xxxxx");
    EXPECT_EQ(std::get<Trap>(outcome("fd_write", {1, 0, 1, 64})).code, TrapCode::kOutputLimit);
    EXPECT_EQ(wasi_->output().size(), 5u);
    EXPECT_EQ(call("fd_write", {2, 0, 1, 64}), kSuccess);
    EXPECT_EQ(world_.log, "xxxxx");
    EXPECT_EQ(call("fd_write", {0, 0, 1, 64}), kNotCapable);
    EXPECT_EQ(call("fd_write", {1, 0, kMaxIovecs + 1, 64}), kInval);
}

TEST_F(WasiTest, OneWriteToTheLogIsBounded) {
    put(0, {0, 60'000, 0, 60'000, 0, 60'000});
    EXPECT_EQ(call("fd_write", {2, 0, 3, 64}), kSuccess);
    EXPECT_EQ(world_.log.size(), kMaxLogBytes);
    EXPECT_EQ(at<std::uint32_t>(64), kMaxLogBytes);
}

TEST_F(WasiTest, DescriptorsCloseAndMove) {
    EXPECT_EQ(call("fd_renumber", {1, 101}), kSuccess);
    EXPECT_EQ(call("fd_fdstat_get", {1, 0}), kBadF);
    put(0, {100, 1});
    EXPECT_EQ(call("fd_write", {101, 0, 1, 64}), kSuccess);
    EXPECT_EQ(wasi_->output().size(), 1u);
    EXPECT_EQ(call("fd_renumber", {101, 0xffff'ffff}), kBadF);
    EXPECT_EQ(call("fd_close", {101}), kSuccess);
    EXPECT_EQ(call("fd_close", {101}), kBadF);
}

TEST_F(WasiTest, WhatIsNotOfferedSaysSo) {
    EXPECT_EQ(call("fd_prestat_get", {3, 0}), kBadF);
    EXPECT_EQ(call("path_open", {0, 0, 0, 0, 0, 0, 0, 0, 0}), kNotDir);
    EXPECT_EQ(call("path_open", {3, 0, 0, 0, 0, 0, 0, 0, 0}), kBadF);
    EXPECT_EQ(call("fd_seek", {1, 0, 0, 0}), kSPipe);
    EXPECT_EQ(call("fd_allocate", {1, 0, 0}), kNotCapable);
    EXPECT_EQ(call("proc_raise", {9}), kNoSys);
    EXPECT_EQ(call("sock_accept", {5, 0, 0}), kBadF);
}

TEST_F(WasiTest, ClockRandomAndExit) {
    EXPECT_EQ(call("clock_time_get", {0, 0, 0}), kSuccess);
    EXPECT_EQ(at<std::uint64_t>(0), world_.realtime_ns());
    EXPECT_EQ(call("clock_time_get", {1, 0, 0}), kSuccess);
    EXPECT_EQ(at<std::uint64_t>(0), world_.now);
    EXPECT_EQ(call("clock_time_get", {9, 0, 0}), kInval);
    EXPECT_EQ(call("random_get", {8, 3}), kSuccess);
    EXPECT_EQ(at<std::uint32_t>(8), 0x0003'0201u);
    EXPECT_EQ(call("random_get", {0, kMaxRandomBytes + 1}), kInval);
    EXPECT_EQ(std::get<Trap>(outcome("proc_exit", {7})), (Trap{TrapCode::kExit, 7}));
}

class PollTest : public WasiTest {
  protected:
    void subscribe(std::uint32_t index, std::uint8_t type, std::uint32_t target,
                   std::uint64_t timeout = 0, std::uint16_t flags = 0) {
        const GuestMemory memory(memory_);
        const std::uint32_t at = index * 48;
        EXPECT_TRUE(memory.store(at, std::uint64_t{100} + index));
        EXPECT_TRUE(memory.store(at + 8, type));
        EXPECT_TRUE(memory.store(at + 16, target));
        EXPECT_TRUE(memory.store(at + 24, timeout));
        EXPECT_TRUE(memory.store(at + 40, flags));
    }
    static constexpr std::uint32_t kEvents = 4096;
    static constexpr std::uint32_t kCount = 8192;
    std::vector<std::uint64_t> args(std::uint32_t count) { return {0, kEvents, count, kCount}; }
};

TEST_F(PollTest, ARelativeTimeoutCountsFromTheFirstCall) {
    subscribe(0, 0, 1, 1000);
    const std::uint64_t start = world_.now;
    EXPECT_EQ(std::get<HostRequest>(outcome("poll_oneoff", args(1))).wake_at_ns, start + 1000);
    world_.now += 600;
    EXPECT_EQ(std::get<HostRequest>(outcome("poll_oneoff", args(1))).wake_at_ns, start + 1000);
    world_.now += 400;
    EXPECT_EQ(call("poll_oneoff", args(1)), kSuccess);
    EXPECT_EQ(at<std::uint32_t>(kCount), 1u);
    EXPECT_EQ(at<std::uint64_t>(kEvents), 100u);
    // The next one starts anew.
    EXPECT_EQ(std::get<HostRequest>(outcome("poll_oneoff", args(1))).wake_at_ns, start + 2000);
}

TEST_F(PollTest, AbsoluteTimesOnEitherClock) {
    subscribe(0, 0, 1, world_.now + 70, 1);
    EXPECT_EQ(std::get<HostRequest>(outcome("poll_oneoff", args(1))).wake_at_ns, world_.now + 70);
    subscribe(0, 0, 0, world_.realtime_ns() + 80, 1);
    EXPECT_EQ(std::get<HostRequest>(outcome("poll_oneoff", args(1))).wake_at_ns, world_.now + 80);
    subscribe(0, 0, 0, 1, 1);
    EXPECT_EQ(call("poll_oneoff", args(1)), kSuccess);
}

TEST_F(PollTest, StreamsAreReadyAtOnce) {
    restart({.arguments = {}, .environment = {}, .input = SecretBytes(to_bytes("abc"))});
    subscribe(0, 0, 1, 1000);
    subscribe(1, 1, 0);
    subscribe(2, 2, 1);
    subscribe(3, 1, 55);
    EXPECT_EQ(call("poll_oneoff", args(4)), kSuccess);
    EXPECT_EQ(at<std::uint32_t>(kCount), 3u);
    EXPECT_EQ(at<std::uint64_t>(kEvents), 101u);
    EXPECT_EQ(at<std::uint64_t>(kEvents + 16), 3u);
    EXPECT_EQ(at<std::uint64_t>(kEvents + 32), 102u);
    EXPECT_EQ(at<std::uint16_t>(kEvents + 64 + 8), kBadF);
}

TEST_F(PollTest, RefusesNoneAndTooMany) {
    EXPECT_EQ(call("poll_oneoff", args(0)), kInval);
    EXPECT_EQ(call("poll_oneoff", args(kMaxSubscriptions + 1)), kInval);
    subscribe(0, 9, 0);
    EXPECT_EQ(call("poll_oneoff", args(1)), kSuccess);
    EXPECT_EQ(at<std::uint16_t>(kEvents + 8), kInval);
}

// A value lies in the variable itself if it is short, and a moved string leaves its bytes behind.
TEST_F(WasiTest, TheInputIsWipedWhenTheCallEnds) {
    constexpr std::size_t kSize = 64 * 1024;
    restart(
        {.arguments = {}, .environment = {}, .input = SecretBytes(Bytes(kSize, std::byte{0x5a}))});
    wasi_.reset();
    EXPECT_FALSE(testing::freed_memory_holds(std::byte{0x5a}, kSize));
}

TEST(EnvironmentVariable, ItsValueDoesNotOutliveIt) {
    alignas(EnvironmentVariable) std::byte memory[2][sizeof(EnvironmentVariable)];
    auto* first = new (memory[0]) EnvironmentVariable("N", "hunter2-secret");
    auto* second = new (memory[1]) EnvironmentVariable(std::move(*first));
    ASSERT_EQ(second->value, "hunter2-secret");
    EXPECT_NE(as_chars(memory[1]).find("hunter2"), std::string_view::npos);
    first->~EnvironmentVariable();
    second->~EnvironmentVariable();
    for (const auto& place : memory)
        EXPECT_EQ(as_chars(place).find("unter2"), std::string_view::npos);
}

}  // namespace
}  // namespace eos::wasm
