// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <cerrno>
#include <string>
#include <string_view>
#include <system_error>

namespace eos::daemon {

/// "open /var/lib/x: Permission denied", from `number`, by default the calling thread's errno.
inline std::string system_error_text(std::string_view what, int number = errno) {
    return std::string(what) + ": " + std::generic_category().message(number);
}

}  // namespace eos::daemon
