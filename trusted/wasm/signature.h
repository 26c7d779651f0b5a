// SPDX-License-Identifier: AGPL-3.0-only
// What the exported functions of a module take and give, as JSON sees it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "trusted/wasm/engine.h"

namespace eos::wasm {

inline constexpr Code bad_signature{"trusted/wasm", "bad_signature",
                                    "the section eos.functions is not right"};

/// The types of values in calls. The names are those of docs/apps-json.md.
enum class JsonType : std::uint8_t { kBool, kS32, kU32, kS64, kU64, kF32, kF64, kString, kBytes };

/// "s32" and so on.
std::string_view to_string(JsonType type);

/// One parameter.
struct JsonParameter {
    std::string name;  ///< empty if the module does not say
    JsonType type = JsonType::kS32;
};

/// One callable function.
struct FunctionSignature {
    std::string name;
    std::vector<JsonParameter> parameters;
    std::vector<JsonType> results;
};

/// Every function of a module that can be called with JSON, in the order of its exports.
class Signatures {
  public:
    /// Reads the section eos.functions, one function a line:
    ///
    ///     reverse(text: string) -> string
    ///
    /// and adds the exported functions it does not mention that have numbers only; names that start
    /// with '_' and `eos_alloc` are the tool chain's and ours, not the app's.
    /// errors:  bad_signature: a line that cannot be read, a function that is described twice, is
    ///          not exported or has another type than described; no `eos_alloc(i32) -> i32` or no
    ///          memory where strings or bytes are passed.
    [[nodiscard]] static Result<Signatures> read(const Module& module);

    const FunctionSignature* find(std::string_view name) const;
    const std::vector<FunctionSignature>& all() const { return functions_; }

  private:
    std::vector<FunctionSignature> functions_;
};

/// Parses one line of the section, without its end. Syntax only.
/// errors:  bad_signature.
[[nodiscard]] Result<FunctionSignature> parse_signature(std::string_view line);

/// The function's type in WebAssembly: bool, s32, u32 are i32; s64, u64 are i64; a string or bytes
/// is two i32 (address, size) as a parameter and one i64 (address << 32 | size) as a result.
FunctionType lowered(const FunctionSignature& signature);

/// The export that makes room for an argument: (size: i32) -> i32.
inline constexpr std::string_view kAllocate = "eos_alloc";

}  // namespace eos::wasm
