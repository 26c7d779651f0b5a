// SPDX-License-Identifier: AGPL-3.0-only
// What the minter knows across restarts, in one file. It holds the CA's key in clear: the directory
// must lie on the VM's encrypted data volume, and nobody but the minter's user may enter it.
#pragma once

#include <optional>
#include <string>

#include "common/config_tree/history.h"
#include "trusted/os/unique_fd.h"
#include "trusted/runtime/ownership.h"
#include "trusted/virtual/config/trees.h"

namespace eos::cvm {

inline constexpr Code state_exposed{
    "trusted/virtual/minter", "state_exposed",
    "the state directory must belong to the minter's user and have mode 0700"};
inline constexpr Code state_in_use{"trusted/virtual/minter", "state_in_use",
                                   "another minter works with this state directory"};
inline constexpr Code state_unusable{"trusted/virtual/minter", "state_unusable",
                                     "the state file is not whole: restore it from a backup, or "
                                     "empty the directory to begin anew as another instance"};
inline constexpr Code state_not_written{"trusted/virtual/minter", "state_not_written",
                                        "the state file cannot be written"};

inline constexpr std::size_t kMaxStateBytes = 8 * 1024 * 1024;

/// Everything that outlives a start. Holds a secret: copied by duplicate() only.
struct MinterState {
    ByteArray<16> instance_id{};
    std::uint64_t generation = 0;  ///< rises with every change
    std::optional<runtime::Ownership> owned;
    AppIds app_ids;
    crypto::Digest32 served_hash{};  ///< of configuration and program that were last served
    config_tree::History history;
    UnixTime time_floor;  ///< no time before this is believed

    MinterState duplicate() const;
};

/// The file's content; its last 32 bytes are SHA-256 of all before.
SecretBytes encode_state(const MinterState& state);

/// errors: state_unusable.
[[nodiscard]] Result<MinterState> decode_state(ByteView file);

/// The directory, locked against a second minter while this lives.
class StateDirectory {
  public:
    /// errors: state_exposed, state_in_use, state_unusable (something else is in it).
    [[nodiscard]] static Result<StateDirectory> open(const std::string& path);

    /// returns: nothing on a first run, when there is no file.
    /// errors:  state_unusable.
    [[nodiscard]] Result<std::optional<MinterState>> load() const;

    /// Replaces the file; when this returns without an error, the new one survives a crash, and at
    /// every instant before, one of the two is there whole.
    /// errors:  state_not_written.
    [[nodiscard]] Result<void> store(const MinterState& state) const;

  private:
    StateDirectory(os::UniqueFd directory, os::UniqueFd lock)
        : directory_(std::move(directory)), lock_(std::move(lock)) {}
    os::UniqueFd directory_;
    os::UniqueFd lock_;
};

}  // namespace eos::cvm
