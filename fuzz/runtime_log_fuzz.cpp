// SPDX-License-Identifier: AGPL-3.0-only
// Whatever parse_runtime_log accepts replays and is judged without fault, against its own registers
// and against others.
#include <cstdint>

#include "common/attestation/event_log/log_checks.h"
#include "common/attestation/event_log/replay.h"
#include "common/base/assert.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    namespace event_log = eos::attestation::event_log;
    const eos::ByteView in = std::as_bytes(std::span(data, size));
    const eos::Result<event_log::EventLog> log = event_log::parse_runtime_log(in);
    const event_log::Rtmrs zero{};
    const auto tree = event_log::check_event_log(zero, log);
    EOS_ASSERT(tree.children.size() == 6);
    if (!log) return 0;
    const auto own = event_log::check_event_log(event_log::replay(*log), log);
    for (std::size_t i = 1; i <= event_log::kRtmrCount; ++i)
        EOS_ASSERT(own.children[i].verdict == eos::attestation::verify::Verdict::pass);
    return 0;
}
