// SPDX-License-Identifier: AGPL-3.0-only
#include "common/attestation/appraise/policy.h"
#include "common/base/assert.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace eos;
    using namespace eos::attestation;
    ByteView text{reinterpret_cast<const std::byte*>(data), size};
    Result<appraise::Policy> policy = appraise::parse_policy(text);
    if (!policy.has_value()) return 0;
    // The canonical form is a policy with the same demands, and a fixed point.
    std::string canonical = appraise::canonical_policy(*policy);
    Result<appraise::Policy> again = appraise::parse_policy(as_bytes(canonical));
    EOS_ASSERT(again.has_value());
    EOS_ASSERT(appraise::canonical_policy(*again) == canonical);
    EOS_ASSERT(appraise::diff_policies(*policy, *again).empty());
    // No policy that was read is open without its word.
    EOS_ASSERT(!policy->identity.empty() || policy->allow_any_identity);
    return 0;
}
