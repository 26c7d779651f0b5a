// SPDX-License-Identifier: AGPL-3.0-only
// Drill files: whatever is read has at least the first event, and each has its time.
#include <cstddef>
#include <cstdint>

#include "client/rehearsal.h"
#include "common/base/assert.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace eos;
    const ByteView input(reinterpret_cast<const std::byte*>(data), size);
    auto events = client::parse_drill(input, UnixTime{1'780'000'000});
    if (!events) return 0;
    EOS_ASSERT(!events->empty());
    for (const client::Event& event : *events) {
        EOS_ASSERT(event.time == UnixTime{1'780'000'000});
        EOS_ASSERT(event.min_snp_tcb.size() <= 3);
    }
    return 0;
}
