// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <bit>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace eos::wasm {

/// The types of WebAssembly, by their binary codes. Only the four numeric ones cross the engine's
/// interface; functions that mention others load and run, but cannot be called from outside.
enum class ValueType : std::uint8_t {
    kI32 = 0x7f,
    kI64 = 0x7e,
    kF32 = 0x7d,
    kF64 = 0x7c,
    kV128 = 0x7b,
    kFuncRef = 0x70,
    kExternRef = 0x6f,
};

/// Whether values of the type may be passed in and out.
constexpr bool is_numeric(ValueType type) {
    return type >= ValueType::kF64;
}

/// "i32", as in the text format.
std::string_view type_name(ValueType type);

/// A number with its type. Floats are kept as their bits, so that NaNs survive.
struct Value {
    ValueType type = ValueType::kI32;
    std::uint64_t bits = 0;

    static Value i32(std::uint32_t v) { return {ValueType::kI32, v}; }
    static Value i64(std::uint64_t v) { return {ValueType::kI64, v}; }
    static Value f32(float v) { return {ValueType::kF32, std::bit_cast<std::uint32_t>(v)}; }
    static Value f64(double v) { return {ValueType::kF64, std::bit_cast<std::uint64_t>(v)}; }

    std::uint32_t as_u32() const { return static_cast<std::uint32_t>(bits); }
    std::int32_t as_s32() const { return static_cast<std::int32_t>(as_u32()); }
    std::uint64_t as_u64() const { return bits; }
    std::int64_t as_s64() const { return static_cast<std::int64_t>(bits); }
    float as_f32() const { return std::bit_cast<float>(as_u32()); }
    double as_f64() const { return std::bit_cast<double>(bits); }

    friend bool operator==(const Value&, const Value&) = default;
};

using Values = std::vector<Value>;

/// What a function takes and gives.
struct FunctionType {
    std::vector<ValueType> params;
    std::vector<ValueType> results;

    friend bool operator==(const FunctionType&, const FunctionType&) = default;
};

/// "(i32, i64) -> i32", for messages.
std::string to_string(const FunctionType& type);

}  // namespace eos::wasm
