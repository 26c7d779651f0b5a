// SPDX-License-Identifier: AGPL-3.0-only
// From the state to what is served: the names, and what each name's leaf says.
#pragma once

#include <memory>
#include <string>

#include "common/base/result.h"
#include "trusted/mini/control/snapshot.h"

namespace eos::mini {

/// What does not change while the program runs.
struct ProgramFacts {
    std::string version;    ///< "enclave-os-mini 0.1.0"
    std::string assurance;  ///< "production", "debug", "process"
    runtime::BuildFacts build;
    ByteArray<16> boot_id{};  ///< random, of this start
};

/// What is served for a state, without key epochs.
struct Draft {
    Snapshot snapshot;                        ///< `served` is null
    std::shared_ptr<runtime::Served> served;  ///< names without epochs
};

/// Trees, names and values of a state.
/// errors: those of the trees; those of runtime::make_issuer().
[[nodiscard]] Result<Draft> draft_of(std::shared_ptr<const runtime::PlatformState> state,
                                     const ProgramFacts& facts);

}  // namespace eos::mini
