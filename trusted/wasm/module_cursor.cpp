// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/wasm/module_cursor.h"

#include "common/base/encoding.h"
#include "trusted/wasm/module_scan.h"

namespace eos::wasm {

void ModuleCursor::fail(const Code& code, std::string_view detail) {
    if (error_) return;
    error_ = Error(code, "at byte " + std::to_string(position_) + ": " + std::string(detail));
    end_ = position_;
}

Result<void> ModuleCursor::status() const {
    if (error_) return std::unexpected(*error_);
    return {};
}

std::uint8_t ModuleCursor::u8() {
    if (position_ == end_) {
        fail(malformed_module, "the input ends inside an element");
        return 0;
    }
    return std::to_integer<std::uint8_t>(input_[position_++]);
}

std::uint32_t ModuleCursor::u32() {
    std::uint32_t value = 0;
    for (unsigned shift = 0; shift < 35; shift += 7) {
        const std::uint8_t byte = u8();
        if (!ok()) return 0;
        const std::uint32_t payload = byte & 0x7f;
        if (shift == 28 && payload > 0x0f) break;
        value |= payload << shift;
        if ((byte & 0x80) == 0) return value;
    }
    fail(malformed_module, "integer too large or too long");
    return 0;
}

std::uint32_t ModuleCursor::count(std::string_view what, std::uint32_t maximum) {
    const std::uint32_t value = u32();
    if (value > maximum) {
        fail(module_limit, std::to_string(value) + " " + std::string(what) + ", at most " +
                               std::to_string(maximum));
        return 0;
    }
    return value;
}

std::int64_t ModuleCursor::signed_leb(unsigned bits) {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < bits; shift += 7) {
        const std::uint8_t byte = u8();
        if (!ok()) return 0;
        value |= std::uint64_t{byte & 0x7fu} << shift;
        const unsigned used = bits - shift;  // payload bits of this byte that count
        if (used < 7) {
            // The last byte: its unused bits must repeat the sign.
            const unsigned high = (byte & 0x7fu) >> (used - 1);
            const unsigned all = 0x7fu >> (used - 1);
            if ((byte & 0x80) != 0 || (high != 0 && high != all)) break;
        }
        if ((byte & 0x80) == 0) {
            const unsigned width = shift + 7 < 64 ? shift + 7 : 64;
            const unsigned unused = 64 - width;
            return static_cast<std::int64_t>(value << unused) >> unused;
        }
    }
    fail(malformed_module, "integer too large or too long");
    return 0;
}

ByteView ModuleCursor::bytes(std::size_t size) {
    if (size > remaining()) {
        fail(malformed_module, "the input ends inside an element");
        return {};
    }
    ByteView out = input_.subspan(position_, size);
    position_ += size;
    return out;
}

std::string_view ModuleCursor::name() {
    ByteView out = bytes(u32());
    if (!is_utf8(out)) fail(malformed_module, "a name is not UTF-8");
    return as_chars(out);
}

std::size_t ModuleCursor::enter(std::size_t size) {
    const std::size_t old_end = end_;
    if (size > remaining()) {
        fail(malformed_module, "a length goes past the end");
        return end_;
    }
    end_ = position_ + size;
    return old_end;
}

void ModuleCursor::leave(std::size_t old_end, std::string_view what) {
    if (!ok()) return;
    if (position_ != end_) {
        fail(malformed_module, std::string(what) + " has bytes left over");
        return;
    }
    end_ = old_end;
}

}  // namespace eos::wasm
