// SPDX-License-Identifier: AGPL-3.0-only
#include "untrusted/aesm/protobuf.h"

#include "untrusted/aesm/aesm.h"

namespace eos::aesm::protobuf {
namespace {

constexpr std::uint64_t kMaxFieldNumber = (1u << 29) - 1;

std::unexpected<Error> cut_short() {
    return fail(malformed, "the message ends inside a field");
}

}  // namespace

Result<std::uint64_t> FieldReader::varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        auto octet = in_.u8();
        if (!octet) return cut_short();
        std::uint64_t bits = *octet & 0x7f;
        if (shift == 63 && bits > 1) return fail(malformed, "a varint has more than 64 bits");
        value |= bits << shift;
        if ((*octet & 0x80) == 0) return value;
    }
    return fail(malformed, "a varint has more than ten bytes");
}

Result<Field> FieldReader::next() {
    std::uint64_t tag = EOS_TRY(varint());
    std::uint64_t number = tag >> 3;
    if (number == 0 || number > kMaxFieldNumber) return fail(malformed, "field number");
    Field field{.number = static_cast<std::uint32_t>(number),
                .type = static_cast<WireType>(tag & 7)};
    switch (field.type) {
        case WireType::kVarint:
            field.varint = EOS_TRY(varint());
            return field;
        case WireType::kBytes: {
            std::uint64_t size = EOS_TRY(varint());
            if (size > in_.remaining()) return cut_short();
            field.bytes = EOS_TRY(in_.bytes(static_cast<std::size_t>(size)));
            return field;
        }
        case WireType::kFixed64:
            if (!in_.bytes(8)) return cut_short();
            return field;
        case WireType::kFixed32:
            if (!in_.bytes(4)) return cut_short();
            return field;
    }
    return fail(malformed, "wire type " + std::to_string(tag & 7));
}

void FieldWriter::raw_varint(std::uint64_t value) {
    while (value >= 0x80) {
        out_.u8(static_cast<std::uint8_t>(value | 0x80));
        value >>= 7;
    }
    out_.u8(static_cast<std::uint8_t>(value));
}

void FieldWriter::varint(std::uint32_t number, std::uint64_t value) {
    raw_varint(std::uint64_t{number} << 3);
    raw_varint(value);
}

void FieldWriter::bytes(std::uint32_t number, ByteView value) {
    raw_varint(std::uint64_t{number} << 3 | static_cast<std::uint64_t>(WireType::kBytes));
    raw_varint(value.size());
    out_.bytes(value);
}

}  // namespace eos::aesm::protobuf
