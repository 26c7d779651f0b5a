// SPDX-License-Identifier: AGPL-3.0-only
// Host storage as the sealed store finds it: a root, an envelope, an index of any bytes, and a
// whole store whose root is the input with a right checksum.
#include <cstddef>
#include <cstdint>

#include "common/base/assert.h"
#include "trusted/runtime/testing.h"

namespace {

using namespace eos;
using namespace eos::runtime;

void try_root(ByteView input) {
    Result<RootRecord> root = parse_root(input);
    if (!root) return;
    RecordCipher cipher(SealingKeyBytes(ByteArray<16>{}), root->instance_id);
    static_cast<void>(cipher.open_root(*root));
}

void try_index(ByteView input) {
    Result<RecordIndex> index = parse_index(input, UINT64_MAX);
    if (index) EOS_ASSERT(equal(encode_index(*index), input));
}

void try_store(ByteView input) {
    Bytes root = concat({as_bytes("EOSROOT1"), input});
    append(root, crypto::sha256(ByteView(root)));
    runtime::testing::TestStore test({{"state/root", std::move(root)}});
    EOS_ASSERT(!test.open().has_value());
    EOS_ASSERT(test.blobs.log.empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    ByteView input(reinterpret_cast<const std::byte*>(data), size);
    try_root(input);
    try_index(input);
    static_cast<void>(parse_envelope(input));
    try_store(input);
    return 0;
}
