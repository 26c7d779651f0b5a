// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <concepts>
#include <cstdint>
#include <string_view>
#include <utility>

#include "common/base/bytes.h"
#include "common/base/result.h"

namespace eos {

inline constexpr Code truncated{"common/base", "truncated", "the input ends too early"};
inline constexpr Code trailing_bytes{"common/base", "trailing_bytes",
                                     "bytes follow the end of the input"};

/// Reads fixed-width integers and byte runs from a borrowed buffer, front to back. Never reads past
/// the end; never allocates. Every failing read leaves the position unchanged.
class Reader {
  public:
    explicit Reader(ByteView input) : rest_(input) {}

    /// errors: truncated.
    Result<std::uint8_t> u8() { return little<std::uint8_t>(); }
    Result<std::uint16_t> u16le() { return little<std::uint16_t>(); }
    Result<std::uint32_t> u32le() { return little<std::uint32_t>(); }
    Result<std::uint64_t> u64le() { return little<std::uint64_t>(); }
    Result<std::uint16_t> u16be() { return big<std::uint16_t>(); }
    Result<std::uint32_t> u32be() { return big<std::uint32_t>(); }
    Result<std::uint64_t> u64be() { return big<std::uint64_t>(); }

    /// The next `size` bytes, borrowed from the input.
    /// errors: truncated.
    Result<ByteView> bytes(std::size_t size) {
        if (size > rest_.size()) [[unlikely]]
            return too_short(size);
        ByteView out = rest_.first(size);
        rest_ = rest_.subspan(size);
        return out;
    }

    /// The next N bytes, copied.
    /// errors: truncated.
    template <std::size_t N>
    Result<ByteArray<N>> array() {
        ByteView view = EOS_TRY(bytes(N));
        return to_array<N>(view);
    }

    /// All that is left, borrowed; the reader is then at its end.
    ByteView rest() { return std::exchange(rest_, {}); }

    std::size_t remaining() const { return rest_.size(); }

    /// Strict formats end exactly here.
    /// errors: trailing_bytes.
    Result<void> expect_end() const;

  private:
    std::unexpected<Error> too_short(std::size_t wanted_bytes) const;

    template <std::unsigned_integral T>
    Result<T> little() {
        if (sizeof(T) > rest_.size()) [[unlikely]]
            return too_short(sizeof(T));
        ByteView view = *bytes(sizeof(T));
        std::uint64_t value = 0;
        for (std::size_t i = 0; i < sizeof(T); ++i)
            value |= std::to_integer<std::uint64_t>(view[i]) << (8 * i);
        return static_cast<T>(value);
    }
    template <std::unsigned_integral T>
    Result<T> big() {
        if (sizeof(T) > rest_.size()) [[unlikely]]
            return too_short(sizeof(T));
        ByteView view = *bytes(sizeof(T));
        std::uint64_t value = 0;
        for (std::byte b : view) value = value << 8 | std::to_integer<std::uint64_t>(b);
        return static_cast<T>(value);
    }

    ByteView rest_;
};

/// Appends fixed-width integers and byte runs to a buffer it owns.
class Writer {
  public:
    Writer& u8(std::uint8_t v) { return little(v); }
    Writer& u16le(std::uint16_t v) { return little(v); }
    Writer& u32le(std::uint32_t v) { return little(v); }
    Writer& u64le(std::uint64_t v) { return little(v); }
    Writer& u16be(std::uint16_t v) { return big(v); }
    Writer& u32be(std::uint32_t v) { return big(v); }
    Writer& u64be(std::uint64_t v) { return big(v); }
    Writer& bytes(ByteView v) {
        append(out_, v);
        return *this;
    }
    Writer& text(std::string_view v) { return bytes(as_bytes(v)); }
    Writer& zeros(std::size_t count) {
        out_.resize(out_.size() + count);
        return *this;
    }

    /// Makes room for that many bytes in all, so that writing secrets does not move them about.
    void reserve(std::size_t size_bytes) { out_.reserve(size_bytes); }

    std::size_t size() const { return out_.size(); }
    ByteView view() const { return out_; }
    Bytes take() && { return std::move(out_); }

  private:
    template <std::unsigned_integral T>
    Writer& little(T v) {
        for (std::size_t i = 0; i < sizeof(T); ++i)
            out_.push_back(static_cast<std::byte>(v >> (8 * i)));
        return *this;
    }
    template <std::unsigned_integral T>
    Writer& big(T v) {
        for (std::size_t i = sizeof(T); i-- > 0;)
            out_.push_back(static_cast<std::byte>(v >> (8 * i)));
        return *this;
    }

    Bytes out_;
};

}  // namespace eos
