// SPDX-License-Identifier: AGPL-3.0-only
// One line of a module's section eos.functions.
#include <cstdint>
#include <cstdlib>
#include <span>

#include "trusted/wasm/signature.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto line = eos::as_chars(std::as_bytes(std::span(data, size)));
    const auto signature = eos::wasm::parse_signature(line);
    if (!signature) return 0;
    const eos::wasm::FunctionType type = eos::wasm::lowered(*signature);
    if (type.params.size() < signature->parameters.size() || type.results.size() > 1) std::abort();
    return 0;
}
