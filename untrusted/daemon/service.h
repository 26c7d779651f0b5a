// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <functional>

#include "common/base/result.h"

namespace eos::daemon {

inline constexpr Code service_busy{"untrusted/daemon", "service_busy",
                                   "too many requests wait already"};

/// Receives an outcome exactly once: on the service's own thread, or service_busy on the thread
/// that asked. Must not wait.
template <typename T>
using Done = std::move_only_function<void(Result<T>)>;

}  // namespace eos::daemon
