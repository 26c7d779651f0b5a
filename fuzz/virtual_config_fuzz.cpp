// SPDX-License-Identifier: AGPL-3.0-only
// The configuration file: whatever is read is written in one form, which is read back as it was.
#include "common/base/assert.h"
#include "trusted/virtual/config/config.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace eos::cvm;
    const eos::ByteView text = std::as_bytes(std::span(data, size));
    auto config = parse_config(text);
    if (!config) config = parse_config_json(text);
    if (!config) return 0;
    const std::string written = config_json(*config);
    auto again = parse_config_json(eos::as_bytes(written));
    EOS_ASSERT(again.has_value() && *again == *config);
    return 0;
}
