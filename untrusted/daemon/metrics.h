// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <cstddef>
#include <string>

#include "untrusted/daemon/counters.h"
#include "untrusted/daemon/health.h"

namespace eos::daemon {

/// The daemon's own numbers, and the few that the trusted side gives out, as Prometheus text
/// (exposition format 0.0.4). No label holds anything that a peer chose.
std::string render_metrics(const Counters& counters, const Health& health,
                           std::size_t connection_count);

}  // namespace eos::daemon
