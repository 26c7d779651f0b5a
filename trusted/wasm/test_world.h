// SPDX-License-Identifier: AGPL-3.0-only
// A platform for tests: a clock that moves when told, countable randomness, a log in memory.
#pragma once

#include <string>

#include "trusted/wasm/wasi.h"

namespace eos::wasm::testing {

/// All parts of a WasiWorld.
struct TestWorld : WasiClock, WasiRandom, WasiLog {
    std::uint64_t realtime_ns() const override { return 1'700'000'000'000'000'000 + now; }
    std::uint64_t monotonic_ns() const override { return now; }
    std::uint64_t realtime_step_ns() const override { return 1'000'000'000; }
    std::uint64_t monotonic_step_ns() const override { return 1'000'000; }
    void fill(MutableByteView out) override {
        for (std::byte& byte : out) byte = static_cast<std::byte>(++random);
    }
    void write(ByteView text) override { log += as_chars(text); }

    WasiWorld world() { return {*this, *this, *this}; }

    std::uint64_t now = 5'000'000;
    unsigned random = 0;
    std::string log;
};

}  // namespace eos::wasm::testing
