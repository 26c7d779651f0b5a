// SPDX-License-Identifier: AGPL-3.0-only
// The minter's state file: as it lies on the disk, and with a right hash, so that what is behind
// the hash is read, too. What is read is written back as it came.
#include <algorithm>

#include "common/base/assert.h"
#include "trusted/virtual/minter/state_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace eos;
    using namespace eos::cvm;
    const ByteView input = std::as_bytes(std::span(data, size));
    auto try_file = [](ByteView file) {
        if (auto state = decode_state(file))
            EOS_ASSERT(std::ranges::equal(encode_state(*state).view(), file));
    };
    try_file(input);
    Bytes hashed = to_bytes(input);
    append(hashed, crypto::sha256(input));
    try_file(hashed);
    return 0;
}
