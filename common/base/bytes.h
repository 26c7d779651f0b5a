// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace eos {

using Bytes = std::vector<std::byte>;          ///< owned
using ByteView = std::span<const std::byte>;   ///< borrowed, read only
using MutableByteView = std::span<std::byte>;  ///< borrowed, writable
template <std::size_t N>
using ByteArray = std::array<std::byte, N>;

/// The bytes of a string, borrowed; the string must outlive the view.
inline ByteView as_bytes(std::string_view text) {
    return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

/// The characters of a byte view, borrowed. Says nothing about their encoding.
inline std::string_view as_chars(ByteView bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// For C interfaces that take `const unsigned char*`.
inline const unsigned char* as_uchars(ByteView bytes) {
    return reinterpret_cast<const unsigned char*>(bytes.data());
}
inline unsigned char* as_writable_uchars(MutableByteView bytes) {
    return reinterpret_cast<unsigned char*>(bytes.data());
}

inline Bytes to_bytes(ByteView bytes) {
    return {bytes.begin(), bytes.end()};
}
inline Bytes to_bytes(std::string_view text) {
    return to_bytes(as_bytes(text));
}
inline std::string to_string(ByteView bytes) {
    return std::string(as_chars(bytes));
}

/// Appends `bytes` to `out`.
inline void append(Bytes& out, ByteView bytes) {
    out.insert(out.end(), bytes.begin(), bytes.end());
}

/// All parts, one after the other.
Bytes concat(std::initializer_list<ByteView> parts);

/// Equality that is not constant time: never for secrets (crypto::equal_constant_time is).
inline bool equal(ByteView a, ByteView b) {
    return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin());
}

inline bool all_zero(ByteView bytes) {
    return std::ranges::all_of(bytes, [](std::byte b) { return b == std::byte{0}; });
}

/// Copies exactly N bytes; the source must have that size (asserted).
template <std::size_t N>
ByteArray<N> to_array(ByteView bytes) {
    ByteArray<N> out{};
    if (bytes.size() != N) __builtin_trap();
    std::ranges::copy(bytes, out.begin());
    return out;
}

/// Overwrites memory in a way the compiler may not leave out.
void secure_wipe(MutableByteView bytes);

}  // namespace eos
