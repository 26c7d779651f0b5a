// SPDX-License-Identifier: AGPL-3.0-only
// A mount namespace of our own, in which paths of the kernel exist that this machine lacks.
#pragma once

#include <string>

#include "common/base/result.h"

namespace eos::emulation::tsm {

inline constexpr Code namespace_unavailable{
    "emulation/tsm", "namespace_unavailable",
    "this machine does not let this user make a mount namespace (unshare): it needs root with "
    "CAP_SYS_ADMIN, or user namespaces"};
inline constexpr Code mount_failed{"emulation/tsm", "mount_failed",
                                   "a path cannot be put in place"};
inline constexpr Code fuse_unavailable{
    "emulation/tsm", "fuse_unavailable",
    "this machine has no FUSE for this user: /dev/fuse must exist and be writable"};

/// Moves this process, which must have one thread, into a mount namespace of its own; without the
/// privilege for that also into a user namespace, in which it keeps its user id.
/// errors: namespace_unavailable.
[[nodiscard]] Result<void> enter_private_namespace();

/// Whether FUSE and a private namespace are to be had; tried in a child process.
/// errors: namespace_unavailable, fuse_unavailable.
[[nodiscard]] Result<void> check_machine();

/// Mounts an empty tmpfs on an existing directory. errors: mount_failed.
[[nodiscard]] Result<void> mount_empty(const std::string& directory);

/// What is to be seen where.
struct Bind {
    std::string source;  ///< a directory
    std::string target;  ///< an absolute path; what it lacks is made
};

/// Shows `source` at `target`. A directory that cannot hold what is missing, because the kernel
/// made it, is replaced by a tmpfs that shows the same entries and can. in:      scratch: an empty
/// directory, for the time of the call. errors:  mount_failed.
[[nodiscard]] Result<void> bind_at(const Bind& bind, const std::string& scratch);

/// A symbolic link, with its directory replaced likewise where it must be; nothing is done if the
/// path exists.
struct Link {
    std::string path;
    std::string value;
};
/// errors: mount_failed.
[[nodiscard]] Result<void> link_at(const Link& link, const std::string& scratch);

}  // namespace eos::emulation::tsm
