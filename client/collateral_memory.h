// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "common/attestation/appraise/appraise.h"
#include "common/attestation/verify/roots.h"
#include "common/base/result.h"

namespace eos::client {

inline constexpr Code bad_memory{"client", "bad_memory",
                                 "the memory of collateral seen before is not usable"};

/// The highest evaluation data number that this user's verdicts rested on, by roots: whoever shows
/// older collateral later is found out. One small JSON file beside the contexts.
class CollateralMemory {
  public:
    /// The file beside the contexts of `home`.
    explicit CollateralMemory(const std::filesystem::path& home)
        : file_(home / "collateral-seen.json") {}

    /// 0 if nothing is remembered for these roots.
    /// errors: bad_memory, with the file: a damaged memory is no empty one. file_unreadable.
    [[nodiscard]] Result<std::uint32_t> seen(const attestation::verify::Roots& roots) const;

    /// Remembers the number of an accepted verdict, if it is higher. A rejected one teaches
    /// nothing.
    /// errors: as seen(); file_unwritable.
    [[nodiscard]] Result<void> learn(const attestation::verify::Roots& roots,
                                     const attestation::appraise::AttestationResult& verdict) const;

  private:
    Result<json::Value> load() const;
    std::filesystem::path file_;
};

}  // namespace eos::client
