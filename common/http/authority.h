// SPDX-License-Identifier: AGPL-3.0-only
// Whom a request addresses. One rule for every version of HTTP; routing and the 421 check rest on
// it, so there is exactly one place that decides it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/http/message.h"

namespace eos::http {

inline constexpr Code bad_authority{"common/http", "bad_authority",
                                    "the authority is not a host with an optional port"};
inline constexpr Code missing_authority{"common/http", "missing_authority",
                                        "the request names no host"};
inline constexpr Code repeated_authority{"common/http", "repeated_authority",
                                         "the request has more than one Host field"};
inline constexpr Code conflicting_authority{"common/http", "conflicting_authority",
                                            "the request target and the Host field differ"};

inline constexpr std::size_t kMaxHostBytes = 253;

/// Parses `host [":" port]` and brings it into canonical form: lower case, no trailing dot, the
/// scheme's default port removed, IPv6 as RFC 5952 writes it.
/// in:      a DNS name of LDH labels, a dotted-quad IPv4 address or an IPv6 address in brackets.
///          No user information, no percent-encoding, no zone, no underscore, no empty port; a name
///          that ends in a number is an IPv4 address or malformed (so "0x7f.1" is nothing).
/// errors:  bad_authority.
/// source:  RFC 3986 §3.2.2, RFC 1123 §2.1, RFC 5952.
[[nodiscard]] Result<Authority> parse_authority(std::string_view text, Scheme scheme);

/// The canonical text: "name", "name:8443", "[2001:db8::1]:8443".
std::string to_string(const Authority& authority);

/// The request's authority: that of the target in absolute form (HTTP/2: `:authority`) if there is
/// one, else the single Host field. A Host field beside it must name the same authority.
/// errors:  missing_authority, repeated_authority, conflicting_authority, bad_authority. Each is
///          answered 400, and the connection closes.
/// source:  RFC 9112 §3.2, made stricter.
[[nodiscard]] Result<Authority> effective_authority(const std::optional<Authority>& from_target,
                                                    const Headers& headers, Scheme scheme);

}  // namespace eos::http
