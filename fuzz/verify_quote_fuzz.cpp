// SPDX-License-Identifier: AGPL-3.0-only
// A quote that the fuzzer made: whatever it is, no vendor signed it.
#include "common/attestation/appraise/appraise.h"
#include "common/base/assert.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace eos;
    using namespace eos::attestation;
    ByteView quote{reinterpret_cast<const std::byte*>(data), size};
    static const verify::Roots roots =
        verify::Roots::of({verify::Vendor::intel, verify::Vendor::amd});
    verify::Verification verification =
        verify::verify_quote(quote, {}, roots, UnixTime{1'780'000'000});
    EOS_ASSERT(verification.evidence() == nullptr);
    EOS_ASSERT(!summarise(verification.tree()).failed.empty());
    appraise::Policy open;
    open.allow_any_identity = true;
    appraise::AttestationResult result = appraise::appraise(verification, {}, open);
    EOS_ASSERT(result.outcome() == appraise::Outcome::rejected);
    EOS_ASSERT(result.exit_code() == appraise::kExitNotGenuine);
    EOS_ASSERT(!result.text().empty() && !json::compact(result.to_json()).empty());
    return 0;
}
