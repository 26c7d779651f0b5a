// SPDX-License-Identifier: AGPL-3.0-only
// Private to wasi*.cpp: the codes of preview 1.
#pragma once

#include "trusted/wasm/wasi.h"

namespace eos::wasm {

/// source: WASI preview 1, witx/typenames.witx, errno.
enum class Wasi::Errno : std::uint16_t {
    kSuccess = 0,
    kBadF = 8,
    kFault = 21,
    kInval = 28,
    kNoSys = 52,
    kNotDir = 54,
    kNotSock = 57,
    kNotSup = 58,
    kSPipe = 70,
    kNotCapable = 76,
};

/// source: the same, clockid.
enum class WasiClockId : std::uint32_t { kRealtime = 0, kMonotonic = 1, kProcess = 2, kThread = 3 };

}  // namespace eos::wasm
