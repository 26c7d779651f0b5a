// SPDX-License-Identifier: AGPL-3.0-only
#include "common/base/assert.h"

#include <cstdio>
#include <cstdlib>

namespace eos::detail {

void assertion_failed(const char* expression, const char* file, int line) {
    std::fprintf(stderr, "assertion failed: %s (%s:%d)\n", expression, file, line);
    std::abort();
}

}  // namespace eos::detail
