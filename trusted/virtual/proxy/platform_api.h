// SPDX-License-Identifier: AGPL-3.0-only
// What the machine's own name answers.
#pragma once

#include <atomic>
#include <memory>

#include "trusted/runtime/router.h"

namespace eos::cvm::proxy {

/// One loop's. `is_ready` outlives it.
std::unique_ptr<runtime::RequestDispatcher> make_platform_api(const std::atomic<bool>& is_ready);

}  // namespace eos::cvm::proxy
