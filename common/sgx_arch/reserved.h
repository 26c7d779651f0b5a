// SPDX-License-Identifier: AGPL-3.0-only
// What the codecs of this folder share; not for others.
#pragma once

#include <string_view>

#include "common/base/bytes.h"
#include "common/base/codec.h"
#include "common/base/result.h"

namespace eos::sgx_arch::detail {

/// A run of bytes, as error messages name it.
struct Field {
    std::string_view name;
    std::size_t size_bytes;
};

/// errors: wrong_size.
[[nodiscard]] Result<void> expect_size(ByteView in, const Field& structure);

/// Reads a reserved run.
/// errors: reserved_not_zero, truncated.
[[nodiscard]] Result<void> expect_zeros(Reader& in, const Field& reserved);

}  // namespace eos::sgx_arch::detail
