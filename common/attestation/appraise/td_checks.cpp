// SPDX-License-Identifier: AGPL-3.0-only
#include "common/attestation/appraise/checks.h"
#include "common/base/codec.h"
#include "common/base/encoding.h"

namespace eos::attestation::appraise {
namespace {

using verify::Check;
using verify::failed;
using verify::passed;
using verify::Subject;

/// The attributes whose bit is a freedom that a policy may allow.
struct AttributeBit {
    std::uint64_t bit;
    TdFreedom freedom;
};
constexpr std::array<AttributeBit, 4> kAttributeBits{{
    {evidence::kTdMigratable, TdFreedom::migratable},
    {evidence::kTdPks, TdFreedom::pks},
    {evidence::kTdKeyLocker, TdFreedom::key_locker},
    {evidence::kTdPerfmon, TdFreedom::perfmon},
}};

/// 64 bits as they stand in the report.
std::string report_hex(std::uint64_t value) {
    Writer out;
    out.u64le(value);
    return hex(out.view());
}

Check attributes_check(const evidence::TdReport& td, const TdxRule& rule) {
    constexpr Subject kSubject{"td.attributes", "docs/formats/verification.md 6.4",
                               "start the TD without these attributes, or allow them by name "
                               "under tdx.allow in the policy"};
    std::string faults;
    auto add = [&faults](std::string_view text) {
        faults.append(faults.empty() ? ": " : ", ").append(text);
    };
    // TUD, the lowest byte, is attributes.debug.
    std::uint64_t rest = td.td_attributes & ~(evidence::kTdUntrusted | evidence::kTdSeptVeDisable);
    for (const AttributeBit& known : kAttributeBits) {
        if ((rest & known.bit) != 0 && !rule.allow.contains(known.freedom)) {
            add(td_freedom_name(known.freedom));
        }
        rest &= ~known.bit;
    }
    if (rest != 0) add("bits that are reserved");
    if ((td.td_attributes & evidence::kTdSeptVeDisable) == 0 &&
        !rule.allow.contains(TdFreedom::sept_ve_enabled)) {
        add(td_freedom_name(TdFreedom::sept_ve_enabled));
    }
    std::string found = report_hex(td.td_attributes);
    if (faults.empty()) return passed(kSubject, found);
    return failed(kSubject, {"SEPT_VE_DISABLE, and nothing else that the policy does not allow",
                             found + faults});
}

Check xfam_check(const evidence::TdReport& td, const TdxRule& rule) {
    constexpr Subject kSubject{"td.xfam", "docs/formats/verification.md 6.4",
                               "start the TD without these processor features, or allow them "
                               "under tdx.xfam in the policy"};
    constexpr std::uint64_t kAlwaysSet = 3;  // x87 and SSE
    std::string found = report_hex(td.xfam);
    if ((td.xfam & ~rule.xfam) == 0 && (td.xfam & kAlwaysSet) == kAlwaysSet) {
        return passed(kSubject, found);
    }
    return failed(kSubject, {"x87, SSE, and no bit outside of " + report_hex(rule.xfam), found});
}

/// A measurement against the list of those that are accepted.
Check listed_check(const Subject& subject, const std::set<ByteArray<48>>& accepted,
                   const ByteArray<48>& found) {
    if (accepted.contains(found)) return passed(subject, hex(found));
    std::string expected;
    for (const auto& value : accepted) expected += (expected.empty() ? "" : " or ") + hex(value);
    return failed(subject, {expected, hex(found)});
}

Check module_check(const evidence::TdReport& td, const TdxRule& rule) {
    constexpr Subject kSubject{"td.mr_seam", "docs/formats/verification.md 6.12",
                               "this TDX module is not in the policy's list: review and add it"};
    if (rule.mr_seam.empty()) {
        return passed(kSubject, "no list: any module that tdx_module.identity accepts");
    }
    return listed_check(kSubject, rule.mr_seam, td.mr_seam);
}

Check module_signer_check(const evidence::TdReport& td, const TdxRule& rule) {
    constexpr Subject kSubject{"td.mr_signer_seam", "docs/formats/verification.md 6.12",
                               "the TDX module is not signed by Intel: do not trust the host"};
    if (!all_zero(td.seam_attributes)) {
        return failed(kSubject,
                      {"seam_attributes 0", "seam_attributes " + hex(td.seam_attributes)});
    }
    return listed_check(kSubject, rule.mr_signer_seam, td.mr_signer_seam);
}

Check service_td_check(const evidence::TdReport& td, const TdxRule& rule) {
    constexpr Subject kSubject{"td.mr_service_td", "docs/formats/verification.md 6.4",
                               "a service TD (for migration) can read this TD: start it without, "
                               "or list the service TD under tdx.mr_service_td"};
    if (!td.td15.has_value()) return passed(kSubject, "TDX 1.0 has none");
    if (td.extended.has_value()) {
        for (const auto* hash :
             {&td.extended->initial_service_td_hash, &td.extended->current_service_td_hash}) {
            if (!rule.mr_service_td.contains(*hash)) {
                return listed_check(kSubject, rule.mr_service_td, *hash);
            }
        }
    }
    return listed_check(kSubject, rule.mr_service_td, td.td15->mr_service_td);
}

Check vm_check(const evidence::TdReport& td, const TdxRule& rule) {
    constexpr Subject kSubject{"td.vm", "Intel TDX module ABI, TD partitioning",
                               "the report is about a VM inside the TD: allow inner_vm if that is "
                               "what you attest"};
    unsigned vm = td.extended.has_value() ? td.extended->vm_id : 0;
    std::string found = "VM " + std::to_string(vm);
    if (vm == 0 || rule.allow.contains(TdFreedom::inner_vm)) return passed(kSubject, found);
    return failed(kSubject, {"VM 0, the TD itself", found});
}

}  // namespace

std::vector<Check> td_checks(const evidence::TdReport& report, const Policy& policy) {
    const TdxRule& rule = policy.tdx;
    return {attributes_check(report, rule), xfam_check(report, rule),
            module_check(report, rule),     module_signer_check(report, rule),
            service_td_check(report, rule), vm_check(report, rule)};
}

}  // namespace eos::attestation::appraise
