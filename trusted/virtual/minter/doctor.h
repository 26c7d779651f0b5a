// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <string>
#include <vector>

#include "trusted/virtual/evidence/tee_evidence.h"

namespace eos::cvm {

/// One thing that was looked at.
struct Finding {
    enum class Kind { kGood, kNote, kBad };
    Kind kind = Kind::kGood;
    std::string what;
    std::string found;  ///< and what to do, where it is bad
};

/// Looks whether this machine can give evidence: which kernel and provider, whether a quote comes
/// and how long it takes, whether policy roots can be measured.
/// bound: one quote.
std::vector<Finding> examine_machine(const EvidencePaths& paths = {});

}  // namespace eos::cvm
