// SPDX-License-Identifier: AGPL-3.0-only
#include "common/attestation/endorsements/endorsements.h"
#include "common/attestation/verify/bundle_checks.h"
#include "common/base/assert.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace eos;
    using namespace eos::attestation;
    ByteView text{reinterpret_cast<const std::byte*>(data), size};
    Result<endorsements::Bundle> bundle = endorsements::parse_bundle(text);
    if (bundle.has_value()) {
        for (const endorsements::Piece& piece : bundle->pieces) (void)endorsements::dates_of(piece);
        const verify::Roots roots = verify::Roots::of({verify::Vendor::intel, verify::Vendor::amd});
        verify::Check tree = verify::check_pieces(bundle->pieces, roots, {});
        EOS_ASSERT(verify::summarise(tree).verdict != verify::Verdict::pass);
    }
    return 0;
}
