// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/wasm/json_value.h"

#include <charconv>
#include <cmath>
#include <limits>

#include "common/base/encoding.h"
#include "trusted/wasm/json_call.h"

namespace eos::wasm {

namespace {

std::unexpected<Error> wrong(const std::string& where, JsonType type) {
    return fail(bad_arguments, where + " is not a value of type " + std::string(to_string(type)));
}

// A JSON integer or its decimal text.
template <typename T>
std::optional<T> read_integer(const json::Value& value) {
    if (const auto* text = value.get_ptr<const std::string*>()) {
        T out = 0;
        const char* end = text->data() + text->size();
        const auto [stop, error] = std::from_chars(text->data(), end, out);
        if (error != std::errc{} || stop != end || text->empty()) return std::nullopt;
        return out;
    }
    // The parser keeps what has a sign apart from what has none.
    if (const auto* plain = value.get_ptr<const std::uint64_t*>()) {
        if (std::in_range<T>(*plain)) return static_cast<T>(*plain);
    } else if (const auto* negative = value.get_ptr<const std::int64_t*>()) {
        if (std::in_range<T>(*negative)) return static_cast<T>(*negative);
    }
    return std::nullopt;
}

std::optional<double> read_float(const json::Value& value) {
    if (const auto* text = value.get_ptr<const std::string*>()) {
        if (*text == "NaN") return std::numeric_limits<double>::quiet_NaN();
        if (*text == "Infinity") return std::numeric_limits<double>::infinity();
        if (*text == "-Infinity") return -std::numeric_limits<double>::infinity();
        return std::nullopt;
    }
    if (!value.is_number()) return std::nullopt;
    return value.get<double>();
}

std::optional<Value> read_number(const json::Value& value, JsonType type) {
    switch (type) {
        case JsonType::kBool:
            if (const auto* flag = value.get_ptr<const bool*>()) return Value::i32(*flag ? 1 : 0);
            return std::nullopt;
        case JsonType::kS32:
            if (const auto number = read_integer<std::int32_t>(value)) {
                return Value::i32(static_cast<std::uint32_t>(*number));
            }
            return std::nullopt;
        case JsonType::kU32:
            if (const auto number = read_integer<std::uint32_t>(value)) return Value::i32(*number);
            return std::nullopt;
        case JsonType::kS64:
            if (const auto number = read_integer<std::int64_t>(value)) {
                return Value::i64(static_cast<std::uint64_t>(*number));
            }
            return std::nullopt;
        case JsonType::kU64:
            if (const auto number = read_integer<std::uint64_t>(value)) return Value::i64(*number);
            return std::nullopt;
        case JsonType::kF32: {
            const auto number = read_float(value);
            const bool fits = number && (!std::isfinite(*number) ||
                                         std::abs(*number) <= std::numeric_limits<float>::max());
            return fits ? std::optional(Value::f32(static_cast<float>(*number))) : std::nullopt;
        }
        case JsonType::kF64:
            if (const auto number = read_float(value)) return Value::f64(*number);
            return std::nullopt;
        default:
            return std::nullopt;
    }
}

json::Value write_float(double number) {
    if (std::isnan(number)) return "NaN";
    if (std::isinf(number)) return number > 0 ? "Infinity" : "-Infinity";
    return number;
}

}  // namespace

Result<JsonArgument> read_argument(const json::Value& value, JsonType type,
                                   const std::string& where) {
    if (type == JsonType::kString || type == JsonType::kBytes) {
        const auto* text = value.get_ptr<const std::string*>();
        if (text == nullptr) return wrong(where, type);
        if (type == JsonType::kString) return SecretBytes(to_bytes(*text));
        auto bytes = from_base64(*text);
        if (!bytes) return fail(bad_arguments, where + " is not base64");
        return SecretBytes(*std::move(bytes));
    }
    const auto number = read_number(value, type);
    if (!number) return wrong(where, type);
    return *number;
}

json::Value write_number(const Value& value, JsonType type) {
    switch (type) {
        case JsonType::kBool:
            return value.as_u32() != 0;
        case JsonType::kU32:
            return value.as_u32();
        case JsonType::kS64:
            return std::to_string(value.as_s64());
        case JsonType::kU64:
            return std::to_string(value.as_u64());
        case JsonType::kF32:
            return write_float(double{value.as_f32()});
        case JsonType::kF64:
            return write_float(value.as_f64());
        default:
            return value.as_s32();
    }
}

}  // namespace eos::wasm
