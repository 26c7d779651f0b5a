// SPDX-License-Identifier: AGPL-3.0-only
// What only a guest of SEV-SNP has: product, signing key, VMPL, launch policy, platform, TCB.
#include <algorithm>

#include "common/attestation/appraise/checks.h"
#include "common/base/codec.h"
#include "common/base/encoding.h"

namespace eos::attestation::appraise {
namespace {

using snp_arch::GuestPolicy;
using snp_arch::PlatformInfo;
using verify::Check;
using verify::failed;
using verify::not_evaluated;
using verify::passed;
using verify::SnpClaims;
using verify::Subject;
using verify::Weight;

template <typename Range, typename Name>
std::string join(const Range& values, Name name) {
    std::string out;
    for (const auto& value : values) out.append(out.empty() ? "" : " or ").append(name(value));
    return out;
}

Check product_check(const SnpClaims& claims, const SnpRule& rule) {
    constexpr Subject kSubject{"snp.product", "docs/formats/verification.md 6.11",
                               "name the product under snp.products if you accept it; for Milan, "
                               "whose keys leak, list the chips under snp.chip_ids too"};
    std::string found(product_name(claims.product));
    if (rule.products.contains(claims.product)) return passed(kSubject, found);
    return failed(kSubject, {join(rule.products, snp_arch::product_name), found});
}

Check signing_key_check(const SnpClaims& claims, const SnpRule& rule) {
    constexpr Subject kSubject{"snp.signing_key", "docs/formats/verification.md 6.11",
                               "a VLEK is held by a cloud provider for all its machines: name the "
                               "provider under snp.csp_ids if you accept it"};
    if (claims.report.signing_key == snp_arch::SigningKey::vcek) return passed(kSubject, "VCEK");
    std::string found = "VLEK of " + claims.csp_id;
    if (rule.csp_ids.contains(claims.csp_id)) return passed(kSubject, found);
    std::string providers = join(rule.csp_ids, [](const std::string& id) { return id; });
    return failed(kSubject,
                  {providers.empty() ? "VCEK" : "VCEK, or the VLEK of " + providers, found});
}

Check vmpl_check(const snp_arch::Report& report, const SnpRule& rule) {
    constexpr Subject kSubject{"snp.vmpl", "docs/formats/verification.md 6.4",
                               "something in the guest with fewer rights asked for this report: "
                               "name its level under snp.vmpl if that is expected"};
    std::string found = std::to_string(report.vmpl);
    if (rule.vmpl.contains(report.vmpl)) return passed(kSubject, found);
    return failed(
        kSubject,
        {join(rule.vmpl, [](std::uint32_t level) { return std::to_string(level); }), found});
}

/// A bit of the launch policy that leaves something to the host.
struct FreedomBit {
    SnpFreedom freedom;
    bool (GuestPolicy::*is_set)() const;
};
constexpr std::array<FreedomBit, 3> kFreedomBits{{
    {SnpFreedom::smt, &GuestPolicy::smt_allowed},
    {SnpFreedom::migration_agent, &GuestPolicy::migration_agent_allowed},
    {SnpFreedom::cxl, &GuestPolicy::cxl_allowed},
}};

/// A bit of the launch policy that binds the host.
struct PolicyDemand {
    SnpDemand demand;
    bool (GuestPolicy::*is_set)() const;
};
constexpr std::array<PolicyDemand, 5> kPolicyDemands{{
    {SnpDemand::single_socket, &GuestPolicy::single_socket_only},
    {SnpDemand::aes_256_xts, &GuestPolicy::aes_256_xts_required},
    {SnpDemand::rapl_disabled, &GuestPolicy::rapl_disabled},
    {SnpDemand::ciphertext_hiding, &GuestPolicy::ciphertext_hiding_required},
    {SnpDemand::page_swap_disabled, &GuestPolicy::page_swap_disabled},
}};

Check policy_check(const snp_arch::Report& report, const SnpRule& rule) {
    constexpr Subject kSubject{"snp.policy", "AMD 56860, guest policy",
                               "launch the guest with a stricter policy, or allow what it leaves "
                               "open under snp.allow"};
    const GuestPolicy& policy = report.policy;
    std::string faults;
    auto add = [&faults](std::string_view text, std::string_view name) {
        faults.append(faults.empty() ? "" : ", ").append(text).append(name);
    };
    for (const FreedomBit& bit : kFreedomBits) {
        if ((policy.*bit.is_set)() && !rule.allow.contains(bit.freedom)) {
            add("allows ", snp_freedom_name(bit.freedom));
        }
    }
    for (const PolicyDemand& bit : kPolicyDemands) {
        if (!(policy.*bit.is_set)() && rule.require.contains(bit.demand)) {
            add("does not demand ", snp_demand_name(bit.demand));
        }
    }
    const unsigned abi = policy.abi_major() << 8 | policy.abi_minor();
    std::string version =
        std::to_string(policy.abi_major()) + "." + std::to_string(policy.abi_minor());
    if (abi < rule.min_abi) add("takes firmware from ABI ", version);
    Writer raw;
    raw.u64le(policy.raw);
    if (faults.empty()) return passed(kSubject, hex(raw.view()) + ", ABI " + version);
    return failed(kSubject, {"nothing that the policy does not allow, all that it requires",
                             hex(raw.view()) + ": " + faults});
}

Check platform_info_check(const snp_arch::Report& report, const SnpRule& rule) {
    constexpr Subject kSubject{"snp.platform_info", "AMD 56860, PLATFORM_INFO",
                               "run the guest on a machine that is set up so, or drop the demand"};
    const PlatformInfo& platform = report.platform_info;
    const GuestPolicy& policy = report.policy;
    std::string faults;
    auto expect = [&](bool holds, std::string_view what) {
        if (!holds) faults.append(faults.empty() ? "" : ", ").append(what);
    };
    auto demanded = [&](SnpDemand demand) { return rule.require.contains(demand); };
    expect(platform.ecc_enabled() || !demanded(SnpDemand::ecc), "no ECC");
    expect(platform.tsme_enabled() || !demanded(SnpDemand::tsme), "no TSME");
    expect(platform.alias_check_complete() || !demanded(SnpDemand::alias_check_complete),
           "memory aliases were not checked for");
    expect(!platform.smt_enabled() || !demanded(SnpDemand::smt_disabled), "SMT is on");
    // Firmware does not launch a guest against its policy: such a report is not to be believed.
    expect(policy.smt_allowed() || !platform.smt_enabled(), "SMT is on against the launch policy");
    expect(platform.rapl_disabled() || !policy.rapl_disabled(),
           "RAPL is on against the launch policy");
    expect(platform.ciphertext_hiding_enabled() || !policy.ciphertext_hiding_required(),
           "ciphertext hiding is off against the launch policy");
    Writer raw;
    raw.u64le(platform.raw);
    if (faults.empty()) return passed(kSubject, hex(raw.view()));
    return failed(kSubject, {"what the policies demand", hex(raw.view()) + ": " + faults});
}

Check min_tcb_check(const SnpClaims& claims, const SnpRule& rule) {
    constexpr Subject kSubject{"snp.tcb", "docs/formats/verification.md 6.11",
                               "update the machine's firmware, then let it commit and report it"};
    auto minimum = rule.min_tcb.find(claims.product);
    std::string found = describe(claims.reported, claims.product);
    const bool is_named = minimum != rule.min_tcb.end();
    // Any firmware has zeros: nothing is known of it then that is not known without.
    if (!is_named || minimum->second == snp_arch::Tcb{}) {
        Check check = not_evaluated(
            kSubject,
            is_named ? "the policy's minimum for this product is zero, which every firmware has"
                     : "the policy names no minimum for this product");
        check.weight = Weight::informative;
        check.found = found;
        return check;
    }
    if (claims.reported.covers(minimum->second)) return passed(kSubject, found);
    Check check = failed(kSubject, {describe(minimum->second, claims.product), found});
    check.remedy += ": " + shortfall(claims.reported, minimum->second);
    return check;
}

Check mitigations_check(const snp_arch::Report& report, const SnpRule& rule) {
    constexpr Subject kSubject{"snp.mitigations", "AMD 56860, MIT_VECTOR",
                               "update the firmware and launch the guest anew"};
    auto text = [](const snp_arch::MitigationVectors& vectors) {
        Writer launch;
        Writer current;
        launch.u64le(vectors.launch);
        current.u64le(vectors.current);
        return "launch " + hex(launch.view()) + ", current " + hex(current.view());
    };
    if (!report.mitigations.has_value()) {
        if (rule.mitigations == 0) return passed(kSubject, "none is demanded");
        return failed(kSubject,
                      {text({rule.mitigations, rule.mitigations}),
                       "a report of version " + std::to_string(report.version) + " does not say"});
    }
    const std::uint64_t both = report.mitigations->launch & report.mitigations->current;
    if ((both & rule.mitigations) == rule.mitigations) {
        return passed(kSubject, text(*report.mitigations));
    }
    return failed(kSubject,
                  {text({rule.mitigations, rule.mitigations}), text(*report.mitigations)});
}

}  // namespace

Check chip_check(const SnpClaims& claims, const Policy& policy) {
    constexpr Subject kSubject{
        "identity.platform", "docs/formats/verification.md 6.3",
        "list the chips under snp.chip_ids, or pin the instance, to exclude diversion to another "
        "genuine machine with the same guest"};
    const ByteArray<64>& chip = claims.report.chip_id;
    // Under a VLEK nothing certifies the chip id.
    const bool is_certified = claims.report.signing_key == snp_arch::SigningKey::vcek;
    std::string found = is_certified ? "chip id " + hex(chip) : "a machine of " + claims.csp_id;
    if (!policy.snp.chip_ids.empty()) {
        if (is_certified && policy.snp.chip_ids.contains(chip)) return passed(kSubject, found);
        return failed(kSubject,
                      {join(policy.snp.chip_ids, [](const auto& id) { return hex(id); }), found});
    }
    return check_without_list(kSubject, "chip", found, policy);
}

std::vector<Check> guest_checks(const SnpClaims& claims, const Policy& policy) {
    return {product_check(claims, policy.snp),
            signing_key_check(claims, policy.snp),
            vmpl_check(claims.report, policy.snp),
            policy_check(claims.report, policy.snp),
            platform_info_check(claims.report, policy.snp),
            min_tcb_check(claims, policy.snp),
            mitigations_check(claims.report, policy.snp)};
}

}  // namespace eos::attestation::appraise
