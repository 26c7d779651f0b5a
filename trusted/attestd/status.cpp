// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/attestd/status.h"

#include <algorithm>
#include <array>
#include <string>

#include "common/attestation/verify/check.h"

namespace eos::attestd {
namespace {

using attestation::endorsements::TcbStatus;
using attestation::verify::Check;
using attestation::verify::find_check;
using attestation::verify::Summary;
using attestation::verify::Verdict;

constexpr std::string_view kOk = "OK";
constexpr std::string_view kFailed = "VERIFICATION_FAILED";
constexpr std::string_view kIncomplete = "INCOMPLETE";

/// What a certificate would say, and evidence that comes alone cannot.
constexpr std::string_view kAssurance = "assurance";
/// What a caller looks at who did not say what the evidence is bound to.
constexpr std::array<std::string_view, 3> kLeftToCaller{kAssurance, "report_data", "binding.level"};

bool passes(const Check& tree, std::string_view id) {
    const Check* check = find_check(tree, id);
    return check != nullptr && check->verdict == Verdict::pass;
}

/// What failed of genuine evidence, in the order in which a caller wants to know.
std::string_view word_of_failure(const std::vector<std::string>& failed) {
    struct Word {
        std::string_view prefix;
        std::string_view word;
    };
    constexpr std::array<Word, 4> kWords{{{"report_data", "REPORT_DATA_MISMATCH"},
                                          {"event_log.", "EVENT_LOG_MISMATCH"},
                                          {"request.type", "TYPE_MISMATCH"},
                                          {"request.platform", "PLATFORM_NOT_ALLOWED"}}};
    for (const Word& one : kWords) {
        if (std::ranges::any_of(
                failed, [&](const std::string& id) { return id.starts_with(one.prefix); })) {
            return one.word;
        }
    }
    return "POLICY_REJECTED";
}

/// Intel's status, empty if there is none.
std::string intel_status(const json::Value& claims) {
    auto tcb = claims.find("tcb");
    if (tcb == claims.end() || !tcb->is_object()) return {};
    return tcb->value("status", std::string());
}

bool is_complete(const Summary& summary, Binding binding) {
    auto excused = [&](const std::string& id) {
        return binding == Binding::left_to_caller &&
               std::ranges::find(kLeftToCaller, id) != kLeftToCaller.end();
    };
    return std::ranges::all_of(summary.not_evaluated, excused) &&
           std::ranges::all_of(summary.waived,
                               [](const std::string& id) { return id == kAssurance; });
}

}  // namespace

std::string_view tcb_word(TcbStatus status) {
    switch (status) {
        case TcbStatus::up_to_date:
            return kOk;
        case TcbStatus::sw_hardening_needed:
            return "SW_HARDENING_NEEDED";
        case TcbStatus::configuration_needed:
            return "CONFIGURATION_NEEDED";
        case TcbStatus::configuration_and_sw_hardening_needed:
            return "CONFIGURATION_AND_SW_HARDENING_NEEDED";
        case TcbStatus::out_of_date:
        case TcbStatus::out_of_date_configuration_needed:
            return "TCB_OUT_OF_DATE";
        case TcbStatus::revoked:
            return "TCB_REVOKED";
        case TcbStatus::td_relaunch_advised:
        case TcbStatus::td_relaunch_advised_configuration_needed:
            return "TD_RELAUNCH_ADVISED";
    }
    __builtin_unreachable();
}

std::string_view status_of(const attestation::appraise::AttestationResult& result,
                           Binding binding) {
    const json::Value& claims = result.claims();
    if (!claims.is_object()) return kFailed;
    if (claims.value("emulated", true)) return "EMULATED";
    if (claims.value("debug", true)) return "DEBUG";
    const std::string status = intel_status(claims);
    std::optional<TcbStatus> known = attestation::endorsements::tcb_status_from(status);
    if (known && *known != TcbStatus::up_to_date) return tcb_word(*known);
    const Summary summary = summarise(result.tree());
    if (!summary.failed.empty()) return word_of_failure(summary.failed);
    // AMD states no status: the policy's minimum stands for it, and without one nothing does (zeros
    // are none).
    const bool is_current =
        known ? passes(result.tree(), "tcb.status") : passes(result.tree(), "snp.tcb");
    if (!is_current || !is_complete(summary, binding)) return kIncomplete;
    return kOk;
}

}  // namespace eos::attestd
