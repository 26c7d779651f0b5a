// SPDX-License-Identifier: AGPL-3.0-only
#include "common/ratls/leaf_scheme.h"

#include <algorithm>
#include <array>

#include "common/oid/registry.h"

namespace eos::ratls {
namespace {

struct Row {
    oid::Oid v1;
    oid::Oid v2;
};

constexpr std::array kRows = {
    Row{oid::kPlatformConfigRoot, oid::kReferenceArc.child(2).child(1)},
    Row{oid::kEgressCaBundleHash, oid::kReferenceArc.child(2).child(2)},
    Row{oid::kRuntimeVersionHash, oid::kReferenceArc.child(1).child(1)},
    Row{oid::kCombinedWorkloadsHash, oid::kReferenceArc.child(2).child(4)},
    Row{oid::kStateRoot, oid::kReferenceArc.child(3).child(2)},
    Row{oid::kAttestationServersHash, oid::kReferenceArc.child(2).child(3)},
    Row{oid::kImageProfile, oid::kReferenceArc.child(1).child(2)},
    Row{oid::kWorkloadConfigRoot, oid::kReferenceArc.child(5).child(1)},
    Row{oid::kWorkloadDigest, oid::kReferenceArc.child(4).child(2)},
    Row{oid::kImageReference, oid::kReferenceArc.child(4).child(3)},
    Row{oid::kKeySource, oid::kReferenceArc.child(6).child(1)},
    Row{oid::kWorkloadConfigHash, oid::kReferenceArc.child(5).child(2)},
    Row{oid::kAppId, oid::kReferenceArc.child(4).child(1)},
    Row{oid::kDependencySet, oid::kReferenceArc.child(7).child(1)},
};

}  // namespace

std::optional<oid::Oid> v2_number(const oid::Oid& v1) {
    if (v1.is_below(oid::kOwnArc)) return v1;
    const auto* row = std::ranges::find(kRows, v1, &Row::v1);
    if (row == kRows.end()) return std::nullopt;
    return row->v2;
}

std::optional<oid::Oid> v1_number(const oid::Oid& v2) {
    if (v2.is_below(oid::kOwnArc)) return v2;
    const auto* row = std::ranges::find(kRows, v2, &Row::v2);
    if (row == kRows.end()) return std::nullopt;
    return row->v1;
}

}  // namespace eos::ratls
