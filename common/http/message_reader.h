// SPDX-License-Identifier: AGPL-3.0-only
// Private to this folder: the machinery under RequestParser and ResponseParser.
#pragma once

#include <llhttp.h>

#include <cstdint>
#include <optional>
#include <string>

#include "common/http/message.h"
#include "common/http/parser.h"

namespace eos::http {

/// Which of the two parsers the reader works for.
enum class MessageKind : std::uint8_t { kRequest, kResponse };
enum class SkipBody : std::uint8_t { kNo, kYes };

/// Cuts the input into lines and body pieces, and gives each to llhttp by itself.
///
/// Two readings must agree: llhttp has the grammar; this class counts bytes, refuses what
/// llhttp 8.1 still lets through (bare LF in places, folded fields, double spaces, HTTP/0.9, an
/// empty field name), decides the framing from the fields, and compares it with llhttp's decision.
/// Because no slice spans the end of a line or of a message, what llhttp may do with bytes that
/// follow (upgrades, data after `Connection: close`) cannot happen.
class MessageReader {
  public:
    explicit MessageReader(MessageKind kind);
    MessageReader(const MessageReader&) = delete;
    MessageReader& operator=(const MessageReader&) = delete;

    [[nodiscard]] Result<Step> feed(ByteView input);
    /// The peer will send nothing more. kComplete if that ends a body without a declared size,
    /// kNeedInput between messages. errors: truncated_message.
    [[nodiscard]] Result<Step> finish();

    void set_body_limit(std::uint64_t bytes) { body_limit_ = bytes; }
    /// Whether the following responses answer HEAD: no body, whatever the fields say.
    void set_skip_body(SkipBody skip) { skip_body_ = skip; }
    /// Ends the reader: every further call returns this error.
    std::unexpected<Error> fail_with(Error error);
    /// Whether some byte of a message that is not complete was seen.
    bool in_message() const { return mode_ != Mode::kBlank || blank_cr_; }

    // Valid from kHead on.
    Method method() const { return method_; }
    std::string_view target() const { return target_; }
    Version version() const { return version_; }
    int status() const { return status_; }
    BodySize body() const { return body_; }
    /// As body(), but by the fields alone: of a response that has none, too.
    BodySize described() const { return described_; }
    Headers take_headers() { return std::move(headers_); }
    /// From kComplete on, until the next message is fed.
    Headers take_trailers() { return std::move(trailers_); }

  private:
    enum class Mode : std::uint8_t {
        kBlank,      ///< before the first line
        kStartLine,  ///< collected, checked, then given to llhttp as a whole
        kHeader,
        kData,  ///< body of known size, or the data of one chunk
        kChunkLine,
        kChunkEnd,  ///< the CR LF after a chunk's data
        kTrailer,
        kUntilEnd,  ///< a response body that ends with the connection
        kDone,
        kFailed,
    };

    struct Callbacks;
    void begin_message();
    Result<Step> advance(ByteView input);
    Result<std::size_t> skip_blank_lines(ByteView input);
    Result<std::size_t> take_line(ByteView input);
    Result<ByteView> take_data(ByteView input);
    Result<void> check_line_bytes(ByteView slice);
    Result<void> check_line_size() const;
    Result<void> execute(ByteView slice);
    Result<void> end_line();
    Result<void> end_start_line();
    Result<void> parse_request_line(std::string_view line);
    Result<void> parse_status_line(std::string_view line);
    Result<void> end_head();
    Result<void> end_chunk_line();
    Result<void> end_message();
    Result<void> store_header();
    Result<void> store_trailer();
    Result<void> decide_framing();
    Result<void> decide_transfer_encoding(std::string_view value);
    std::size_t line_limit() const;

    const MessageKind kind_;
    llhttp_t llhttp_{};
    Mode mode_ = Mode::kBlank;
    std::optional<Error> error_;  ///< set by a callback, or once and for all
    std::uint64_t body_limit_ = 0;
    SkipBody skip_body_ = SkipBody::kNo;

    std::string start_line_;
    std::string name_, value_;  ///< the field being read
    Method method_ = Method::kGet;
    std::string target_;
    Version version_ = Version::kHttp11;
    int status_ = 0;
    Headers headers_;
    Headers trailers_;
    BodySize body_;
    BodySize described_;
    bool until_end_ = false;  ///< body_ is unknown because the connection ends it

    std::size_t blank_lines_ = 0;
    bool blank_cr_ = false;
    std::size_t line_size_ = 0;
    bool after_cr_ = false;
    std::size_t section_size_ = 0;  ///< of the header or trailer section
    std::uint64_t remaining_ = 0;   ///< of kData
    std::uint64_t received_ = 0;    ///< of the body
    std::uint64_t chunk_overhead_ = 0;
    bool head_reported_ = false;
    bool headers_complete_ = false;  ///< llhttp's view
    bool chunk_header_ = false;
    bool message_complete_ = false;
};

}  // namespace eos::http
