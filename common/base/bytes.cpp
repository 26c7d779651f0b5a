// SPDX-License-Identifier: AGPL-3.0-only
#include "common/base/bytes.h"

namespace eos {

Bytes concat(std::initializer_list<ByteView> parts) {
    std::size_t size = 0;
    for (ByteView part : parts) size += part.size();
    Bytes out;
    out.reserve(size);
    for (ByteView part : parts) append(out, part);
    return out;
}

void secure_wipe(MutableByteView bytes) {
    if (bytes.empty()) return;
    std::memset(bytes.data(), 0, bytes.size());
    __asm__ volatile("" : : "r"(bytes.data()) : "memory");
}

}  // namespace eos
