// SPDX-License-Identifier: AGPL-3.0-only
// A request to the verification service, and its answer. Nothing that a fuzzer makes is genuine.
#include <cstdint>

#include "common/base/assert.h"
#include "trusted/attestd/appraiser.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace eos;
    using attestation::verify::Roots;
    static const attestd::Standing kStanding{
        attestd::default_policy(Roots::intel()), {}, std::nullopt};
    constexpr UnixTime kNow{1'780'000'000};
    ByteView input = std::as_bytes(std::span(data, size));
    Result<attestd::VerifyRequest> request = attestd::parse_request(input, 1 << 20);
    if (!request) return 0;
    Result<attestd::Answer> answer = attestd::answer(*request, kStanding, kNow, nullptr);
    if (!answer) return 0;
    EOS_ASSERT(answer->status != "OK" && answer->body["success"] == false);
    (void)json::compact(answer->body);
    return 0;
}
