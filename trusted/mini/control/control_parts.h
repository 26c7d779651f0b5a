// SPDX-License-Identifier: AGPL-3.0-only
// Small pieces of control.cpp and ownership.cpp. For this folder only.
#pragma once

#include <map>
#include <memory>

#include "common/base/result.h"
#include "trusted/mini/control/control.h"

namespace eos::mini {

/// Whether a start that failed so may succeed later, without anybody's doing.
bool is_storage_trouble(const Code& code);

/// The line of the daemon's log that says why the state was refused.
boundary::LogCode state_refusal(const Code& code);

/// Drops the modules that the app of that name has already: their records are there.
void forget_known_modules(runtime::Modules& modules, const runtime::PlatformState& state);

/// Drops the modules that no app of the state has.
void forget_unused_modules(std::map<crypto::Digest32, std::shared_ptr<const SecretBytes>>& modules,
                           const runtime::PlatformState& state);

}  // namespace eos::mini
