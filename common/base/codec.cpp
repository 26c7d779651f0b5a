// SPDX-License-Identifier: AGPL-3.0-only
#include "common/base/codec.h"

namespace eos {

Result<ByteView> Reader::bytes(std::size_t size) {
    if (size > rest_.size()) {
        return fail(truncated, std::to_string(size) + " bytes needed, " +
                                   std::to_string(rest_.size()) + " left");
    }
    ByteView out = rest_.first(size);
    rest_ = rest_.subspan(size);
    return out;
}

ByteView Reader::rest() {
    ByteView out = rest_;
    rest_ = {};
    return out;
}

Result<void> Reader::expect_end() const {
    if (!rest_.empty()) return fail(trailing_bytes, std::to_string(rest_.size()) + " bytes");
    return {};
}

}  // namespace eos
