// SPDX-License-Identifier: AGPL-3.0-only
// The records of the platform state. They come sealed, so no host chooses their bytes; the readers
// hold all the same. What is accepted is written back to the same bytes.
#include <cstddef>
#include <cstdint>

#include "common/base/assert.h"
#include "trusted/runtime/platform_records.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace eos;
    using namespace eos::runtime;
    ByteView input(reinterpret_cast<const std::byte*>(data), size);
    if (auto ownership = parse_ownership(input)) {
        EOS_ASSERT(equal(encode_ownership(*ownership).view(), input));
    }
    if (auto settings = parse_settings(input)) {
        EOS_ASSERT(equal(encode_settings(*settings).view(), input));
    }
    if (auto history = parse_history_record(input)) {
        EOS_ASSERT(equal(encode_history_record(*history).view(), input));
    }
    if (auto floor = parse_clock(input)) EOS_ASSERT(equal(encode_clock(*floor).view(), input));
    if (auto bundle = parse_stapled(input)) {
        EOS_ASSERT(equal(encode_stapled(*bundle).view(), input));
    }
    if (auto app = parse_app("hello", input)) {
        EOS_ASSERT(equal(encode_app(*app).view(), input));
        EOS_ASSERT(workload_tree("hello", *app).has_value());
    }
    return 0;
}
