// SPDX-License-Identifier: AGPL-3.0-only
#include "common/base/encoding.h"

#include <array>

namespace eos {
namespace {

constexpr std::string_view kHexDigits = "0123456789abcdef";
constexpr std::string_view kStandard =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view kUrl =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

std::string encode64(ByteView bytes, std::string_view alphabet) {
    std::string out;
    out.reserve((bytes.size() + 2) / 3 * 4);
    std::uint32_t bits = 0;
    unsigned count = 0;
    for (std::byte b : bytes) {
        bits = bits << 8 | std::to_integer<std::uint32_t>(b);
        for (count += 8; count >= 6; count -= 6) out += alphabet[bits >> (count - 6) & 63];
    }
    if (count > 0) out += alphabet[bits << (6 - count) & 63];
    return out;
}

/// The value of each character, or kNoDigit.
using Digits = std::array<std::uint8_t, 256>;
constexpr std::uint8_t kNoDigit = 0xff;

constexpr Digits digits_of(std::string_view alphabet) {
    Digits out;
    out.fill(kNoDigit);
    for (std::size_t i = 0; i < alphabet.size(); ++i)
        out[static_cast<unsigned char>(alphabet[i])] = static_cast<std::uint8_t>(i);
    return out;
}
constexpr Digits kStandardDigits = digits_of(kStandard);
constexpr Digits kUrlDigits = digits_of(kUrl);

Result<Bytes> decode64(std::string_view text, const Digits& digits) {
    Bytes out(text.size() * 3 / 4);
    std::size_t size = 0;
    std::uint32_t bits = 0;
    unsigned count = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const std::uint8_t value = digits[static_cast<unsigned char>(text[i])];
        if (value == kNoDigit) {
            return fail(bad_encoding, "not a base64 character at offset " + std::to_string(i));
        }
        bits = bits << 6 | value;
        count += 6;
        if (count >= 8) {
            count -= 8;
            out[size++] = static_cast<std::byte>(bits >> count);
        }
    }
    if (count >= 6 || (bits & ((1u << count) - 1)) != 0) {
        return fail(bad_encoding, "base64 ends inside a byte");
    }
    return out;
}

// The length of the well-formed UTF-8 sequence at `p`, or 0. RFC 3629 §4.
std::size_t utf8_sequence(ByteView p) {
    auto at = [&](std::size_t i) { return i < p.size() ? std::to_integer<unsigned>(p[i]) : 0u; };
    auto tail = [&](std::size_t i) { return (at(i) & 0xC0) == 0x80; };
    unsigned lead = at(0);
    if (lead < 0x80) return 1;
    if (lead >= 0xC2 && lead <= 0xDF) return tail(1) ? 2 : 0;
    if (lead >= 0xE0 && lead <= 0xEF) {
        unsigned low = lead == 0xE0 ? 0xA0 : 0x80;
        unsigned high = lead == 0xED ? 0x9F : 0xBF;
        return at(1) >= low && at(1) <= high && tail(2) ? 3 : 0;
    }
    if (lead >= 0xF0 && lead <= 0xF4) {
        unsigned low = lead == 0xF0 ? 0x90 : 0x80;
        unsigned high = lead == 0xF4 ? 0x8F : 0xBF;
        return at(1) >= low && at(1) <= high && tail(2) && tail(3) ? 4 : 0;
    }
    return 0;
}

}  // namespace

std::string hex(ByteView bytes) {
    std::string out;
    out.reserve(bytes.size() * 2);
    for (std::byte b : bytes) {
        out += kHexDigits[std::to_integer<unsigned>(b) >> 4];
        out += kHexDigits[std::to_integer<unsigned>(b) & 15];
    }
    return out;
}

Result<Bytes> from_hex(std::string_view text) {
    if (text.size() % 2 != 0) return fail(bad_encoding, "odd number of hexadecimal digits");
    Bytes out;
    out.reserve(text.size() / 2);
    for (std::size_t i = 0; i < text.size(); i += 2) {
        int high = hex_value(text[i]);
        int low = hex_value(text[i + 1]);
        if (high < 0 || low < 0) {
            return fail(bad_encoding, "not a hexadecimal digit at offset " + std::to_string(i));
        }
        out.push_back(static_cast<std::byte>(high << 4 | low));
    }
    return out;
}

std::string base64(ByteView bytes) {
    std::string out = encode64(bytes, kStandard);
    while (out.size() % 4 != 0) out += '=';
    return out;
}

std::string base64url(ByteView bytes) {
    return encode64(bytes, kUrl);
}

Result<Bytes> from_base64(std::string_view text) {
    if (text.size() % 4 != 0) return fail(bad_encoding, "base64 length is not a multiple of four");
    std::size_t padding = 0;
    while (padding < 2 && padding < text.size() && text[text.size() - 1 - padding] == '=')
        ++padding;
    return decode64(text.substr(0, text.size() - padding), kStandardDigits);
}

Result<Bytes> from_base64url(std::string_view text) {
    return decode64(text, kUrlDigits);
}

bool is_utf8(ByteView bytes) {
    while (!bytes.empty()) {
        std::size_t size = utf8_sequence(bytes);
        if (size == 0) return false;
        bytes = bytes.subspan(size);
    }
    return true;
}

std::string printable(ByteView bytes, std::size_t limit) {
    std::string out;
    for (std::byte b : bytes.first(std::min(limit, bytes.size()))) {
        unsigned c = std::to_integer<unsigned>(b);
        if (c >= 0x20 && c < 0x7f && c != '\\') {
            out += static_cast<char>(c);
        } else {
            out += "\\x";
            out += kHexDigits[c >> 4];
            out += kHexDigits[c & 15];
        }
    }
    if (bytes.size() > limit) out += "…";
    return out;
}

}  // namespace eos
