// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <string>
#include <string_view>

#include "common/base/result.h"
#include "untrusted/daemon/traffic.h"

namespace eos::daemon {

inline constexpr Code bad_address{"untrusted/daemon", "bad_address",
                                  "not an address of the form 127.0.0.1:8443 or [::1]:8443"};

/// A numeric IP address and port.
struct SocketAddress {
    sockaddr_storage storage{};
    socklen_t size = 0;

    const sockaddr* data() const { return reinterpret_cast<const sockaddr*>(&storage); }
    bool is_loopback() const;
    /// "127.0.0.1:8443", "[::1]:8443".
    std::string text() const;
    /// As the trusted side is told.
    Peer as_peer() const;
};

/// errors:  bad_address (names are not looked up; port 0 lets the system choose).
[[nodiscard]] Result<SocketAddress> parse_address(std::string_view text);

}  // namespace eos::daemon
