// SPDX-License-Identifier: AGPL-3.0-only
// The instructions of the binary format: which exist and how long they are. Private to
// trusted/wasm.
#pragma once

#include "trusted/wasm/module_cursor.h"
#include "trusted/wasm/value.h"

namespace eos::wasm {

/// How much of kMaxInstructions is left.
struct InstructionBudget {
    std::uint64_t used = 0;
};

/// A value type, as far as this platform knows it.
ValueType read_value_type(ModuleCursor& in);

/// Skips one instruction sequence with its final `end`, down to kMaxNesting deep.
void skip_expression(ModuleCursor& in, InstructionBudget& budget);

/// Skips a constant expression: one constant, `ref.null` or `ref.func`, and `end`. `global.get` is
/// refused: it may name imported globals only, and no module here has any.
void skip_constant_expression(ModuleCursor& in);

}  // namespace eos::wasm
