// SPDX-License-Identifier: AGPL-3.0-only
// The instructions of the binary format: which exist and how long they are. Private to
// trusted/wasm.
#pragma once

#include <vector>

#include "trusted/wasm/module_cursor.h"
#include "trusted/wasm/value.h"

namespace eos::wasm {

/// What the scan of instructions carries from one function to the next.
struct CodeContext {
    std::uint64_t instructions = 0;  ///< so far, at most kMaxInstructions
    std::vector<ValueType> tables;   ///< element type of each
};

/// A value type, as far as this platform knows it.
ValueType read_value_type(ModuleCursor& in);

/// Skips one instruction sequence with its final `end`, down to kMaxNesting deep.
void skip_expression(ModuleCursor& in, CodeContext& context);

/// Skips a constant expression: one constant, `ref.null` or `ref.func`, and `end`. `global.get` is
/// refused: it may name imported globals only, and no module here has any.
void skip_constant_expression(ModuleCursor& in);

}  // namespace eos::wasm
