// SPDX-License-Identifier: AGPL-3.0-only
// Exported functions called with JSON: POST /rpc/{app}/{function}. docs/apps-json.md is the page
// for authors and clients.
#pragma once

#include <memory>
#include <string_view>

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "trusted/wasm/app_call.h"
#include "trusted/wasm/app_config.h"
#include "trusted/wasm/engine.h"
#include "trusted/wasm/signature.h"

namespace eos::wasm {

inline constexpr Code bad_arguments{"trusted/wasm", "bad_arguments",
                                    "the arguments do not fit the function"};
inline constexpr std::size_t kMaxCallBodyBytes = 4 * 1024 * 1024;

/// Prepares the call of one function; nothing has run yet. The module's `_initialize`, if it
/// exports one, runs first; then `eos_alloc` once for each string or bytes argument; then the
/// function. What the app prints goes to its log.
/// in:      `body`: `{"args":[…]}` by position, or `{"args":{…}}` by name where the module says the
///          names; empty or `{}` for no arguments. `signatures` is of this module. `world` outlives
///          the call.
/// returns: a call that answers `{"returns":[{"type":…,"value":…}],"status":"ok"}` with 200, 502
/// for
///          a trap, or 502 for a result that is no UTF-8 or lies outside the app's memory.
/// errors:  no_such_export, bad_arguments, those of json::parse, bad_segment.
[[nodiscard]] Result<std::unique_ptr<AppCall>> begin_json_call(
    const Module& module, const Signatures& signatures, const WasiWorld& world,
    const AppConfig& config, std::string_view function, ByteView body);

}  // namespace eos::wasm
