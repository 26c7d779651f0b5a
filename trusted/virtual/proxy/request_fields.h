// SPDX-License-Identifier: AGPL-3.0-only
// What the fields of a request and of a response become on their way through: what concerns one
// connection stays behind, what only this proxy may say is taken out and said anew.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/http/message.h"
#include "common/http/response_parser.h"

namespace eos::cvm::proxy {

inline constexpr Code no_websocket_key{"trusted/virtual/proxy", "no_websocket_key",
                                       "a request for a WebSocket needs one Sec-WebSocket-Key"};
inline constexpr Code bad_websocket_accept{
    "trusted/virtual/proxy", "bad_websocket_accept",
    "the upstream's Sec-WebSocket-Accept does not answer the key it was sent"};

inline constexpr Code too_many_connection_options{"trusted/virtual/proxy",
                                                  "too_many_connection_options",
                                                  "Connection lists more options than is allowed"};

/// What Connection may list in one head.
inline constexpr std::size_t kMaxConnectionOptions = 32;

/// "192.0.2.1" or "2001:db8::1". in: IPv4 mapped into IPv6.
std::string address_text(const ByteArray<16>& address);

/// Makes a request's fields those that the upstream gets. Dropped: fields of the connection (RFC
/// 9110 §7.6.1) and those that Connection names; Host and Expect, which are said anew or answered
/// here; names that are not of [a-z0-9-], because servers behind gateway interfaces take `_`, `.`
/// and `-` for the same; Proxy, which becomes HTTP_PROXY there; X-Privasys-*; those in which
/// proxies name a client's address or certificate (Client-Cert of RFC 9440, X-SSL-* and their
/// like); and whatever a client says in the fields that follow. Added: X-Forwarded-For,
/// X-Forwarded-Proto, X-Forwarded-Host, X-Real-IP, Forwarded (RFC 7239) and Via.
/// A POST, PUT or PATCH without a body says so: Content-Length: 0 (RFC 9110 §8.6).
/// A WebSocket over HTTP/2 (RFC 8441) becomes the GET that asks HTTP/1.1 for one, with a key of its
/// own; for an upstream of HTTP/2 the client that speaks to it makes the one of the other.
/// in:      `client`: IPv4 mapped into IPv6.
/// errors:  http::headers_too_large: answer 431; too_many_connection_options.
[[nodiscard]] Result<void> rewrite_request(http::RequestHead& head, const ByteArray<16>& client);

/// Makes a response's fields those that the client gets: without the fields of the connection and
/// without X-Privasys-*, which are the platform's.
/// errors:  too_many_connection_options: the answer is not valid.
[[nodiscard]] Result<void> rewrite_response(http::ResponseHead& head);

/// The key of a request for a WebSocket.
/// in:      as rewrite_request() leaves it.
/// errors:  no_websocket_key.
[[nodiscard]] Result<std::string> websocket_key(const http::RequestHead& head);

/// Makes an upstream's consent to a WebSocket (101) one that its client takes for the answer to its
/// request: over HTTP/2 there is no key and no answer to it (RFC 8441 §5), over HTTP/1.1 there are.
/// Before rewrite_response().
/// in:      `key`: of websocket_key().
/// errors:  bad_websocket_accept, http::headers_too_large: the answer is not valid.
[[nodiscard]] Result<void> rewrite_switching(http::ReceivedResponse& response, http::Version client,
                                             std::string_view key);

/// The same of what comes behind bodies, of which only what may stand there is left.
void rewrite_request_trailers(http::Headers& trailers);
void rewrite_response_trailers(http::Headers& trailers);

}  // namespace eos::cvm::proxy
