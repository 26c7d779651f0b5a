// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <memory>

#include "common/http/message.h"
#include "common/http/parser.h"

namespace eos::http {

class MessageReader;

/// Reads HTTP/1.x requests from one connection, strictly: what two readers could understand
/// differently is refused, not repaired. The grammar is llhttp's, every lenient flag off.
/// bound:   a head of kMaxStartLineBytes + kMaxHeaderBytes is held, never a body.
/// threads: one at a time.
class RequestParser {
  public:
    RequestParser();
    ~RequestParser();
    RequestParser(RequestParser&&) noexcept;
    RequestParser& operator=(RequestParser&&) noexcept;

    /// Looks at the input up to the next event (parser.h).
    /// errors: every code of parser.h but truncated_message; bad_header_name, bad_header_value,
    ///         headers_too_large, forbidden_trailer, bad_target, and the codes of authority.h. The
    ///         parser is then dead: each further call returns the same error. status_for() has the
    ///         answer.
    [[nodiscard]] Result<Step> feed(ByteView input);

    /// The head; once, after kHead.
    RequestHead take_head();

    /// The fields behind a chunked body, mostly none; once, after kComplete.
    Headers take_trailers();

    /// How many bytes of body this request may have; to be set after kHead. Without it: none.
    void set_body_limit(std::uint64_t bytes);

    /// Whether some byte of a request that is not complete was seen.
    bool in_message() const;

  private:
    Result<void> assemble_head();

    std::unique_ptr<MessageReader> reader_;
    RequestHead head_;
};

/// Whether the client wants the connection to serve another request: HTTP/1.1 without
/// `Connection: close`. For HTTP/1.0 never, `keep-alive` or not.
Persistence requested_persistence(const RequestHead& head);

}  // namespace eos::http
