// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "trusted/wasm/engine.h"
#include "trusted/wasm/wasi.h"

namespace eos::wasm {

inline constexpr Code bad_app_config{"trusted/wasm", "bad_app_config",
                                     "the app's configuration is not acceptable"};

inline constexpr std::size_t kMaxArguments = 64;
inline constexpr std::size_t kMaxEnvironment = 256;  ///< variables, secrets included
inline constexpr std::size_t kMaxVariableNameBytes = 128;
inline constexpr std::size_t kMaxVariableBytes = 64 * 1024;      ///< one argument or value
inline constexpr std::size_t kMaxConfigTextBytes = 256 * 1024;   ///< all of them together
inline constexpr std::uint64_t kMaxFuel = 1'000'000'000'000ull;  ///< of one call

/// What an app's owner decides at load.
struct AppConfig {
    std::string name;                    ///< what the program finds as its arguments' first
    std::vector<std::string> arguments;  ///< behind the name
    std::vector<EnvironmentVariable> environment;
    std::vector<EnvironmentVariable> secrets;  ///< as environment, but in no public tree
    Limits limits;
    Budget budget;                                 ///< of one call
    std::size_t output_limit_bytes = 1024 * 1024;  ///< of one answer
};

/// Whether `name` belongs to the platform: CGI's own variables, HTTP_* and EOS_*.
bool is_reserved_variable(std::string_view name);

/// Checks what the owner sent: counts and sizes; names that are [A-Za-z_][A-Za-z0-9_]*, given once
/// and not reserved; no NUL anywhere; limits within what the engine can keep.
/// errors: bad_app_config, naming the field and never the value.
[[nodiscard]] Result<void> check_app_config(const AppConfig& config);

}  // namespace eos::wasm
