// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <functional>
#include <string>

#include "client/channel.h"
#include "common/http/message.h"
#include "common/http/response_parser.h"

namespace eos::client {

inline constexpr Code bad_response{"client", "bad_response", "the server's answer is not usable"};

/// A request with its whole body.
struct Request {
    http::RequestHead head;  ///< `body` is set from the bytes below
    ByteView body;
    /// Called as the body goes out: bytes sent so far.
    std::function<void(std::size_t)> progress;
    /// If set, takes the body of a 2xx answer as it comes, of any size and for any time, instead of
    /// Response::body. The deadline is then that of the head.
    std::function<void(ByteView)> on_body;
};

/// The answer with its whole body.
struct Response {
    int status = 0;
    http::Headers headers;
    Bytes body;
};

/// HTTP/1.1 over one channel, one request at a time.
class HttpExchange {
  public:
    /// `channel` must outlive this.
    explicit HttpExchange(Channel& channel) : channel_(channel) {}

    /// Sends the request and reads the whole answer, at most `max_body_bytes` of body.
    /// errors: those of Channel; bad_response; http::bad_request_head, http::body_too_large.
    [[nodiscard]] Result<Response> run(Request request, std::size_t max_body_bytes,
                                       Deadline deadline);

  private:
    Result<void> send(Request& request, Deadline deadline);
    Result<Response> read(const Request& request, std::size_t max_body_bytes, Deadline deadline);

    Channel& channel_;
    http::ResponseParser parser_;
    Bytes unparsed_;
};

}  // namespace eos::client
