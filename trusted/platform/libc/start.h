// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "boundary/messages.h"
#include "trusted/platform/platform.h"

namespace eos::platform {

/// Makes malloc and OpenSSL fit for a place without files or processor counts. Before anything else
/// uses either; start() does it too.
void prepare_libraries();

/// Called once by every implementation when its Platform is ready: prepares the libraries, gives
/// the C library its clock, and runs eos::enclave_main. Aborts where the shared block is not one
/// that this build understands.
boundary::Exit::Why start(Platform& platform);

}  // namespace eos::platform
