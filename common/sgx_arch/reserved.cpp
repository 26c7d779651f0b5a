// SPDX-License-Identifier: AGPL-3.0-only
#include "common/sgx_arch/reserved.h"

#include <string>

#include "common/sgx_arch/report.h"

namespace eos::sgx_arch::detail {

Result<void> expect_size(ByteView in, const Field& structure) {
    if (in.size() == structure.size_bytes) return {};
    return fail(wrong_size, std::string(structure.name) + " has " +
                                std::to_string(structure.size_bytes) + " bytes, not " +
                                std::to_string(in.size()));
}

Result<void> expect_zeros(Reader& in, const Field& reserved) {
    ByteView bytes = EOS_TRY(in.bytes(reserved.size_bytes));
    if (!all_zero(bytes)) return fail(reserved_not_zero, std::string(reserved.name));
    return {};
}

}  // namespace eos::sgx_arch::detail
