// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/platform/libc/start.h"

#include <malloc.h>
#include <openssl/crypto.h>

#include "boundary/layout.h"
#include "common/base/assert.h"
#include "trusted/platform/libc/libc_overrides.h"
#include "trusted/platform/trusted_clock.h"

namespace eos::platform {

void prepare_libraries() {
    // With more arenas glibc reads the number of processors from the system at random moments.
    // Sanitizers have their own malloc, which refuses.
    [[maybe_unused]] int accepted = mallopt(M_ARENA_MAX, 1);
#ifndef EOS_SANITIZED
    EOS_ASSERT(accepted == 1);
#endif
    // Without the first flag the first use of OpenSSL opens its configuration file; without the
    // second it cleans up at exit, which an enclave does not have.
    EOS_ASSERT(OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_NO_ATEXIT, nullptr));
}

boundary::Exit::Why start(Platform& platform) {
    prepare_libraries();
    auto layout = boundary::Layout::open(platform.shared_block());
    if (!layout) platform.abort(AbortReason::kBadSharedBlock);
    TrustedClock clock(layout->time());
    set_libc_clock(&clock);
    boundary::Exit::Why why = enclave_main(platform);
    set_libc_clock(nullptr);
    return why;
}

}  // namespace eos::platform
