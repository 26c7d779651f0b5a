// SPDX-License-Identifier: AGPL-3.0-only
#include "common/crypto/sha1.h"

#include <openssl/sha.h>

namespace eos::crypto {

ByteArray<20> sha1(ByteView bytes) {
    ByteArray<20> out;
    SHA1(as_uchars(bytes), bytes.size(), as_writable_uchars(out));
    return out;
}

}  // namespace eos::crypto
