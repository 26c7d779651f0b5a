// SPDX-License-Identifier: AGPL-3.0-only
// Evidence of virtual TPMs in all its wrappers: HCL reports, TPMS_ATTEST, both JSON forms.
#include <cstdint>

#include "common/attestation/evidence/vtpm.h"
#include "common/base/assert.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    namespace evidence = eos::attestation::evidence;
    const eos::ByteView in = std::as_bytes(std::span(data, size));
    if (const auto hcl = evidence::parse_hcl_report(in)) {
        EOS_ASSERT(hcl->runtime_data.size() + 32 + 1184 + 20 <= size);
    }
    if (const auto attest = evidence::parse_tpm_attest(in)) {
        EOS_ASSERT(attest->extra_data.size() + attest->qualified_signer.size() < size);
    }
    if (const auto azure = evidence::parse_azure_vtpm(in)) {
        EOS_ASSERT(azure->quote.pcrs.size() == evidence::kPcrCount);
    }
    (void)evidence::parse_azure_tpm_quote(in);
    (void)evidence::parse_plain_tpm(in);
    return 0;
}
