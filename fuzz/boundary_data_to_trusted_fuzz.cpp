// SPDX-License-Identifier: AGPL-3.0-only
#include <span>

#include "fuzz/boundary_message.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    return eos::boundary::fuzz_message(std::as_bytes(std::span(data, size)),
                                       eos::boundary::decode_data_to_trusted);
}
