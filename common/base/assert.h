// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

namespace eos::detail {

/// Prints the place and aborts. Kept out of line so that EOS_ASSERT costs one branch.
[[noreturn]] void assertion_failed(const char* expression, const char* file, int line);

}  // namespace eos::detail

/// A programmer's error: always on, aborts. Never used for input of any origin; that is an Error.
#define EOS_ASSERT(condition)                          \
    (__builtin_expect(static_cast<bool>(condition), 1) \
         ? static_cast<void>(0)                        \
         : ::eos::detail::assertion_failed(#condition, __FILE__, __LINE__))
