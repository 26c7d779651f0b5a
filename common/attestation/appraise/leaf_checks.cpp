// SPDX-License-Identifier: AGPL-3.0-only
#include <algorithm>

#include "common/attestation/appraise/checks.h"
#include "common/base/assert.h"
#include "common/base/codec.h"
#include "common/base/encoding.h"
#include "common/oid/registry.h"

namespace eos::attestation::appraise {
namespace {

using verify::Check;
using verify::group;
using verify::not_evaluated;
using verify::Subject;
using verify::Weight;

constexpr std::size_t kMaxShownValueBytes = 64;

/// A node that common/ratls made; that it is the right one is its programmer's business.
Check adopt(const Check& check, std::string_view id) {
    EOS_ASSERT(check.id == id);
    return check;
}

std::string join(const std::set<std::string>& words) {
    std::string out;
    for (const std::string& word : words) out += (out.empty() ? "" : " or ") + word;
    return out;
}

std::string show_value(ByteView value) {
    bool is_text = !value.empty() && std::ranges::all_of(value, [](std::byte b) {
        return b >= std::byte{0x20} && b < std::byte{0x7f};
    });
    if (is_text) return "\"" + printable(value, kMaxShownValueBytes) + "\"";
    if (value.size() <= kMaxShownValueBytes) return hex(value);
    return hex(value.first(kMaxShownValueBytes)) + "... (" + std::to_string(value.size()) +
           " bytes)";
}

Check format_check(const std::string& format, const verify::VerifiedEvidence* evidence,
                   const Policy& policy) {
    constexpr Subject kSubject{
        "binding.format", "docs/formats/verification.md 6.6",
        "ask in a mode whose form the policy lists under bindings (--mode), or list this one"};
    if (evidence == nullptr) return moot(kSubject);
    if (pin_accepts_binding(*evidence, policy, format)) return passed(kSubject, format);
    return failed(
        kSubject,
        {"a form that a pin of this enclave lists; by default " + join(policy.bindings), format});
}

Check age_check(const BindingClaim& binding, const Policy& policy, UnixTime now) {
    constexpr Subject kSubject{"binding.age", "docs/formats/verification.md 6.7",
                               "ask for fresh evidence, or check both clocks"};
    // Without a nonce the presenter chooses the time: this bounds the age of honest evidence only.
    constexpr std::int64_t kMaxSkew_s = 300;
    std::int64_t age_s = now - *binding.evidence_time;
    std::string found = rfc3339(*binding.evidence_time) + ", " + std::to_string(age_s) + " s ago";
    if (age_s <= policy.max_evidence_age_s && age_s >= -kMaxSkew_s) return passed(kSubject, found);
    return failed(kSubject, {"at most " + std::to_string(policy.max_evidence_age_s) +
                                 " s old and not from the future",
                             found});
}

Check leaf_binding_check(const LeafClaims& leaf, const Policy& policy) {
    constexpr Subject kSubject{
        "leaf_binding", "docs/formats/certificate.md 4; docs/formats/verification.md 6.8",
        "set require_leaf_binding to false to accept certificates without this extension"};
    Check check = leaf.leaf_binding.has_value()
                      ? adopt(*leaf.leaf_binding, kSubject.id)
                      : not_evaluated(kSubject, "no certificate of ours carries the evidence");
    if (policy.leaf_binding == LeafBindingRule::optional) check.weight = Weight::informative;
    return check;
}

Check assurance_check(const LeafClaims& leaf, const verify::VerifiedEvidence* evidence,
                      const Policy& policy) {
    constexpr Subject kSubject{"assurance", "docs/formats/verification.md 6.9",
                               "run the release build on real hardware, or name this assurance in "
                               "a policy of its own"};
    auto it = leaf.extensions.find(oid::kAssurance);
    if (it == leaf.extensions.end()) {
        return not_evaluated(kSubject, "the certificate does not state its assurance");
    }
    std::string found = printable(it->second, kMaxShownValueBytes);
    if (!policy.assurance.contains(to_string(it->second))) {
        return failed(kSubject, {join(policy.assurance), found});
    }
    if (evidence != nullptr && found == "production" && is_debug(evidence->claims())) {
        return failed(kSubject, {"production without DEBUG", "production, but DEBUG 1"});
    }
    return passed(kSubject, found);
}

Check required_check(const oid::Oid& oid, const Bytes& expected, const LeafClaims& leaf) {
    const oid::Row* row = oid::find(oid);
    std::string id = "required." + (row != nullptr ? std::string(row->name) : oid.dotted());
    Subject subject{id, "the policy, required",
                    "find out what changed (enclavectl policy diff, configuration history), and "
                    "change the policy only if you agree with it"};
    auto it = leaf.extensions.find(oid);
    if (it == leaf.extensions.end()) {
        return failed(subject, {show_value(expected), "the certificate does not have it"});
    }
    if (it->second == expected) return passed(subject, show_value(expected));
    return failed(subject, {show_value(expected), show_value(it->second)});
}

Check ca_check(const LeafClaims& leaf, const Policy& policy) {
    constexpr Subject kSubject{"ca.pin", "the policy, ca",
                               "check which CA signed: a rotated CA needs a new policy"};
    for (const auto& key : leaf.chain) {
        if (policy.ca.contains(key)) return passed(kSubject, hex(key));
    }
    std::string expected;
    for (const auto& key : policy.ca) expected += (expected.empty() ? "" : " or ") + hex(key);
    std::string found;
    for (const auto& key : leaf.chain) found += (found.empty() ? "" : ", ") + hex(key);
    return failed(kSubject, {expected, found.empty() ? "no verified CA" : found});
}

void add_instance_checks(std::vector<Check>& out, const LeafClaims& leaf,
                         const InstanceRule& rule) {
    constexpr Subject kId{"instance.id", "docs/formats/verification.md 6.9",
                          "another instance has other state and keys: if it was replaced on "
                          "purpose, pin the new one"};
    constexpr Subject kGeneration{"instance.generation", "docs/formats/verification.md 6.9",
                                  "state_rollback: the instance runs on older state than you have "
                                  "seen; do not send secrets, ask its operator"};
    std::optional<InstanceClaim> claim = instance_claim(leaf);
    std::string minimum = "at least " + std::to_string(rule.min_generation);
    if (!claim.has_value()) {
        out.push_back(failed(kId, {hex(rule.id), "the certificate names no instance"}));
        out.push_back(not_evaluated(kGeneration, "the certificate names no instance"));
        return;
    }
    if (claim->id == rule.id) {
        out.push_back(passed(kId, hex(rule.id)));
    } else {
        out.push_back(failed(kId, {hex(rule.id), hex(claim->id)}));
    }
    std::string found = std::to_string(claim->generation);
    out.push_back(claim->generation >= rule.min_generation ? passed(kGeneration, found)
                                                           : failed(kGeneration, {minimum, found}));
}

}  // namespace

Check binding_checks(const LeafClaims& leaf, const verify::Verification& verification,
                     const Policy& policy) {
    std::vector<Check> checks;
    if (leaf.binding.has_value()) {
        checks.push_back(adopt(leaf.binding->report_data, "report_data"));
        checks.push_back(format_check(leaf.binding->format, verification.evidence(), policy));
        if (leaf.binding->evidence_time.has_value()) {
            checks.push_back(age_check(*leaf.binding, policy, verification.time()));
        }
        checks.push_back(adopt(leaf.binding->level, "binding.level"));
    } else {
        constexpr std::string_view kSource = "docs/formats/verification.md 6.6";
        constexpr std::string_view kWhy = "nothing is known about what the evidence is bound to";
        checks.push_back(not_evaluated({"report_data", kSource}, std::string(kWhy)));
        checks.push_back(not_evaluated({"binding.level", kSource}, std::string(kWhy)));
    }
    checks.push_back(leaf_binding_check(leaf, policy));
    checks.insert(checks.end(), leaf.more.begin(), leaf.more.end());
    return group("binding", std::move(checks));
}

Check configuration_checks(const LeafClaims& leaf, const verify::VerifiedEvidence* evidence,
                           const Policy& policy, const InstanceMemory* memory) {
    std::vector<Check> checks{assurance_check(leaf, evidence, policy)};
    for (const auto& [oid, value] : policy.required)
        checks.push_back(required_check(oid, value, leaf));
    if (!policy.ca.empty()) checks.push_back(ca_check(leaf, policy));
    if (policy.instance.has_value()) add_instance_checks(checks, leaf, *policy.instance);
    if (memory != nullptr) add_state_checks(checks, leaf, *memory);
    return group("configuration", std::move(checks));
}

std::optional<InstanceClaim> instance_claim(const LeafClaims& leaf) {
    auto it = leaf.extensions.find(oid::kInstance);
    if (it == leaf.extensions.end() || it->second.size() != 40) return {};
    ByteView value = it->second;
    InstanceClaim out;
    out.id = to_array<16>(value.first(16));
    out.boot_id = to_array<16>(value.subspan(16, 16));
    out.generation = Reader(value.subspan(32)).u64be().value();
    return out;
}

}  // namespace eos::attestation::appraise
