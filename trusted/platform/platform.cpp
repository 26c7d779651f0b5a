// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/platform/platform.h"

#include <thread>
#include <vector>

#include "common/base/assert.h"

namespace eos::platform {

std::string_view to_string(Assurance assurance) {
    switch (assurance) {
        case Assurance::kProduction:
            return "production";
        case Assurance::kDebug:
            return "debug";
        case Assurance::kProcess:
            return "process";
    }
    __builtin_unreachable();
}

void run_workers(unsigned count, const std::function<void(unsigned)>& body) {
    EOS_ASSERT(count >= 1);
    std::vector<std::thread> threads;
    for (unsigned worker = 1; worker < count; ++worker) threads.emplace_back(body, worker);
    body(0);
    for (std::thread& thread : threads) thread.join();
}

}  // namespace eos::platform
