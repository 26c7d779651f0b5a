// SPDX-License-Identifier: AGPL-3.0-only
#include "common/base/codec.h"

namespace eos {

std::unexpected<Error> Reader::too_short(std::size_t wanted_bytes) const {
    return fail(truncated, std::to_string(wanted_bytes) + " bytes needed, " +
                               std::to_string(rest_.size()) + " left");
}

Result<void> Reader::expect_end() const {
    if (!rest_.empty()) return fail(trailing_bytes, std::to_string(rest_.size()) + " bytes");
    return {};
}

}  // namespace eos
