// SPDX-License-Identifier: AGPL-3.0-only
// aesmd's messages in both directions: no input crashes, and what is accepted survives another
// round through the encoder unchanged.
#include <cstdlib>

#include "untrusted/aesm/aesm.h"

namespace {

template <typename Message, typename Parse>
void round_trip(const eos::Result<Message>& parsed, Parse parse) {
    if (!parsed) return;
    const eos::Bytes frame = eos::aesm::encode(*parsed);
    auto again = parse(eos::ByteView(frame).subspan(eos::aesm::kLengthBytes));
    if (!again || !(*again == *parsed)) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const eos::ByteView input(reinterpret_cast<const std::byte*>(data), size);
    // Re-encoding adds a few bytes; stay clear of the encoder's assertion.
    if (size > eos::aesm::kMaxMessageBytes - 64) return 0;
    round_trip(eos::aesm::parse_request(input), eos::aesm::parse_request);
    round_trip(eos::aesm::parse_response(input), eos::aesm::parse_response);
    return 0;
}
