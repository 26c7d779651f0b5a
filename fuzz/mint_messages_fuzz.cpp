// SPDX-License-Identifier: AGPL-3.0-only
// Frames between proxy and minter, both directions: what is read is written back as it came.
#include "common/base/assert.h"
#include "trusted/virtual/mint_protocol/messages.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace eos::cvm;
    const eos::ByteView frame = std::as_bytes(std::span(data, size));
    auto same = [&](const eos::Bytes& again) {
        return std::ranges::equal(eos::ByteView(again).subspan(4), frame);
    };
    if (auto request = decode_request(frame)) EOS_ASSERT(same(encode(*request)));
    if (auto reply = decode_reply(frame)) EOS_ASSERT(same(encode(*reply)));
    FrameReader reader(kMaxRequestBytes);
    reader.receive(frame);
    for (auto next = reader.next(); next && *next; next = reader.next()) {
    }
    return 0;
}
