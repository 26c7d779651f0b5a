// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/wasm/value.h"

namespace eos::wasm {

std::string_view type_name(ValueType type) {
    switch (type) {
        case ValueType::kI32:
            return "i32";
        case ValueType::kI64:
            return "i64";
        case ValueType::kF32:
            return "f32";
        case ValueType::kF64:
            return "f64";
        case ValueType::kV128:
            return "v128";
        case ValueType::kFuncRef:
            return "funcref";
        case ValueType::kExternRef:
            return "externref";
    }
    return "unknown";
}

namespace {

std::string list(const std::vector<ValueType>& types) {
    std::string out;
    for (ValueType type : types) {
        if (!out.empty()) out += ", ";
        out += type_name(type);
    }
    return out;
}

}  // namespace

std::string to_string(const FunctionType& type) {
    return "(" + list(type.params) + ") -> (" + list(type.results) + ")";
}

}  // namespace eos::wasm
