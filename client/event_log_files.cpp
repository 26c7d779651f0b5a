// SPDX-License-Identifier: AGPL-3.0-only
#include "client/event_log_files.h"

#include <algorithm>
#include <iterator>

#include "client/files.h"

namespace eos::client {

namespace event_log = attestation::event_log;

Result<event_log::EventLog> read_event_logs(const std::vector<std::string>& files) {
    event_log::EventLog out;
    for (const std::string& file : files) {
        const Bytes bytes = EOS_TRY(read_file(file, event_log::kMaxLogBytes));
        const bool is_json = as_chars(bytes).starts_with("[");
        Result<event_log::EventLog> log =
            is_json ? event_log::parse_runtime_log(bytes) : event_log::parse_ccel(bytes);
        if (!log) return fail(std::move(log.error()).within(file));
        std::ranges::move(log->events, std::back_inserter(out.events));
    }
    return out;
}

}  // namespace eos::client
