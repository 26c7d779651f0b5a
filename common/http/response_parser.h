// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <memory>

#include "common/http/message.h"
#include "common/http/parser.h"

namespace eos::http {

class MessageReader;

inline constexpr Code unexpected_response{"common/http", "unexpected_response",
                                          "the response is not one to this request"};

/// A response's head as received, with what frames its body.
struct ReceivedResponse {
    ResponseHead head;  ///< framing fields included, as they came
    Version version = Version::kHttp11;
    BodySize body;
    /// What the fields say of a body, also where none follows: of an answer to HEAD, of a 304.
    BodySize described;
};

/// Whether a request asked for another protocol, so that 101 is an answer to it.
enum class Switching : std::uint8_t { kRefused, kAsked };

/// Reads HTTP/1.x responses from one connection, as strictly as RequestParser reads requests.
/// Interim (1xx) responses are skipped. 101 is refused, unless it was asked for: then it is the
/// last response, without a body, and what follows it is not HTTP.
/// threads: one at a time.
class ResponseParser {
  public:
    ResponseParser();
    ~ResponseParser();
    ResponseParser(ResponseParser&&) noexcept;
    ResponseParser& operator=(ResponseParser&&) noexcept;

    /// Says which request the next response answers; before its first byte is fed. Bytes that
    /// arrive when no response is expected are refused.
    void expect(Method request_method, Switching switching = Switching::kRefused);

    /// Looks at the input up to the next event (parser.h).
    /// errors: those of RequestParser but the ones about targets, methods and authorities;
    ///         unexpected_response. The parser is then dead.
    [[nodiscard]] Result<Step> feed(ByteView input);

    /// The peer will send nothing more: kComplete if that ends the body, kNeedInput if no response
    /// was under way.
    /// errors: truncated_message.
    [[nodiscard]] Result<Step> finish();

    /// The head; once, after kHead.
    ReceivedResponse take_head();

    /// The fields behind a chunked body, mostly none; once, after kComplete.
    Headers take_trailers();

    /// How many bytes of body this response may have; to be set after kHead. Without it: none.
    void set_body_limit(std::uint64_t bytes);

  private:
    std::unique_ptr<MessageReader> reader_;
    ReceivedResponse head_;
    bool expecting_ = false;
    Switching switching_ = Switching::kRefused;
    bool skipping_ = false;  ///< inside an interim response
    std::size_t interim_count_ = 0;
};

}  // namespace eos::http
