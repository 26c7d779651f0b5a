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

std::string describe(const MrEnclavePin& pin) {
    return "mr_enclave " + hex(pin.mr_enclave);
}
std::string describe(const MrSignerPin& pin) {
    return "mr_signer " + hex(pin.mr_signer) + " with isv_prod_id " +
           std::to_string(pin.isv_prod_id) + " and isv_svn at least " +
           std::to_string(pin.min_isv_svn);
}

bool matches(const MrEnclavePin& pin, const sgx_arch::ReportBody& report) {
    return pin.mr_enclave == report.mr_enclave;
}
bool matches(const MrSignerPin& pin, const sgx_arch::ReportBody& report) {
    return pin.mr_signer == report.mr_signer && pin.isv_prod_id == report.isv_prod_id &&
           report.isv_svn >= pin.min_isv_svn;
}

std::string describe_report(const sgx_arch::ReportBody& report) {
    return "mr_enclave " + hex(report.mr_enclave) + ", mr_signer " + hex(report.mr_signer) +
           ", isv_prod_id " + std::to_string(report.isv_prod_id) + ", isv_svn " +
           std::to_string(report.isv_svn);
}

Check root_check(const verify::VerifiedEvidence& evidence, const Policy& policy) {
    constexpr Subject kSubject{"policy.roots", "decisions.md, Emulation",
                               "verify with the roots of this policy"};
    // verify() was given roots by its caller; they must be this policy's.
    const verify::RootIdentity& found = evidence.root();
    bool in_policy = found.kind == policy.roots.kind();
    if (in_policy && found.kind == verify::RootKind::test) {
        in_policy = std::ranges::any_of(policy.roots.test_roots(), [&](const auto& root) {
            return crypto::sha256(root.certificate.der()) == found.sha256;
        });
    }
    if (!in_policy) return failed(kSubject, {policy.roots.describe(), found.name});
    return passed(kSubject, found.name);
}

Check identity_check(const sgx_arch::ReportBody& report, const Policy& policy) {
    constexpr Subject kSubject{
        "identity.enclave", "attested-tls.md, 10, SGX identity pin",
        "if this is the program you want, review it and pin it: enclavectl policy init"};
    if (policy.allow_any_identity) {
        return passed(kSubject, "ANY enclave is accepted, as the policy says");
    }
    std::string expected;
    for (const IdentityPin& pin : policy.identity) {
        bool hit = std::visit([&](const auto& p) { return matches(p, report); }, pin.identity);
        std::string text = std::visit([](const auto& p) { return describe(p); }, pin.identity);
        if (hit) return passed(kSubject, text);
        expected += (expected.empty() ? "" : ", or ") + text;
    }
    if (expected.empty()) expected = "a pin: the policy has none, so that no enclave is accepted";
    return failed(kSubject, {expected, describe_report(report)});
}

Check debug_check(const verify::VerifiedEvidence& evidence, const sgx_arch::ReportBody& report,
                  const Policy& policy) {
    constexpr Subject kSubject{"attributes.debug", "SDM 3D, ATTRIBUTES.DEBUG",
                               "run the release build: a debug enclave is open to its host"};
    if (!report.attributes.debug()) return passed(kSubject);
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
        "identity.platform", "attested-tls.md, 12.1, diversion",
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
    if (policy.instance.has_value()) {
        return passed(kSubject, "no platform list; the pinned instance id decides (instance.id)");
    }
    Check check = not_evaluated(kSubject,
                                "the policy lists no platforms and pins no instance: any "
                                "genuine machine is as good as another");
    check.weight = Weight::informative;
    check.found = found;
    return check;
}

Check tcb_status_check(const verify::TcbResult& tcb, const TcbRule& rule) {
    constexpr Subject kSubject{"tcb.status", "attested-tls.md, 10, TCB status default"};
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
    std::string expected;
    for (TcbStatus status : rule.statuses)
        expected += (expected.empty() ? "" : " or ") + std::string(tcb_status_name(status));
    if (!open.empty()) expected += ", with no open advisory that the policy does not list";
    Check check = failed(kSubject, {expected, found});
    check.remedy = tcb.shortfall.empty()
                       ? "follow the advisories' advice for this platform's configuration"
                       : "update the platform's firmware: " + tcb.shortfall;
    return check;
}

Check evaluation_number_check(const verify::TcbResult& tcb, const TcbRule& rule) {
    constexpr Subject kSubject{"tcb.evaluation_data_number", "evidence.md, 5.1",
                               "get newer TCB info: older statements hide later findings"};
    std::string found = std::to_string(tcb.evaluation_data_number);
    if (tcb.evaluation_data_number >= rule.min_evaluation_data_number) {
        return passed(kSubject, found);
    }
    return failed(kSubject, {"at least " + std::to_string(rule.min_evaluation_data_number), found});
}

}  // namespace

Check moot(const Subject& subject) {
    Check check = not_evaluated(subject, "the evidence is not genuine");
    check.weight = Weight::informative;
    return check;
}

Check enclave_checks(const verify::VerifiedEvidence* evidence, const Policy& policy) {
    if (evidence == nullptr) {
        std::vector<Check> all;
        for (std::string_view id : {"policy.roots", "identity.enclave", "identity.platform",
                                    "attributes.debug", "attributes.init"}) {
            all.push_back(moot({id, ""}));
        }
        return group("enclave", std::move(all));
    }
    const auto& claims = std::get<verify::SgxClaims>(evidence->claims());
    std::vector<Check> checks{root_check(*evidence, policy), identity_check(claims.report, policy),
                              platform_check(claims.platform, policy),
                              debug_check(*evidence, claims.report, policy),
                              init_check(claims.report)};
    if (evidence->tcb().has_value()) {
        checks.push_back(tcb_status_check(*evidence->tcb(), policy.tcb));
        checks.push_back(evaluation_number_check(*evidence->tcb(), policy.tcb));
    }
    return group("enclave", std::move(checks));
}

bool pin_accepts_binding(const verify::VerifiedEvidence& evidence, const Policy& policy,
                         const std::string& format) {
    if (policy.allow_any_identity) return policy.bindings.contains(format);
    const auto& report = std::get<verify::SgxClaims>(evidence.claims()).report;
    bool is_pinned = false;
    for (const IdentityPin& pin : policy.identity) {
        if (!std::visit([&](const auto& p) { return matches(p, report); }, pin.identity)) continue;
        is_pinned = true;
        const auto& bindings = pin.bindings.empty() ? policy.bindings : pin.bindings;
        if (bindings.contains(format)) return true;
    }
    // An enclave that no pin names is rejected by identity.enclave, which cannot be waived. It is
    // not said to be unbound as well.
    return !is_pinned && policy.bindings.contains(format);
}

}  // namespace eos::attestation::appraise
