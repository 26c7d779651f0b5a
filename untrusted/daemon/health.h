// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <string>
#include <vector>

#include "boundary/messages.h"
#include "common/base/time.h"

namespace eos::daemon {

/// Why the service may not be answering, as far as the daemon knows; what /readyz shows. An empty
/// text means no trouble. threads: one, the loop's.
struct Health {
    std::string runner_trouble = "the trusted process has not been started yet";
    std::string quoting_trouble;
    std::string reading_trouble;  ///< of the storage
    std::string writing_trouble;  ///< of the storage; a read that works does not end it
    std::string accept_trouble;
    std::string worker_trouble;  ///< of the process that runs
    bool draining = false;
    std::vector<boundary::Status> workers;  ///< the last word of each worker of this process

    /// Every reason, one sentence each; none: ready.
    std::vector<std::string> reasons() const;

    /// What the trusted side should have renewed long ago, as one sentence, or nothing. It renews
    /// leaf and evidence many hours before they expire.
    std::string expiry_warning(UnixTime now) const;
    static constexpr std::int64_t kExpiryWarningSeconds = 2 * 3600;
};

}  // namespace eos::daemon
