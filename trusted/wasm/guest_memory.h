// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <optional>
#include <type_traits>

#include "common/base/bytes.h"

namespace eos::wasm {

/// An app's linear memory, borrowed for the length of one host call. The only way to reach it:
/// every access is checked against its size, and values are copied, never referred to.
class GuestMemory {
  public:
    GuestMemory() = default;
    explicit GuestMemory(MutableByteView bytes) : bytes_(bytes) {}

    std::size_t size_bytes() const { return bytes_.size(); }

    /// The `size` bytes at `address`, or nothing if any of them lies outside.
    std::optional<MutableByteView> at(std::uint32_t address, std::uint64_t size) const {
        if (size > bytes_.size() || address > bytes_.size() - size) return std::nullopt;
        return bytes_.subspan(address, size);
    }

    /// A little-endian integer; nothing if it lies outside.
    template <typename T>
    std::optional<T> load(std::uint32_t address) const {
        static_assert(std::is_unsigned_v<T>);
        const auto place = at(address, sizeof(T));
        if (!place) return std::nullopt;
        T value;
        std::memcpy(&value, place->data(), sizeof(T));
        return value;
    }

    /// Writes a little-endian integer; false if it would lie outside.
    template <typename T>
    [[nodiscard]] bool store(std::uint32_t address, T value) const {
        static_assert(std::is_unsigned_v<T>);
        const auto place = at(address, sizeof(T));
        if (!place) return false;
        std::memcpy(place->data(), &value, sizeof(T));
        return true;
    }

    /// Copies `bytes` to `address`; false if they would reach outside.
    [[nodiscard]] bool write(std::uint32_t address, ByteView bytes) const {
        const auto place = at(address, bytes.size());
        if (!place) return false;
        if (!bytes.empty()) std::memcpy(place->data(), bytes.data(), bytes.size());
        return true;
    }

  private:
    static_assert(std::endian::native == std::endian::little);
    MutableByteView bytes_;
};

}  // namespace eos::wasm
