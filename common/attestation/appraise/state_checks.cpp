// SPDX-License-Identifier: AGPL-3.0-only
// Whether an instance goes on from where this Relying Party last saw it.
#include <algorithm>

#include "common/attestation/appraise/checks.h"
#include "common/base/encoding.h"

namespace eos::attestation::appraise {
namespace {

using verify::Check;
using verify::failed;
using verify::not_evaluated;
using verify::passed;
using verify::Subject;

constexpr Subject kRollback{
    kStateRollback, "docs/formats/verification.md 6.9",
    "the instance runs on older state than you have seen: somebody put a copy of its directory "
    "back. Do not send secrets, ask its operator; if it was restored on purpose and you agree, "
    "`enclavectl context forget INSTANCE`"};
constexpr Subject kFork{
    kStateFork, "docs/formats/verification.md 6.9",
    "a start that a newer one had replaced answers again: two copies of the instance run, each "
    "with a history of its own. Do not send secrets, ask its operator"};

Check informative(const Subject& subject, const char* why) {
    Check check = not_evaluated(subject, why);
    check.weight = verify::Weight::informative;
    return check;
}

std::string generation(std::uint64_t number) {
    return "generation " + std::to_string(number);
}

// Within one start the state cannot go back: its root is in the enclave's memory. A lower number
// is then that of a leaf that was begun before a change and finished after it.
Check rollback_check(const InstanceClaim& claim, const SeenInstance& seen) {
    if (claim.generation >= seen.generation) {
        return passed(kRollback, generation(claim.generation) +
                                     ", seen before: " + std::to_string(seen.generation));
    }
    if (claim.boot_id == seen.boot_ids.back()) {
        return passed(kRollback, generation(claim.generation) + ", of the same start that showed " +
                                     std::to_string(seen.generation));
    }
    return failed(kRollback, {"at least " + generation(seen.generation) + ", seen " +
                                  rfc3339(seen.last_seen) + " or before",
                              generation(claim.generation)});
}

Check fork_check(const InstanceClaim& claim, const SeenInstance& seen) {
    auto known = std::ranges::find(seen.boot_ids, claim.boot_id);
    if (known == seen.boot_ids.end()) return passed(kFork, "a new start");
    if (*known == seen.boot_ids.back()) return passed(kFork, "the start that was seen last");
    return failed(kFork, {"boot id " + hex(seen.boot_ids.back()) + ", or a new one",
                          "boot id " + hex(claim.boot_id) + ", which is older"});
}

}  // namespace

void add_state_checks(std::vector<Check>& out, const LeafClaims& leaf,
                      const InstanceMemory& memory) {
    std::optional<InstanceClaim> claim = instance_claim(leaf);
    const SeenInstance* seen = claim ? memory.find(claim->id) : nullptr;
    if (!claim) {
        constexpr const char* kWhy = "the certificate names no instance";
        out.push_back(informative(kRollback, kWhy));
        out.push_back(informative(kFork, kWhy));
    } else if (seen == nullptr) {
        std::string note = "instance " + hex(claim->id) + " was not seen before";
        for (const auto& [id, other] : memory.instances()) {
            if (!other.names.contains(leaf.server_name)) continue;
            note +=
                "; this name was that of instance " + hex(id) + " at " + rfc3339(other.last_seen);
        }
        out.push_back(passed(kRollback, std::move(note)));
        out.push_back(passed(kFork, "not seen before"));
    } else {
        out.push_back(rollback_check(*claim, *seen));
        out.push_back(fork_check(*claim, *seen));
    }
}

}  // namespace eos::attestation::appraise
