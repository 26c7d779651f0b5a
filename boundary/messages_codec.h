// SPDX-License-Identifier: AGPL-3.0-only
// Pieces that the codecs of messages.cpp and messages_rpc.cpp share; for those two only.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "boundary/messages.h"
#include "common/base/codec.h"

namespace eos::boundary::codec {

/// Inclusive bounds.
struct Range {
    std::uint64_t least;
    std::uint64_t most;
};

inline Result<void> in_range(std::uint64_t value, Range range, std::string_view what) {
    if (value > range.most) return fail(message_too_large, std::string(what));
    if (value < range.least) return fail(malformed_message, std::string(what));
    return {};
}

/// An enumerator that is one byte on the wire.
template <typename Enum>
Result<Enum> enum_u8(Reader& in, Range range) {
    std::uint8_t value = EOS_TRY(in.u8());
    if (value < range.least || value > range.most)
        return fail(malformed_message, "unknown enumerator");
    return static_cast<Enum>(value);
}

inline std::unexpected<Error> unknown(const Frame& frame) {
    return fail(unknown_message, "type " + std::to_string(frame.type));
}

/// Decodes the whole payload: what `decode` leaves over is an error, and a read past the end means
/// the same to the caller as any other malformed message.
template <typename Message, typename Decode>
Result<Message> whole(const Frame& frame, Decode&& decode) {
    Reader in(frame.payload);
    auto message = decode(in);
    if (!message) {
        if (message.error().code() == truncated) return fail(malformed_message, "truncated");
        return fail(std::move(message).error());
    }
    if (in.remaining() != 0) return fail(malformed_message, "trailing bytes");
    return Result<Message>(std::in_place, *std::move(message));
}

inline Encoded encoded(MessageType type, Writer& writer) {
    Encoded out;
    out.type = type;
    out.variable = std::move(writer).take();
    return out;
}

}  // namespace eos::boundary::codec
