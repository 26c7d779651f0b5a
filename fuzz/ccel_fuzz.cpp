// SPDX-License-Identifier: AGPL-3.0-only
// Whatever parse_ccel accepts replays, describes itself and is judged without fault; and what is
// accepted is made of records: written again with one digest each, the log is the same.
#include <cstdint>

#include "common/attestation/event_log/log_builder_test.h"
#include "common/attestation/event_log/log_checks.h"
#include "common/attestation/event_log/replay.h"
#include "common/base/assert.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    namespace event_log = eos::attestation::event_log;
    const eos::ByteView in = std::as_bytes(std::span(data, size));
    const eos::Result<event_log::EventLog> log = event_log::parse_ccel(in);
    if (!log) return 0;
    for (const event_log::Event& event : log->events)
        EOS_ASSERT(event_log::describe(event).size() <= 4096);
    const event_log::Rtmrs rtmrs = event_log::replay(*log);
    const auto again = event_log::parse_ccel(event_log::testing::ccel_of(log->events));
    EOS_ASSERT(again.has_value() && again->events == log->events);
    EOS_ASSERT(!event_log::first_difference(*log, *again));
    const auto tree = event_log::check_event_log(rtmrs, log);
    for (const char* id : {"event_log.rtmr0", "event_log.rtmr3"}) {
        const auto* node = eos::attestation::verify::find_check(tree, id);
        EOS_ASSERT(node != nullptr && node->verdict == eos::attestation::verify::Verdict::pass);
    }
    return 0;
}
