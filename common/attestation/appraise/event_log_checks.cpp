// SPDX-License-Identifier: AGPL-3.0-only
// The guest's event log against the registers of its verified quote, and against the policy.
#include <algorithm>

#include "common/attestation/appraise/checks.h"
#include "common/attestation/event_log/log_checks.h"
#include "common/base/encoding.h"

namespace eos::attestation::appraise {
namespace {

using event_log::Event;
using verify::Check;
using verify::failed;
using verify::group;
using verify::not_evaluated;
using verify::passed;
using verify::Subject;

constexpr Subject kGiven{"event_log.given", "docs/formats/policy.md, Trust domains",
                         "give the guest's log (CCEL, or a list of run-time events) with the "
                         "evidence, or demand none under tdx.event_log"};
constexpr Subject kRequired{"event_log.required_events", "docs/formats/policy.md, Trust domains",
                            "the guest did not measure this: it runs something else"};

bool is_in(const event_log::EventLog& log, const EventPin& pin) {
    return std::ranges::any_of(log.events, [&](const Event& event) {
        return is_measured(event) && event.rtmr == pin.rtmr && event.digest == pin.digest;
    });
}

/// Whether the log has what the policy names. It says nothing of a log that does not replay, whose
/// registers fail.
Check required_events_check(const EventLogRule& rule, const Result<event_log::EventLog>& log) {
    if (!log.has_value()) return not_evaluated(kRequired, "the log cannot be read");
    for (const EventPin& pin : rule.events) {
        if (is_in(*log, pin)) continue;
        const std::string rtmr = "RTMR" + std::to_string(pin.rtmr);
        return failed(kRequired, {rtmr + " measures " + hex(pin.digest), "no such event"});
    }
    return passed(kRequired, std::to_string(rule.events.size()) + " events");
}

}  // namespace

void add_event_log_checks(std::vector<Check>& out, const verify::Verification& verification,
                          const LeafClaims& leaf, const Policy& policy) {
    const verify::VerifiedEvidence* evidence = verification.evidence();
    const bool is_td =
        evidence != nullptr && std::holds_alternative<verify::TdxClaims>(evidence->claims());
    const bool is_demanded = is_td && policy.tdx.event_log.has_value();
    if (leaf.event_log == nullptr) {
        if (is_demanded)
            out.push_back(group("event_log", {not_evaluated(kGiven, "the policy demands a log")}));
        return;
    }
    Check checks = check_event_log(verification, *leaf.event_log);
    if (is_demanded && !policy.tdx.event_log->events.empty()) {
        checks.children.push_back(required_events_check(*policy.tdx.event_log, *leaf.event_log));
    }
    out.push_back(group(checks.id, std::move(checks.children)));
}

}  // namespace eos::attestation::appraise
