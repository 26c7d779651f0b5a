// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <string>
#include <vector>

#include "common/attestation/event_log/event_log.h"
#include "common/base/result.h"

namespace eos::client {

/// All logs as one: the firmware's and a run-time log measure into different registers. Each is a
/// CCEL data area, or a JSON list of run-time events.
/// errors: those of read_file, event_log::parse_runtime_log and parse_ccel, with the file.
[[nodiscard]] Result<attestation::event_log::EventLog> read_event_logs(
    const std::vector<std::string>& files);

}  // namespace eos::client
