// SPDX-License-Identifier: AGPL-3.0-only
// What reaches the service by way of enclave-os-proxy, inside a confidential VM: over a Unix socket
// of one user, with the caller's address in a field that the proxy sets and no caller can.
#pragma once

#include <sys/types.h>

#include "common/http/message.h"
#include "trusted/runtime/exchange.h"
#include "trusted/runtime/server_connection.h"

namespace eos::attestd {

inline constexpr Code not_the_proxy{"trusted/attestd", "not_the_proxy",
                                    "a process of another user than the proxy's connected"};
inline constexpr Code bad_client_address{"trusted/attestd", "bad_client_address",
                                         "X-Forwarded-For is not one address"};

/// Whether the process at the other end is of the proxy's user, as the kernel noted it.
/// in:     fd: of a connected Unix socket.
/// errors: not_the_proxy, os::unknown_peer.
[[nodiscard]] Result<void> check_is_proxy(int fd, uid_t proxy_user);

/// The address that limits are kept by: of IPv4, mapped into IPv6, all, of IPv6 the network. Zeros
/// where the field is missing, as in what the proxy asks for itself: then all such share one limit.
/// errors: bad_client_address (repeated, a list, anything but an address).
/// source: docs/virtual-proxy.md, What your service gets.
[[nodiscard]] Result<ByteArray<16>> client_address(const http::Headers& headers);

/// Gives every request the address of its own client, and refuses (400) what has a wrong one.
class ProxiedRequests final : public runtime::RequestDispatcher {
  public:
    /// `next` outlives this; of the connection that it is given it keeps nothing.
    explicit ProxiedRequests(runtime::RequestDispatcher& next) : next_(next) {}

    runtime::Dispatched dispatch(http::RequestHead head, const runtime::ConnectionInfo& connection,
                                 runtime::Exchange exchange) override;

  private:
    runtime::RequestDispatcher& next_;
};

}  // namespace eos::attestd
