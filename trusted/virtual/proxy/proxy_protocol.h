// SPDX-License-Identifier: AGPL-3.0-only
// The PROXY protocol: a load balancer in front says whom it speaks for, before the first byte of
// TLS. Only on listeners that are configured for it, and there nothing else is accepted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "common/base/bytes.h"
#include "common/base/result.h"

namespace eos::cvm::proxy {

inline constexpr Code bad_proxy_header{"trusted/virtual/proxy", "bad_proxy_header",
                                       "the connection does not begin with a PROXY header"};

/// The whole of a version 1 header, by its specification.
inline constexpr std::size_t kMaxProxyV1Bytes = 107;
/// Of a version 2 header with its addresses and extensions; the form would allow 64 KiB.
inline constexpr std::size_t kMaxProxyV2Bytes = 4096;

/// A PROXY header.
struct ProxyHeader {
    /// Where the client is: IPv4 mapped into IPv6. Absent where the sender speaks for itself
    /// (LOCAL, as health checks do) or does not say (UNKNOWN, UNSPEC): then the socket's peer is
    /// the client.
    std::optional<ByteArray<16>> client;
    std::size_t size = 0;  ///< in bytes; what follows is the client's
};

/// Reads a header of version 1 or 2 from the beginning of a connection.
/// in:      everything received so far.
/// returns: nothing if `input` may still become a header. Never nothing at kMaxProxyV2Bytes.
/// errors:  bad_proxy_header, as soon as `input` cannot become one; datagrams and addresses of
///          other families than IPv4 and IPv6 are refused, too.
/// source:  haproxy.org, "The PROXY protocol, versions 1 & 2", 2.1 and 2.2.
[[nodiscard]] Result<std::optional<ProxyHeader>> parse_proxy_header(ByteView input);

}  // namespace eos::cvm::proxy
