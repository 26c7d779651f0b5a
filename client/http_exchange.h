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

    /// Sends the request and reads the whole answer, at most `max_body_bytes` of body. A refusal
    /// that comes while the body is under way ends the sending (and the use of the channel).
    /// errors: those of Channel; bad_response; http::bad_request_head, http::body_too_large.
    /// source: RFC 9112 §9.5.
    [[nodiscard]] Result<Response> run(Request request, std::size_t max_body_bytes,
                                       Deadline deadline);

    /// Whether the server sent more than it was asked for so far.
    bool has_unread() const { return !unparsed_.empty(); }

  private:
    /// What is known of the answer so far.
    struct Answer {
        Response response;
        std::size_t max_body_bytes;
        bool has_head = false;
        bool is_stream = false;
        bool is_complete = false;

        bool is_refusal() const { return has_head && response.status >= 400; }
    };

    Result<void> send(Request& request, Answer& answer, Deadline deadline);
    Result<void> take_early_input(const Request& request, Answer& answer);
    Result<void> read(const Request& request, Answer& answer, Deadline deadline);
    Result<void> parse(const Request& request, Answer& answer);

    Channel& channel_;
    http::ResponseParser parser_;
    Bytes unparsed_;
    bool was_cut_short_ = false;  ///< a request was not sent to its end: the channel is of no use
};

}  // namespace eos::client
