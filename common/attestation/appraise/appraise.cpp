// SPDX-License-Identifier: AGPL-3.0-only
#include "common/attestation/appraise/appraise.h"

#include "common/attestation/appraise/checks.h"
#include "common/base/encoding.h"
#include "common/oid/registry.h"

namespace eos::attestation::appraise {
namespace {

using verify::Check;
using verify::group;
using verify::Summary;
using verify::Verdict;

constexpr std::size_t kMaxNamedChecks = 8;

std::string list_ids(const std::vector<std::string>& ids) {
    std::string out;
    for (std::size_t i = 0; i < ids.size() && i < kMaxNamedChecks; ++i)
        out += (i == 0 ? "" : ", ") + ids[i];
    if (ids.size() > kMaxNamedChecks) {
        out += " and " + std::to_string(ids.size() - kMaxNamedChecks) + " more";
    }
    return out;
}

Verdict verdict_of(const Check& tree, std::string_view id) {
    const Check* node = find_check(tree, id);
    return node == nullptr ? Verdict::not_evaluated : node->verdict;
}

/// A policy need not come from parse_policy(): a waiver that it refuses has no effect here either.
std::vector<std::string> waivers_of(const Policy& policy) {
    std::vector<std::string> out;
    for (std::string_view id : waivable_checks(policy.roots.kind())) {
        if (policy.waivers.contains(std::string(id))) out.emplace_back(id);
    }
    return out;
}

/// Which exit code a rejection has: the worst thing that happened.
int rejection_code(const Check& tree) {
    if (verdict_of(tree, "evidence") == Verdict::fail) return kExitNotGenuine;
    if (verdict_of(tree, "binding") == Verdict::fail) return kExitNotBound;
    for (std::string_view id : {kStateRollback, kStateFork}) {
        if (verdict_of(tree, id) == Verdict::fail) return kExitOldState;
    }
    return tree.verdict == Verdict::fail ? kExitNotAcceptable : kExitIncomplete;
}

/// The one place where an acceptance is made. Evidence under a test root never gives `accepted`.
Outcome decide(const Check& tree, const verify::VerifiedEvidence* evidence) {
    if (evidence == nullptr || summarise(tree).verdict != Verdict::pass) return Outcome::rejected;
    return evidence->root().kind == verify::RootKind::vendor ? Outcome::accepted
                                                             : Outcome::accepted_emulated;
}

int exit_code_of(Outcome outcome, const Check& tree) {
    switch (outcome) {
        case Outcome::accepted:
            return kExitAccepted;
        case Outcome::accepted_emulated:
            return kExitAcceptedEmulated;
        case Outcome::rejected:
            return rejection_code(tree);
    }
    __builtin_unreachable();
}

}  // namespace

AttestationResult appraise(const verify::Verification& verification, const LeafClaims& leaf,
                           const Policy& policy, const InstanceMemory* memory) {
    const verify::VerifiedEvidence* evidence = verification.evidence();
    AttestationResult out;
    std::vector<verify::Check> groups{verification.tree()};
    add_event_log_checks(groups, verification, leaf, policy);
    groups.push_back(enclave_checks(verification, policy));
    groups.push_back(binding_checks(leaf, verification, policy));
    groups.push_back(configuration_checks(leaf, evidence, policy, memory));
    out.tree_ = group("attestation", std::move(groups));
    apply_waivers(out.tree_, waivers_of(policy));
    out.outcome_ = decide(out.tree_, evidence);
    out.exit_code_ = exit_code_of(out.outcome_, out.tree_);
    if (evidence != nullptr) out.claims_ = claims_to_json(*evidence, leaf);
    out.policy_name_ = policy.name;
    out.policy_hash_ = appraise::policy_hash(policy);
    out.time_ = verification.time();
    if (out.outcome_ != Outcome::rejected) out.instance_ = instance_claim(leaf);
    return out;
}

std::string_view outcome_name(Outcome outcome) {
    switch (outcome) {
        case Outcome::accepted:
            return "accepted";
        case Outcome::accepted_emulated:
            return "accepted_emulated";
        case Outcome::rejected:
            return "rejected";
    }
    __builtin_unreachable();
}

std::string AttestationResult::summary() const {
    switch (outcome_) {
        case Outcome::accepted:
            return "accepted";
        case Outcome::accepted_emulated:
            return "accepted, EMULATED: protects nothing";
        case Outcome::rejected:
            break;
    }
    Summary summary = summarise(tree_);
    std::string out = "rejected";
    if (!summary.failed.empty()) out += ": " + list_ids(summary.failed);
    if (!summary.not_evaluated.empty()) {
        out += std::string(summary.failed.empty() ? ": " : "; ") +
               "not evaluated: " + list_ids(summary.not_evaluated);
    }
    return out;
}

std::string AttestationResult::text() const {
    std::string out = summary() + "\n";
    out += "policy: " + printable(as_bytes(policy_name_)) + " (" + hex(policy_hash_) + ")\n";
    out += "at: " + rfc3339(time_) + "\n";
    out += render_text(tree_);
    if (claims_.is_object()) {
        out += "claims:\n";
        for (const auto& [name, value] : claims_.items())
            out += "  " + name + ": " + json::compact(value) + "\n";
    }
    return out;
}

json::Value AttestationResult::to_json() const {
    json::Value out = {{"version", 1},
                       {"outcome", outcome_name(outcome_)},
                       {"summary", summary()},
                       {"exit_code", exit_code_},
                       {"policy", {{"name", policy_name_}, {"sha256", hex(policy_hash_)}}},
                       {"time", rfc3339(time_)},
                       {"tree", render_json(tree_)}};
    out["waived"] = summarise(tree_).waived;
    if (claims_.is_object()) out["claims"] = claims_;
    return out;
}

}  // namespace eos::attestation::appraise
