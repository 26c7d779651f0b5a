// SPDX-License-Identifier: AGPL-3.0-only
// What the request and the response parser have in common: how they are fed, what they refuse.
#pragma once

#include <cstddef>
#include <cstdint>

#include "common/base/bytes.h"
#include "common/base/result.h"

namespace eos::http {

inline constexpr Code bad_start_line{"common/http", "bad_start_line",
                                     "the first line is malformed"};
inline constexpr Code unknown_method{"common/http", "unknown_method",
                                     "the request method is not implemented"};
inline constexpr Code unsupported_version{"common/http", "unsupported_version",
                                          "only HTTP/1.0 and HTTP/1.1 are spoken here"};
inline constexpr Code target_too_long{"common/http", "target_too_long",
                                      "the first line is over its limit"};
inline constexpr Code bad_line_end{"common/http", "bad_line_end",
                                   "a line does not end in exactly CR LF"};
inline constexpr Code control_character{"common/http", "control_character",
                                        "a line holds a control character"};
inline constexpr Code folded_line{"common/http", "folded_line",
                                  "a header field is folded over lines or starts with a blank"};
inline constexpr Code bad_header_line{"common/http", "bad_header_line",
                                      "a header field is malformed"};
inline constexpr Code bad_content_length{"common/http", "bad_content_length",
                                         "Content-Length is not one decimal number"};
inline constexpr Code bad_transfer_encoding{"common/http", "bad_transfer_encoding",
                                            "Transfer-Encoding does not end in one chunked"};
inline constexpr Code unknown_transfer_coding{"common/http", "unknown_transfer_coding",
                                              "only the chunked transfer coding is implemented"};
inline constexpr Code conflicting_framing{
    "common/http", "conflicting_framing",
    "the message has both Content-Length and Transfer-Encoding"};
inline constexpr Code bad_chunk{"common/http", "bad_chunk", "the chunked body is malformed"};
inline constexpr Code body_too_large{"common/http", "body_too_large",
                                     "the body is over the limit for this message"};
inline constexpr Code truncated_message{"common/http", "truncated_message",
                                        "the connection ended inside a message"};
inline constexpr Code framing_disagreement{
    "common/http", "framing_disagreement",
    "two readings of the message's framing differ, so neither is used"};

inline constexpr std::size_t kMaxStartLineBytes = 8 * 1024;
inline constexpr std::size_t kMaxChunkLineBytes = 128;            ///< size, extensions, CR LF
inline constexpr std::size_t kMaxChunkOverheadBytes = 16 * 1024;  ///< beyond what sane chunks need
inline constexpr std::size_t kMaxTrailerBytes = 4 * 1024;         ///< with line ends
inline constexpr std::size_t kMaxLeadingBlankLines = 4;  ///< RFC 9112 §2.2 wants at least one
inline constexpr std::size_t kMaxInterimResponses = 8;

/// What a parser came upon.
enum class Event : std::uint8_t {
    kNeedInput,  ///< all input was taken; more is needed
    kHead,       ///< the head is complete; take it, set the body's limit, feed again
    kBody,       ///< `body` is the next piece of the body, borrowed from the input
    kComplete,   ///< the message ended; what was not consumed belongs to the next one
};

/// What one call of feed() came to. The caller feeds the input behind `consumed` again (it may be
/// empty) until the event is kNeedInput, or stops after kComplete: nothing of the next message is
/// looked at before it is fed, which is all the back-pressure that pipelining needs.
struct Step {
    Event event = Event::kNeedInput;
    std::size_t consumed = 0;
    ByteView body;
};

/// The status that answers a request refused with this error: 400, 413, 414, 431, 501 or 505.
/// After any of them the connection must close, because where the next request starts is unknown.
int status_for(const Error& error);

}  // namespace eos::http
