// SPDX-License-Identifier: AGPL-3.0-only
// Both messages of mode C: the first byte picks which. What is read is written and read the same.
#include <cstdint>

#include "common/base/assert.h"
#include "common/ratls/attest_message.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace eos;
    if (size == 0) return 0;
    const ByteView text = std::as_bytes(std::span(data + 1, size - 1));
    if (data[0] % 2 == 0) {
        const Result<ratls::AttestRequest> request = ratls::parse_attest_request(text);
        if (!request) return 0;
        EOS_ASSERT(request->context.has_value() ==
                   (request->mode == ratls::AttestMode::kChallenge));
        const std::string written = to_text(*request);
        const auto again = ratls::parse_attest_request(as_bytes(written));
        EOS_ASSERT(again && again->leaf == request->leaf && again->context == request->context);
        return 0;
    }
    const Result<ratls::AttestResponse> response = ratls::parse_attest_response(text);
    if (!response) return 0;
    EOS_ASSERT(!response->quote.empty() && response->quote.size() < size);
    const std::string written = to_text(*response);
    // Unpadded and with every member it may be longer than what came.
    if (written.size() > ratls::kMaxAttestResponseBytes) return 0;
    const auto again = ratls::parse_attest_response(as_bytes(written));
    EOS_ASSERT(again && again->quote == response->quote &&
               again->quote_time == response->quote_time);
    return 0;
}
