// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <filesystem>
#include <optional>

#include "common/base/result.h"

namespace eos::daemon {

inline constexpr Code bad_state_directory{"untrusted/daemon", "bad_state_directory",
                                          "the state directory cannot be used"};

/// Makes the directory with mode 0700 if it is missing (its parent must exist), and refuses one
/// that is a link, is not ours, or is open to group or others. What lies in it is sealed, but
/// whoever can write there can destroy it or bring back an older copy.
/// errors:  bad_state_directory (with the remedy).
[[nodiscard]] Result<void> prepare_state_directory(const std::filesystem::path& directory);

/// The same checks without making anything; a missing directory is an error.
/// errors:  bad_state_directory.
[[nodiscard]] Result<void> check_state_directory(const std::filesystem::path& directory);

/// Where the database lies in a state directory.
std::filesystem::path database_directory(const std::filesystem::path& directory);

/// Puts the database aside, under a name of its own in the same directory: the next start finds
/// none, and the enclave then starts without owner. Nothing is deleted.
/// returns: where it lies now; nothing if there was none.
/// errors:  bad_state_directory, storage_locked (a daemon uses it).
[[nodiscard]] Result<std::optional<std::filesystem::path>> reset_state(
    const std::filesystem::path& directory);

}  // namespace eos::daemon
