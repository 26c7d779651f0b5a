// SPDX-License-Identifier: AGPL-3.0-only
#include "common/oid/oid.h"

#include <algorithm>

namespace eos::oid {
namespace {

// Decimal digits of a number given as base-128 digits, most significant first.
std::string decimal(ByteView digits128) {
    std::string out = "0";  // least significant first
    for (std::byte digit : digits128) {
        unsigned carry = std::to_integer<unsigned>(digit) & 0x7f;
        for (char& c : out) {
            carry += static_cast<unsigned>(c - '0') * 128;
            c = static_cast<char>('0' + carry % 10);
            carry /= 10;
        }
        for (; carry != 0; carry /= 10) out += static_cast<char>('0' + carry % 10);
    }
    std::ranges::reverse(out);
    return out;
}

bool continues(std::byte b) {
    return (b & std::byte{0x80}) != std::byte{0};
}

// The first subidentifier of `rest`, which shrinks; its last byte has the top bit clear.
ByteView take_subidentifier(ByteView& rest) {
    std::size_t size = 1;
    while (continues(rest[size - 1])) ++size;
    ByteView out = rest.first(size);
    rest = rest.subspan(size);
    return out;
}

}  // namespace

Result<Oid> Oid::parse(std::string_view dotted) {
    std::optional<Oid> out = encode(dotted);
    if (!out) return fail(bad_oid, "expected dotted decimal such as 2.5.29.19");
    return *out;
}

Result<Oid> Oid::from_der(ByteView content) {
    if (content.empty()) return fail(bad_oid, "no content");
    if (content.size() > kMaxOidBytes) return fail(bad_oid, "longer than 31 bytes");
    if (continues(content.back())) return fail(bad_oid, "the last arc is cut off");
    bool starts_arc = true;
    Oid out;
    for (std::byte b : content) {
        if (starts_arc && b == std::byte{0x80}) return fail(bad_oid, "an arc is not minimal");
        starts_arc = !continues(b);
        out.bytes_[out.size_++] = b;
    }
    return out;
}

bool Oid::is_below(const Oid& arc) const {
    return size_ > arc.size_ && equal(der().first(arc.size_), arc.der());
}

std::string Oid::dotted() const {
    ByteView rest = der();
    if (rest.empty()) return {};
    ByteView head = take_subidentifier(rest);
    std::string out;
    unsigned first = std::to_integer<unsigned>(head[0]);
    if (head.size() == 1 && first < 80) {
        out = std::to_string(first / 40) + "." + std::to_string(first % 40);
    } else {
        // Root 2: the second arc is the subidentifier less 80, borrowed digit by digit.
        Bytes second = to_bytes(head);
        int borrow = 80;
        for (std::size_t i = second.size(); i-- > 0 && borrow > 0;) {
            int digit = std::to_integer<int>(second[i] & std::byte{0x7f}) - borrow;
            borrow = digit < 0 ? 1 : 0;
            second[i] = static_cast<std::byte>(digit < 0 ? digit + 128 : digit);
        }
        out = "2." + decimal(second);
    }
    while (!rest.empty()) out += "." + decimal(take_subidentifier(rest));
    return out;
}

}  // namespace eos::oid
