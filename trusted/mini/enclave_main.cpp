// SPDX-License-Identifier: AGPL-3.0-only
// Where the platform enters the program.
#include "trusted/mini/enclave.h"

eos::boundary::Exit::Why eos::enclave_main(eos::platform::Platform& platform) {
    eos::Result<std::unique_ptr<eos::mini::Enclave>> enclave = eos::mini::Enclave::make(platform);
    if (!enclave) return eos::boundary::Exit::Why::kInternal;
    return (*enclave)->run();
}
