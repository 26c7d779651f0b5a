// SPDX-License-Identifier: AGPL-3.0-only
#include "common/attestation/event_log/log_checks.h"

#include <variant>

#include "common/attestation/event_log/replay.h"
#include "common/base/encoding.h"
#include "common/crypto/hash.h"

namespace eos::attestation::event_log {
namespace {

using verify::Check;
using verify::Subject;

constexpr std::string_view kSource = "docs/formats/verification.md 5.1";
constexpr Subject kSyntax{"event_log.syntax", "TCG PC Client Platform Firmware Profile, 10.2",
                          "give the log whole and as the guest has it"};
constexpr std::array<std::string_view, kRtmrCount> kRegisterIds{
    "event_log.rtmr0", "event_log.rtmr1", "event_log.rtmr2", "event_log.rtmr3"};
constexpr std::string_view kRegisterRemedy =
    "take quote and log from the same boot, the log last; run-time events may be in a log of "
    "their own";
constexpr Subject kContent{"event_log.content", "TCG PC Client Platform Firmware Profile, 10.4.1",
                           "do not believe the text of this event: another one was measured"};

std::string words(Cause cause) {
    switch (cause) {
        case Cause::after_quote:
            return "the quoted value is the one before this event";
        case Cause::not_measured:
            return "without this event the log replays";
        case Cause::swapped:
            return "with this event and the register's next one swapped the log replays";
        case Cause::altered:
            return "with the digest of this event's data the log replays";
    }
    __builtin_unreachable();
}

std::string name_event(const EventLog& log, std::size_t index) {
    return "event " + std::to_string(index) + ", " + describe(log.events[index]);
}

std::string explain(const EventLog& log, std::size_t rtmr, const Digest48& quoted) {
    std::optional<Suspect> suspect = find_suspect(log, rtmr, quoted);
    if (!suspect) return "no single event explains the difference";
    return name_event(log, suspect->index) + ": " + words(suspect->cause);
}

Check register_check(std::size_t rtmr, const Rtmrs& quoted, const EventLog& log,
                     const Digest48& replayed) {
    const Subject subject{kRegisterIds[rtmr], kSource, kRegisterRemedy};
    if (replayed == quoted[rtmr]) {
        const auto count = std::ranges::count_if(log.events, [rtmr](const Event& event) {
            return event.rtmr == rtmr && is_measured(event);
        });
        return passed(subject, std::to_string(count) + " events");
    }
    return failed(subject, {hex(quoted[rtmr]), hex(replayed)}, explain(log, rtmr, quoted[rtmr]));
}

Check content_check(const EventLog& log) {
    std::size_t backed = 0;
    for (std::size_t i = 0; i < log.events.size(); ++i) {
        const Event& event = log.events[i];
        const Content content = content_of(event);
        if (content == Content::contradicted) {
            return failed(kContent, {"the digest of what lies beside it", hex(event.digest)},
                          name_event(log, i));
        }
        if (content == Content::verified && is_measured(event)) ++backed;
    }
    return passed(kContent, std::to_string(backed) + " of " + std::to_string(log.events.size()) +
                                " events are backed by what lies beside their digest");
}

/// A group in which only the syntax may have been looked at.
Check unevaluated(Check syntax, std::string_view why) {
    std::vector<Check> checks{std::move(syntax)};
    for (std::string_view id : kRegisterIds)
        checks.push_back(verify::not_evaluated({id, kSource}, std::string(why)));
    checks.push_back(verify::not_evaluated(kContent, std::string(why)));
    return verify::group("event_log", std::move(checks));
}

Check syntax_check(const Result<EventLog>& log) {
    if (!log.has_value()) return failed(kSyntax, log.error());
    return passed(kSyntax, std::to_string(log->events.size()) + " events");
}

}  // namespace

Check check_event_log(const Rtmrs& quoted, const Result<EventLog>& log) {
    if (!log.has_value()) return unevaluated(syntax_check(log), "the log cannot be read");
    std::vector<Check> checks{syntax_check(log)};
    const Rtmrs replayed = replay(*log);
    for (std::size_t rtmr = 0; rtmr < kRtmrCount; ++rtmr)
        checks.push_back(register_check(rtmr, quoted, *log, replayed[rtmr]));
    checks.push_back(content_check(*log));
    return verify::group("event_log", std::move(checks));
}

Check check_event_log(const verify::Verification& verification, const Result<EventLog>& log) {
    if (verification.evidence() == nullptr) {
        return unevaluated(syntax_check(log), "the evidence is not genuine");
    }
    const auto* tdx = std::get_if<verify::TdxClaims>(&verification.evidence()->claims());
    if (tdx == nullptr) {
        return unevaluated(syntax_check(log), "this kind of TEE has no run-time registers");
    }
    return check_event_log(tdx->report.rtmr, log);
}

}  // namespace eos::attestation::event_log
