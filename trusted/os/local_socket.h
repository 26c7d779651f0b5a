// SPDX-License-Identifier: AGPL-3.0-only
// Sockets between programs of one machine: made, found, and who is at the other end.
#pragma once

#include <sys/types.h>

#include <string>

#include "common/base/result.h"
#include "trusted/os/unique_fd.h"

namespace eos::os {

inline constexpr Code local_socket_unusable{"trusted/os", "local_socket_unusable",
                                            "the socket cannot be made"};
inline constexpr Code nobody_listens{"trusted/os", "nobody_listens", "nobody listens there"};
inline constexpr Code unknown_user{"trusted/os", "unknown_user", "there is no such user"};
inline constexpr Code unknown_peer{"trusted/os", "unknown_peer",
                                   "the kernel does not say who is at the other end"};

/// Listens, not blocking. A socket that lies there already is replaced, anything else is not.
/// in:     path: of the socket; mode: who may connect at all.
/// errors: local_socket_unusable.
[[nodiscard]] Result<UniqueFd> listen_local(const std::string& path, mode_t mode);

/// Connects; what comes back does not block.
/// errors: nobody_listens.
[[nodiscard]] Result<UniqueFd> connect_local(const std::string& path);

/// As the kernel noted it: of who connected, or of who began to listen.
struct LocalPeer {
    uid_t user = 0;
    pid_t process = 0;
};

/// in:     fd: of a connected Unix socket.
/// errors: unknown_peer.
/// source: unix(7), SO_PEERCRED.
[[nodiscard]] Result<LocalPeer> local_peer(int fd);

/// in:     a user's name, or a number.
/// errors: unknown_user.
[[nodiscard]] Result<uid_t> find_user(const std::string& user);

}  // namespace eos::os
