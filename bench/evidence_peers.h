// SPDX-License-Identifier: AGPL-3.0-only
// Other verifiers beside ours in bench-evidence-verify, where somebody has built them.
#pragma once

#include <filesystem>
#include <vector>

#include "client/evidence_cases.h"

namespace eos::client {

/// The programs in the folder that EOS_BENCH_PEERS names; bench/peers/README.md says what they are
/// and how they answer. Nothing of them is part of this repository.
class Peers {
  public:
    /// Says what it has found.
    static Peers find();

    /// Has each peer verify the case, and prints what it took and how much that is of ours.
    /// in:      folder: of the corpus. ours_us: CPU time of our verification with cold collateral.
    void compare(const std::filesystem::path& folder, const EvidenceCase& one,
                 double ours_us) const;

  private:
    std::vector<std::filesystem::path> programs_;
};

}  // namespace eos::client
