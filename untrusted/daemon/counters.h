// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <cstdint>

namespace eos::daemon {

/// What the daemon's /metrics shows. Numbers only. threads: one, the loop's.
struct Counters {
    std::uint64_t connections_accepted = 0;
    std::uint64_t connections_reset_by_peer = 0;
    std::uint64_t accept_pauses = 0;
    std::uint64_t bytes_from_clients = 0;
    std::uint64_t bytes_to_clients = 0;
    std::uint64_t storage_requests = 0;
    std::uint64_t storage_failures = 0;
    std::uint64_t quote_requests = 0;
    std::uint64_t quote_failures = 0;
    std::uint64_t overloaded_replies = 0;
    std::uint64_t runner_starts = 0;
    std::uint64_t boundary_violations = 0;
    std::uint64_t log_lines_suppressed = 0;
};

}  // namespace eos::daemon
