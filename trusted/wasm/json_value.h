// SPDX-License-Identifier: AGPL-3.0-only
// Private to trusted/wasm: values between JSON and WebAssembly.
#pragma once

#include <string>
#include <string_view>
#include <variant>

#include "common/base/result.h"
#include "common/base/secret.h"
#include "common/json/json.h"
#include "trusted/wasm/signature.h"
#include "trusted/wasm/value.h"

namespace eos::wasm {

/// An argument: a number, or bytes that have to be put into the app's memory, and are wiped in the
/// end.
using JsonArgument = std::variant<Value, SecretBytes>;

/// Reads one argument of that type. Integers are JSON integers or decimal strings; floats are
/// numbers or "NaN", "Infinity", "-Infinity"; bytes are base64.
/// errors:  bad_arguments, naming `where`.
[[nodiscard]] Result<JsonArgument> read_argument(const json::Value& value, JsonType type,
                                                 const std::string& where);

/// The JSON form of a number. 64-bit integers are decimal strings, for readers whose numbers are
/// doubles; floats that JSON has no number for are strings.
json::Value write_number(const Value& value, JsonType type);

}  // namespace eos::wasm
