// SPDX-License-Identifier: AGPL-3.0-only
#include "common/base/assert.h"
#include "common/json/json.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace eos;
    ByteView text{reinterpret_cast<const std::byte*>(data), size};
    Result<json::Value> value = json::parse(text, {});
    if (!value.has_value()) return 0;
    // What was read and written again is the same value, and writing is stable.
    std::string written = json::compact(*value);
    Result<json::Value> again = json::parse(as_bytes(written), {.size_bytes = written.size()});
    EOS_ASSERT(again.has_value());
    EOS_ASSERT(json::compact(*again) == written);
    return 0;
}
