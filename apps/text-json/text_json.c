// SPDX-License-Identifier: AGPL-3.0-only
// Functions called with JSON: POST /rpc/text-json/reverse {"args":["abc"]}.
#include <string.h>

#include "apps/include/eos_app.h"

EOS_DESCRIBE("add(a: s64, b: s64) -> s64");
EOS_EXPORT(add) int64_t add(int64_t a, int64_t b) {
    return (int64_t)((uint64_t)a + (uint64_t)b);
}

EOS_DESCRIBE("reverse(text: string) -> string");
EOS_EXPORT(reverse) eos_slice reverse(const char* text, size_t size) {
    // By code points, so that the result is UTF-8 again.
    char* out = malloc(size + 1);
    size_t end = size;
    for (size_t i = 0; i < size;) {
        size_t length = 1;
        while (i + length < size && (text[i + length] & 0xc0) == 0x80) ++length;
        end -= length;
        memcpy(out + end, text + i, length);
        i += length;
    }
    return eos_slice_of(out, size);
}

EOS_DESCRIBE("checksum(data: bytes) -> u32");
EOS_EXPORT(checksum) uint32_t checksum(const uint8_t* data, size_t size) {
    // CRC-32 as of zlib, bit by bit.
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < size; ++i) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
    }
    return ~crc;
}

EOS_DESCRIBE("first_bytes(data: bytes, count: u32) -> bytes");
EOS_EXPORT(first_bytes) eos_slice first_bytes(const uint8_t* data, size_t size, uint32_t count) {
    return eos_slice_of(data, count < size ? count : size);
}

EOS_DESCRIBE("is_even(n: u32) -> bool");
EOS_EXPORT(is_even) int is_even(uint32_t n) {
    return n % 2 == 0;
}

EOS_DESCRIBE("divide(a: s32, b: s32) -> s32");
EOS_EXPORT(divide) int32_t divide(int32_t a, int32_t b) {
    return a / b;  // traps if b is 0: the client sees "integer_divide_by_zero"
}
