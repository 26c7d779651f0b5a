// SPDX-License-Identifier: AGPL-3.0-only
#include "common/crypto/random.h"

#include <openssl/rand.h>

#include "common/base/assert.h"

namespace eos::crypto {

void fill_random(MutableByteView out) {
    EOS_ASSERT(RAND_priv_bytes(as_writable_uchars(out), static_cast<int>(out.size())) == 1);
}

}  // namespace eos::crypto
