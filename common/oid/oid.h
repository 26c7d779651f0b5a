// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/bytes.h"
#include "common/base/result.h"

namespace eos::oid {

inline constexpr Code bad_oid{"common/oid", "bad_oid", "not a valid object identifier"};

/// Content bytes of the longest object identifier taken. Those in use have at most 22.
inline constexpr std::size_t kMaxOidBytes = 31;

/// An object identifier: the content bytes of its DER encoding, held in place. A value; arcs may be
/// of any size that fits (2.25.<UUID> needs 128 bits).
class Oid {
  public:
    /// The empty identifier, which no input can produce.
    constexpr Oid() = default;

    /// A literal, checked at compile time: `Oid::literal("2.5.29.19")`.
    static consteval Oid literal(std::string_view dotted) {
        std::optional<Oid> out = encode(dotted);
        return *out;  // empty: not a constant expression, hence an error where it is written
    }

    /// in:      dotted decimal, at least two arcs, no leading zeros.
    /// errors:  bad_oid (also: longer than kMaxOidBytes).
    /// source:  X.660 §7.6, X.690 §8.19.
    [[nodiscard]] static Result<Oid> parse(std::string_view dotted);

    /// in:      the content bytes of an OBJECT IDENTIFIER, without tag and length.
    /// errors:  bad_oid (empty, an arc that is cut off or not minimal, longer than kMaxOidBytes).
    /// source:  X.690 §8.19.
    [[nodiscard]] static Result<Oid> from_der(ByteView content);

    /// This identifier with one more arc. The result must fit (asserted).
    constexpr Oid child(std::uint32_t arc) const;

    /// The content bytes of the DER encoding, borrowed.
    constexpr ByteView der() const { return ByteView(bytes_).first(size_); }

    /// Whether this identifier lies strictly below `arc`.
    bool is_below(const Oid& arc) const;

    /// "2.5.29.19"; empty for the empty identifier.
    std::string dotted() const;

    friend constexpr bool operator==(const Oid&, const Oid&) = default;
    friend constexpr auto operator<=>(const Oid& a, const Oid& b) {
        return std::lexicographical_compare_three_way(a.der().begin(), a.der().end(),
                                                      b.der().begin(), b.der().end());
    }

  private:
    // One arc as base-128 digits, least significant first.
    struct Arc {
        std::array<std::uint8_t, kMaxOidBytes> digits{};
        std::size_t count = 1;

        // value = value * factor + addend; false if it no longer fits.
        constexpr bool multiply_add(unsigned factor, unsigned addend);
        constexpr bool is_below(unsigned limit) const { return count == 1 && digits[0] < limit; }
    };

    static constexpr std::optional<Oid> encode(std::string_view dotted);
    static constexpr std::optional<Arc> take_arc(std::string_view& dotted);
    constexpr bool append_arc(const Arc& arc);

    std::array<std::byte, kMaxOidBytes> bytes_{};
    std::uint8_t size_ = 0;
};

constexpr bool Oid::Arc::multiply_add(unsigned factor, unsigned addend) {
    unsigned carry = addend;
    for (std::size_t i = 0; i < count; ++i) {
        carry += digits[i] * factor;
        digits[i] = static_cast<std::uint8_t>(carry & 0x7f);
        carry >>= 7;
    }
    for (; carry != 0; carry >>= 7) {
        if (count == digits.size()) return false;
        digits[count++] = static_cast<std::uint8_t>(carry & 0x7f);
    }
    return true;
}

constexpr std::optional<Oid::Arc> Oid::take_arc(std::string_view& dotted) {
    Arc arc;
    std::size_t length = 0;
    while (length < dotted.size() && dotted[length] >= '0' && dotted[length] <= '9') {
        if (!arc.multiply_add(10, static_cast<unsigned>(dotted[length] - '0'))) return {};
        ++length;
    }
    if (length == 0 || (length > 1 && dotted[0] == '0')) return {};
    dotted.remove_prefix(length);
    if (dotted.empty()) return arc;
    if (dotted[0] != '.' || dotted.size() == 1) return {};
    dotted.remove_prefix(1);
    return arc;
}

constexpr bool Oid::append_arc(const Arc& arc) {
    if (arc.count > kMaxOidBytes - size_) return false;
    for (std::size_t i = arc.count; i-- > 0;)
        bytes_[size_++] = static_cast<std::byte>(arc.digits[i] | (i > 0 ? 0x80 : 0));
    return true;
}

constexpr std::optional<Oid> Oid::encode(std::string_view dotted) {
    std::optional<Arc> root = take_arc(dotted);
    if (!root || !root->is_below(3) || dotted.empty()) return {};
    std::optional<Arc> second = take_arc(dotted);
    // The first two arcs share a subidentifier: 40 * root + second. X.690 §8.19.4.
    if (!second || (root->digits[0] < 2 && !second->is_below(40))) return {};
    if (!second->multiply_add(1, 40u * root->digits[0])) return {};
    Oid out;
    if (!out.append_arc(*second)) return {};
    while (!dotted.empty()) {
        std::optional<Arc> arc = take_arc(dotted);
        if (!arc || !out.append_arc(*arc)) return {};
    }
    return out;
}

constexpr Oid Oid::child(std::uint32_t arc) const {
    Arc last;
    last.count = 0;
    do {
        last.digits[last.count++] = static_cast<std::uint8_t>(arc & 0x7f);
        arc >>= 7;
    } while (arc != 0);
    Oid out = *this;
    if (!out.append_arc(last)) __builtin_trap();
    return out;
}

}  // namespace eos::oid
