// SPDX-License-Identifier: AGPL-3.0-only
#include <algorithm>

#include "common/attestation/appraise/checks.h"
#include "common/base/encoding.h"

namespace eos::attestation::appraise {
namespace {

using endorsements::TcbStatus;
using verify::Check;
using verify::group;
using verify::not_evaluated;
using verify::Subject;
using verify::Weight;

Check root_check(const verify::VerifiedEvidence& evidence, const Policy& policy) {
    constexpr Subject kSubject{"policy.roots", "docs/formats/verification.md 6.1",
                               "verify with the roots of this policy"};
    // verify() was given roots by its caller; they must be this policy's.
    const verify::RootIdentity& found = evidence.root();
    if (!policy.roots.contains(found)) {
        return failed(kSubject, {policy.roots.describe(), found.name});
    }
    return passed(kSubject, found.name);
}

Check tee_check(const verify::TeeClaims& claims, const Policy& policy) {
    constexpr Subject kSubject{"policy.tees", "the policy, tees",
                               "list this kind of TEE in the policy if you accept it"};
    std::string found(tee_name(claims));
    if (policy.tees.contains(found)) return passed(kSubject, found);
    std::string expected;
    for (const std::string& tee : policy.tees) expected += (expected.empty() ? "" : " or ") + tee;
    return failed(kSubject, {expected, found});
}

Check debug_check(const verify::VerifiedEvidence& evidence, const Policy& policy) {
    constexpr Subject kSubject{"attributes.debug",
                               "SDM 3D, ATTRIBUTES.DEBUG; TDX module ABI, ATTRIBUTES.TUD; "
                               "AMD 56860, guest policy",
                               "run the release build: a debug enclave is open to its host"};
    if (!is_debug(evidence.claims())) return passed(kSubject);
    if (policy.debug == DebugRule::allow_emulated &&
        evidence.root().kind == verify::RootKind::test) {
        return passed(kSubject, "DEBUG enclave, accepted under emulation only");
    }
    return failed(kSubject, {"DEBUG 0", "DEBUG 1"});
}

Check init_check(const sgx_arch::ReportBody& report) {
    constexpr Subject kSubject{"attributes.init", "SDM 3D, ATTRIBUTES.INIT",
                               "evidence of an enclave that never started: report it"};
    if ((report.attributes.flags & sgx_arch::kAttributeInit) != 0) return passed(kSubject);
    return failed(kSubject, {"INIT 1", "INIT 0"});
}

Check platform_check(const endorsements::PckExtension& platform, const Policy& policy) {
    constexpr Subject kSubject{
        "identity.platform", "docs/formats/verification.md 6.3",
        "list the platforms in the policy, or pin the instance, to exclude diversion to another "
        "genuine machine with the same program"};
    const ByteArray<16>& id = platform.platform_instance_id.value_or(platform.ppid);
    std::string found =
        (platform.platform_instance_id ? "platform instance id " : "PPID ") + hex(id);
    if (!policy.platforms.empty()) {
        if (policy.platforms.contains(id) || policy.platforms.contains(platform.ppid)) {
            return passed(kSubject, found);
        }
        std::string expected;
        for (const auto& allowed : policy.platforms)
            expected += (expected.empty() ? "" : " or ") + hex(allowed);
        return failed(kSubject, {expected, found});
    }
    return check_without_list(kSubject, "platform", found, policy);
}

/// What would bring the status up, in words.
std::string tcb_remedy(const verify::TcbResult& tcb) {
    std::string out;
    auto add = [&out](std::string_view text) { out.append(out.empty() ? "" : "; ").append(text); };
    if (tcb.status == TcbStatus::td_relaunch_advised ||
        tcb.status == TcbStatus::td_relaunch_advised_configuration_needed) {
        add("start the TD anew: its TDX module was updated after its launch");
    } else if (!tcb.tdx_module_shortfall.empty()) {
        add(tcb.tdx_module_shortfall + ": update the SEAM module");
    }
    if (!tcb.shortfall.empty()) add("update the platform's firmware: " + tcb.shortfall);
    if (!tcb.quoting_enclave_shortfall.empty()) {
        add(tcb.quoting_enclave_shortfall + ": update the quoting enclave");
    }
    if (out.empty()) add("follow the advisories' advice for this platform's configuration");
    return out;
}

/// When the grace for this status ends; nothing if the policy has none for it.
std::optional<UnixTime> end_of_grace(const verify::TcbResult& tcb, const TcbRule& rule) {
    constexpr std::int64_t kDay_s = 24 * 3600;
    const auto grace = rule.grace_days.find(tcb.status);
    if (grace == rule.grace_days.end() || !tcb.behind_since) return std::nullopt;
    return *tcb.behind_since + grace->second * kDay_s;
}

Check tcb_status_check(const verify::TcbResult& tcb, const TcbRule& rule, UnixTime time) {
    constexpr Subject kSubject{"tcb.status", "docs/formats/verification.md 6.5"};
    std::string found =
        std::string(tcb_status_name(tcb.status)) + ", TCB of " + rfc3339(tcb.date).substr(0, 10);
    std::vector<std::string> open;
    if (tcb.status != TcbStatus::up_to_date) {
        std::ranges::copy_if(tcb.advisories, std::back_inserter(open),
                             [&](const std::string& id) { return !rule.advisories.contains(id); });
    }
    for (const std::string& id : open) found += ", " + id;
    if (rule.statuses.contains(tcb.status) && tcb.status != TcbStatus::revoked && open.empty()) {
        return passed(kSubject, found);
    }
    const std::optional<UnixTime> grace_ends = end_of_grace(tcb, rule);
    if (grace_ends && time < *grace_ends)
        return passed(kSubject, found + "; accepted until " + rfc3339(*grace_ends) + ", its grace");
    if (grace_ends) found += "; its grace ended " + rfc3339(*grace_ends);
    std::string expected;
    for (TcbStatus status : rule.statuses)
        expected += (expected.empty() ? "" : " or ") + std::string(tcb_status_name(status));
    if (!open.empty()) expected += ", with no open advisory that the policy does not list";
    Check check = failed(kSubject, {expected, found});
    check.remedy = tcb_remedy(tcb);
    return check;
}

Check evaluation_number_check(const verify::TcbResult& tcb, const TcbRule& rule) {
    constexpr Subject kSubject{"tcb.evaluation_data_number", "docs/formats/verification.md 3.8",
                               "get newer TCB info: older statements hide later findings"};
    std::string found = std::to_string(tcb.evaluation_data_number);
    if (tcb.evaluation_data_number >= rule.min_evaluation_data_number) {
        return passed(kSubject, found);
    }
    return failed(kSubject, {"at least " + std::to_string(rule.min_evaluation_data_number), found});
}

Check collateral_age_check(const verify::VerifiedEvidence& evidence, std::uint32_t max_age_s,
                           UnixTime time) {
    constexpr Subject kSubject{"collateral.age", "docs/formats/verification.md 3.8",
                               "refresh the collateral: enclavectl bundle refresh"};
    std::string stale;
    for (const verify::CollateralDate& piece : evidence.collateral()) {
        if (time - piece.issued <= max_age_s) continue;
        stale += (stale.empty() ? "" : "; ") + piece.name + " of " + rfc3339(piece.issued);
    }
    if (stale.empty()) return passed(kSubject);
    return failed(kSubject,
                  {"issued not before " + rfc3339(time - std::int64_t{max_age_s}), stale});
}

Check platform_check(const verify::TeeClaims& claims, const Policy& policy) {
    if (const auto* snp = std::get_if<verify::SnpClaims>(&claims)) return chip_check(*snp, policy);
    if (const auto* tdx = std::get_if<verify::TdxClaims>(&claims)) {
        return platform_check(tdx->platform, policy);
    }
    return platform_check(std::get<verify::SgxClaims>(claims).platform, policy);
}

}  // namespace

Check check_without_list(const verify::Subject& subject, std::string_view machine,
                         const std::string& found, const Policy& policy) {
    const std::string name(machine);
    if (policy.instance.has_value()) {
        return passed(subject,
                      "no " + name + " list; the pinned instance id decides (instance.id)");
    }
    Check check = not_evaluated(subject, "the policy lists no " + name +
                                             "s and pins no instance: any genuine machine is as "
                                             "good as another");
    check.weight = Weight::informative;
    check.found = found;
    return check;
}

std::string_view tee_name(const verify::TeeClaims& claims) {
    if (std::holds_alternative<verify::TdxClaims>(claims)) return kTeeTdx;
    return std::holds_alternative<verify::SnpClaims>(claims) ? kTeeSnp : kTeeSgx;
}

bool is_debug(const verify::TeeClaims& claims) {
    if (const auto* tdx = std::get_if<verify::TdxClaims>(&claims)) {
        return (tdx->report.td_attributes & evidence::kTdUntrusted) != 0;
    }
    if (const auto* snp = std::get_if<verify::SnpClaims>(&claims)) {
        return snp->report.policy.debug_allowed();
    }
    return std::get<verify::SgxClaims>(claims).report.attributes.debug();
}

Check moot(const Subject& subject) {
    Check check = not_evaluated(subject, "the evidence is not genuine");
    check.weight = Weight::informative;
    return check;
}

Check enclave_checks(const verify::Verification& verification, const Policy& policy) {
    const verify::VerifiedEvidence* evidence = verification.evidence();
    if (evidence == nullptr) {
        std::vector<Check> all;
        for (std::string_view id : {"policy.roots", "policy.tees", "identity.enclave",
                                    "identity.platform", "attributes.debug", "attributes.init"}) {
            all.push_back(moot({id, ""}));
        }
        return group("enclave", std::move(all));
    }
    const verify::TeeClaims& claims = evidence->claims();
    std::vector<Check> checks{root_check(*evidence, policy), tee_check(claims, policy),
                              identity_check(claims, policy), platform_check(claims, policy),
                              debug_check(*evidence, policy)};
    if (const auto* sgx = std::get_if<verify::SgxClaims>(&claims)) {
        checks.push_back(init_check(sgx->report));
    } else if (const auto* tdx = std::get_if<verify::TdxClaims>(&claims)) {
        std::ranges::move(td_checks(tdx->report, policy), std::back_inserter(checks));
    } else if (const auto* snp = std::get_if<verify::SnpClaims>(&claims)) {
        std::ranges::move(guest_checks(*snp, policy), std::back_inserter(checks));
    }
    if (evidence->tcb().has_value()) {
        checks.push_back(tcb_status_check(*evidence->tcb(), policy.tcb, verification.time()));
        checks.push_back(evaluation_number_check(*evidence->tcb(), policy.tcb));
    }
    if (policy.max_collateral_age_s.has_value()) {
        checks.push_back(
            collateral_age_check(*evidence, *policy.max_collateral_age_s, verification.time()));
    }
    return group("enclave", std::move(checks));
}

}  // namespace eos::attestation::appraise
