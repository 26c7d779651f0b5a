// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "common/base/bytes.h"

namespace eos::crypto {

/// Fills `out` from OpenSSL's private DRBG, which the platform seeds. Aborts if there is no
/// entropy.
void fill_random(MutableByteView out);

template <std::size_t N>
ByteArray<N> random_array() {
    ByteArray<N> out;
    fill_random(out);
    return out;
}

}  // namespace eos::crypto
