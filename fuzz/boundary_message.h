// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <cstdint>

#include "boundary/messages.h"
#include "common/base/assert.h"
#include "common/base/codec.h"

namespace eos::boundary {

/// One direction of one ring: the input is u32le type ‖ payload. What is accepted must encode to
/// the very same bytes.
template <typename Direction>
int fuzz_message(ByteView input, Result<Direction> (*decode)(const Frame&)) {
    Reader in(input);
    auto type = in.u32le();
    if (!type || in.remaining() > kMaxFramePayloadBytes) return 0;
    Frame frame{.type = *type, .payload = in.rest()};
    auto message = decode(frame);
    if (!message) return 0;
    auto encoded = encode(*message);
    EOS_ASSERT(encoded.has_value());
    EOS_ASSERT(static_cast<std::uint32_t>(encoded->type) == frame.type);
    EOS_ASSERT(equal(concat({encoded->head(), encoded->tail}), frame.payload));
    return 0;
}

}  // namespace eos::boundary
