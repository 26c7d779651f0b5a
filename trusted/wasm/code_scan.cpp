// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/wasm/code_scan.h"

#include <string>
#include <vector>

#include "trusted/wasm/module_scan.h"

namespace eos::wasm {

namespace {

constexpr std::uint32_t kMaxBranchTargets = 65'520;

void refuse(ModuleCursor& in, std::uint32_t prefix, std::uint32_t opcode) {
    std::string text = "instruction ";
    if (prefix != 0) text += std::to_string(prefix) + " ";
    in.fail(unsupported_feature, text + std::to_string(opcode));
}

void skip_memory_argument(ModuleCursor& in) {
    in.u32();  // alignment
    in.u32();  // offset
}

void skip_zero_byte(ModuleCursor& in) {
    if (in.u8() != 0) in.fail(unsupported_feature, "more than one memory");
}

// Empty, one value type, or an index into the types. source: 5.4.1.
void skip_block_type(ModuleCursor& in) {
    in.signed_leb(33);
}

void skip_branch_table(ModuleCursor& in, CodeContext& context) {
    const std::uint32_t targets = in.count("targets in a branch table", kMaxBranchTargets);
    context.instructions += targets;
    for (std::uint32_t i = 0; i <= targets && in.ok(); ++i) in.u32();
}

// The library's validator would accept a table of something other than functions.
void skip_indirect_call(ModuleCursor& in, const CodeContext& context) {
    in.u32();  // type
    const std::uint32_t table = in.u32();
    if (table >= context.tables.size() || context.tables[table] != ValueType::kFuncRef) {
        in.fail(malformed_module, "an indirect call through no table of functions");
    }
}

void skip_typed_select(ModuleCursor& in) {
    const std::uint32_t types = in.count("types in a select", 1);
    for (std::uint32_t i = 0; i < types && in.ok(); ++i) read_value_type(in);
}

// Prefix 0xfc: saturating truncation, bulk memory, tables. source: 5.4.
void skip_bulk_instruction(ModuleCursor& in) {
    const std::uint32_t opcode = in.u32();
    if (opcode <= 7) return;  // saturating truncation
    switch (opcode) {
        case 8:  // memory.init
            in.u32();
            return skip_zero_byte(in);
        case 10:  // memory.copy
            skip_zero_byte(in);
            return skip_zero_byte(in);
        case 11:  // memory.fill
            return skip_zero_byte(in);
        case 12:  // table.init
        case 14:  // table.copy
            in.u32();
            break;
        default:  // data.drop 9, elem.drop 13, table.grow 15, table.size 16, table.fill 17
            if (opcode > 17) return refuse(in, 0xfc, opcode);
    }
    in.u32();
}

// Prefix 0xfd: 128-bit SIMD. source: 5.4.
void skip_vector_instruction(ModuleCursor& in) {
    const std::uint32_t opcode = in.u32();
    if (opcode <= 11 || opcode == 92 || opcode == 93) return skip_memory_argument(in);
    if (opcode == 12 || opcode == 13) {
        in.bytes(16);
    } else if (opcode >= 21 && opcode <= 34) {
        in.u8();  // lane
    } else if (opcode >= 84 && opcode <= 91) {
        skip_memory_argument(in);
        in.u8();
    } else if (opcode > 255) {
        refuse(in, 0xfd, opcode);
    }
}

bool within(std::uint8_t opcode, std::uint8_t first, std::uint8_t last) {
    return opcode >= first && opcode <= last;
}

// unreachable, nop; return; drop, select; ref.is_null; arithmetic.
bool has_no_immediate(std::uint8_t opcode) {
    return opcode <= 0x01 || opcode == 0x0f || within(opcode, 0x1a, 0x1b) || opcode == 0xd1 ||
           within(opcode, 0x45, 0xc4);
}

// br, br_if; call; local.*, global.*, table.get, table.set; ref.func.
bool has_one_index(std::uint8_t opcode) {
    return within(opcode, 0x0c, 0x0d) || opcode == 0x10 || within(opcode, 0x20, 0x26) ||
           opcode == 0xd2;
}

// Everything else that neither opens nor closes a block. source: 5.4.
void skip_other_instruction(ModuleCursor& in, std::uint8_t opcode, CodeContext& context) {
    switch (opcode) {
        case 0x0e:
            return skip_branch_table(in, context);
        case 0x11:
            return skip_indirect_call(in, context);
        case 0x1c:
            return skip_typed_select(in);
        case 0x3f:  // memory.size
        case 0x40:  // memory.grow
            return skip_zero_byte(in);
        case 0x41:
            in.signed_leb(32);
            return;
        case 0x42:
            in.signed_leb(64);
            return;
        case 0x43:
            in.bytes(4);
            return;
        case 0x44:
            in.bytes(8);
            return;
        case 0xd0:  // ref.null
            read_value_type(in);
            return;
        case 0xfc:
            return skip_bulk_instruction(in);
        case 0xfd:
            return skip_vector_instruction(in);
        default:
            return refuse(in, 0, opcode);
    }
}

void skip_plain_instruction(ModuleCursor& in, std::uint8_t opcode, CodeContext& context) {
    if (has_no_immediate(opcode)) return;
    if (has_one_index(opcode)) {
        in.u32();
    } else if (within(opcode, 0x28, 0x3e)) {
        skip_memory_argument(in);
    } else {
        skip_other_instruction(in, opcode, context);
    }
}

}  // namespace

ValueType read_value_type(ModuleCursor& in) {
    const std::uint8_t code = in.u8();
    switch (static_cast<ValueType>(code)) {
        case ValueType::kI32:
        case ValueType::kI64:
        case ValueType::kF32:
        case ValueType::kF64:
        case ValueType::kV128:
        case ValueType::kFuncRef:
        case ValueType::kExternRef:
            return static_cast<ValueType>(code);
    }
    in.fail(unsupported_feature, "value type " + std::to_string(code));
    return ValueType::kI32;
}

void skip_expression(ModuleCursor& in, CodeContext& context) {
    std::vector<bool> takes_else{false};  // the open blocks, the function itself first
    while (!takes_else.empty() && in.ok()) {
        if (++context.instructions > kMaxInstructions) {
            in.fail(module_limit,
                    "more than " + std::to_string(kMaxInstructions) + " instructions");
        }
        const std::uint8_t opcode = in.u8();
        if (within(opcode, 0x02, 0x04)) {  // block, loop, if
            skip_block_type(in);
            takes_else.push_back(opcode == 0x04);
            if (takes_else.size() > kMaxNesting) {
                in.fail(module_limit,
                        "blocks nest more than " + std::to_string(kMaxNesting) + " deep");
            }
        } else if (opcode == 0x05) {
            if (!takes_else.back()) in.fail(malformed_module, "an else without its if");
            takes_else.back() = false;
        } else if (opcode == 0x0b) {
            takes_else.pop_back();
        } else {
            skip_plain_instruction(in, opcode, context);
        }
    }
}

void skip_constant_expression(ModuleCursor& in) {
    const std::uint8_t opcode = in.u8();
    switch (opcode) {
        case 0x41:
            in.signed_leb(32);
            break;
        case 0x42:
            in.signed_leb(64);
            break;
        case 0x43:
            in.bytes(4);
            break;
        case 0x44:
            in.bytes(8);
            break;
        case 0xd0:
            read_value_type(in);
            break;
        case 0xd2:
            in.u32();
            break;
        case 0xfd:
            if (in.u32() != 12) in.fail(unsupported_feature, "constant expression");
            in.bytes(16);
            break;
        case 0x23:
            // Only imported globals may be named, and there are none.
            in.fail(malformed_module, "a constant expression names a global that is not imported");
            break;
        default:
            in.fail(unsupported_feature, "constant expression");
            break;
    }
    if (in.u8() != 0x0b) in.fail(unsupported_feature, "constant expression");
}

}  // namespace eos::wasm
