// SPDX-License-Identifier: AGPL-3.0-only
// Writes HTTP/1.1 messages. Only this file writes framing fields (Content-Length,
// Transfer-Encoding, Connection), and it writes them from the same value that frames the body.
#pragma once

#include <string>

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/base/time.h"
#include "common/http/message.h"

namespace eos::http {

inline constexpr Code bad_status{"common/http", "bad_status",
                                 "a final response needs a status from 200 to 599"};
inline constexpr Code reserved_header{"common/http", "reserved_header",
                                      "framing and connection fields are written by the server"};
inline constexpr Code body_not_allowed{"common/http", "body_not_allowed",
                                       "a response of this status has no body"};
inline constexpr Code bad_request_head{"common/http", "bad_request_head",
                                       "the request head cannot be written as HTTP/1.1"};

/// How the head says so and dates itself.
struct ResponseOptions {
    UnixTime date;
    Persistence persistence = Persistence::kKeepAlive;
    Version version = Version::kHttp11;  ///< the request's: 1.0 gets no chunked coding
};

/// Whether a response of that status may have a body (RFC 9110 §6.4.1); HEAD is the caller's.
bool status_allows_body(int status);

/// Whether a final response with that head and body can be written, in any version of HTTP.
/// errors:  bad_status, reserved_header, body_not_allowed.
[[nodiscard]] Result<void> check_response_head(const ResponseHead& head, BodySize body);

/// Appends a final response's head, blank line included. `body` frames it: a known size becomes
/// Content-Length, an unknown one `Transfer-Encoding: chunked` (for HTTP/1.0: the connection must
/// close, and the body ends with it). Adds Date unless the head has one.
/// errors:  bad_status, reserved_header, body_not_allowed. Nothing is appended then.
/// source:  RFC 9112 §6, RFC 9110 §6.6.1.
[[nodiscard]] Result<void> append_response_head(Bytes& out, const ResponseHead& head, BodySize body,
                                                const ResponseOptions& options);

/// Appends the head that accepts an upgrade to `protocol`, blank line included: 101, whatever
/// head.status says. What follows on the connection is the tunnel's.
/// errors:  reserved_header. Nothing is appended then.
/// source:  RFC 9110 §15.2.2.
[[nodiscard]] Result<void> append_switching_head(Bytes& out, const ResponseHead& head,
                                                 std::string_view protocol, UnixTime date);

/// Appends a request's head in origin form with Host from its authority, blank line included.
/// Writes `Upgrade` from head.protocol and `TE: trailers` from head.accepts_trailers.
/// errors:  bad_request_head (authority, path or query malformed; CONNECT; an upgrade of anything
///          but a GET without body), reserved_header (also Host).
[[nodiscard]] Result<void> append_request_head(Bytes& out, const RequestHead& head,
                                               Persistence persistence);

/// Appends one chunk; an empty one is nothing, because an empty chunk would end the body.
void append_chunk(Bytes& out, ByteView data);

/// Appends the end of a chunked body.
void append_last_chunk(Bytes& out);

/// The same with trailer fields.
/// errors:  forbidden_trailer. Nothing is appended then.
[[nodiscard]] Result<void> append_last_chunk(Bytes& out, const Headers& trailers);

/// errors:  forbidden_trailer.
[[nodiscard]] Result<void> check_trailers(const Headers& trailers);

/// "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110 §5.6.7). Times outside the years 0..9999 are
/// brought to the nearest of them.
std::string http_date(UnixTime time);

/// The interim response that asks for the body (RFC 9110 §15.2.1).
inline constexpr std::string_view kContinueResponse = "HTTP/1.1 100 Continue\r\n\r\n";

}  // namespace eos::http
