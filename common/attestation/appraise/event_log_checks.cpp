// SPDX-License-Identifier: AGPL-3.0-only
// The guest's event log against the registers of its verified quote, and against the policy.
#include <algorithm>

#include "common/attestation/appraise/checks.h"
#include "common/attestation/event_log/log_checks.h"
#include "common/base/encoding.h"
#include "common/oid/registry.h"

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

constexpr Subject kPolicyRoot{"event_log.policy_root", "docs/formats/policy-log.md",
                              "what is served is not what the guest measured last: get the log "
                              "that goes with this evidence; if it is, do not trust the leaf"};

/// The digest of the last event of RTMR3. What lies beside a digest is the presenter's word: only
/// digests are compared. Null: nothing was measured there.
const Event* last_of_rtmr3(const event_log::EventLog& log) {
    const Event* out = nullptr;
    for (const Event& event : log.events)
        if (event.rtmr == 3 && is_measured(event)) out = &event;
    return out;
}

bool names_policy_root(const event_log::EventLog& log) {
    return std::ranges::any_of(log.events, [](const Event& event) {
        return event.rtmr == 3 && event.name == event_log::kPolicyRootEvent;
    });
}

/// Nothing: no policy root is demanded, and the log claims none.
std::optional<Check> policy_root_check(const Check& log_checks,
                                       const Result<event_log::EventLog>& log,
                                       const LeafClaims& leaf, MeasuredRoot rule) {
    const bool is_claimed = log.has_value() && names_policy_root(*log);
    if (!is_claimed && rule == MeasuredRoot::if_logged) return {};
    const Check* replayed = verify::find_check(log_checks, "event_log.rtmr3");
    if (replayed == nullptr || replayed->verdict != verify::Verdict::pass)
        return not_evaluated(kPolicyRoot, "what RTMR3 measured is not known");
    auto shown = leaf.extensions.find(oid::kPolicyRoot);
    if (shown == leaf.extensions.end()) {
        Check out = not_evaluated(kPolicyRoot, "no leaf shows a policy root");
        // Evidence by itself has no leaf, which is for the checks of leaves to say.
        const bool is_alone = !leaf.leaf_binding && rule == MeasuredRoot::if_logged;
        if (is_alone) out.weight = verify::Weight::informative;
        return out;
    }
    const Event expected = event_log::policy_root_event(shown->second);
    const Event* last = last_of_rtmr3(*log);
    if (last != nullptr && last->digest == expected.digest)
        return passed(kPolicyRoot, hex(shown->second));
    return failed(kPolicyRoot,
                  {"the event of policy root " + hex(shown->second) + ", " + hex(expected.digest),
                   last == nullptr ? "none in RTMR3" : hex(last->digest)});
}

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
    const MeasuredRoot rule =
        is_demanded ? policy.tdx.event_log->policy_root : MeasuredRoot::if_logged;
    if (std::optional<Check> root = policy_root_check(checks, *leaf.event_log, leaf, rule))
        checks.children.push_back(*std::move(root));
    out.push_back(group(checks.id, std::move(checks.children)));
}

}  // namespace eos::attestation::appraise
