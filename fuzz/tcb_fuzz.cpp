// SPDX-License-Identifier: AGPL-3.0-only
#include "common/attestation/endorsements/endorsements.h"
#include "common/base/assert.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace eos;
    using namespace eos::attestation::endorsements;
    ByteView text{reinterpret_cast<const std::byte*>(data), size};
    (void)parse_endorsements(text);
    if (Result<TcbInfo> info = parse_tcb_info(text); info.has_value()) {
        // A platform that has everything reaches the first level.
        PlatformTcb best{.pce_svn = 0xffff};
        best.components.fill(std::byte{0xff});
        EOS_ASSERT(match(*info, best) == &info->levels.front());
    }
    if (Result<QeIdentity> identity = parse_qe_identity(text); identity.has_value()) {
        EOS_ASSERT(match(*identity, 0xffff) == &identity->levels.front());
    }
    return 0;
}
