// SPDX-License-Identifier: AGPL-3.0-only
// HTTP/1.1 on the client side of one connection to an upstream: bytes in, bytes out, one request at
// a time.
#pragma once

#include <cstdint>
#include <optional>

#include "common/base/bytes.h"
#include "common/http/message.h"
#include "common/http/response_parser.h"
#include "trusted/runtime/interfaces.h"

namespace eos::cvm::proxy {

/// Why there is no (whole) answer.
enum class UpstreamFailure : std::uint8_t {
    kUnreachable,      ///< no connection could be opened
    kConnectTimeout,   ///< nor did it fail in time
    kClosed,           ///< the connection ended before the answer did
    kMalformed,        ///< what came is not one answer in HTTP/1.1
    kResponseTimeout,  ///< the answer did not begin in time
    kStalled,          ///< it began, or the request did, and nothing moved any more
};

/// Whether trying it once more on a connection of its own changes nothing but the outcome, as far
/// as the connection knows: it had served before, and nothing of the answer was seen.
enum class Staleness : std::uint8_t { kNotStale, kMaybeStale };

/// What hears of the answer. The client calls it only inside its own calls, and never again after
/// on_response_end() or on_failure().
class ResponseHandler {
  public:
    /// Status 101: from now on there is a tunnel, whose bytes come and go as those of bodies.
    virtual void on_response(http::ReceivedResponse response) = 0;
    /// returns: how much was taken; the rest comes again after Http1Client::resume().
    virtual std::size_t on_response_body(ByteView piece) = 0;
    /// The whole answer was received, or a tunnel's other end said its last.
    virtual void on_response_end(http::Headers trailers) = 0;
    /// There is room for the request's body again, after has_room() said that there was none.
    virtual void on_request_room() = 0;
    virtual void on_failure(UpstreamFailure failure, Staleness staleness) = 0;

  protected:
    ~ResponseHandler() = default;
};

/// How long an upstream may take for what. Times that the client takes do not count.
struct UpstreamTimeouts {
    std::uint64_t connect_ms = 5'000;
    std::uint64_t response_ms = 60'000;  ///< from the request's end to the answer's head
    std::uint64_t stall_ms = 60'000;     ///< without a byte, either way
};

/// A request as it goes out.
struct UpstreamRequest {
    Bytes head;  ///< serialised, blank line included
    http::Method method = http::Method::kGet;
    http::BodySize body;  ///< as the head says
    http::Switching switching = http::Switching::kRefused;
};

/// One connection. An answer that arrives before the request is complete is handed on at once, and
/// so is the rest of the request; when the answer is complete first, the rest is not wanted.
/// bound:   kRoomBytes and one piece of request body; of the answer, what one receive() was given.
/// threads: one.
class Http1Client {
  public:
    /// Where has_room() begins to say no.
    static constexpr std::size_t kRoomBytes = 64 * 1024;

    /// `clock` outlives the client.
    Http1Client(const runtime::Clock& clock, const UpstreamTimeouts& timeouts)
        : clock_(clock), timeouts_(timeouts) {}
    Http1Client(const Http1Client&) = delete;
    Http1Client& operator=(const Http1Client&) = delete;

    /// Begins a request; only while is_idle() (asserted). A request without a body is complete;
    /// else its body follows with write() and finish(). `handler` lives until it was told the end,
    /// or abandon() was called.
    void begin(UpstreamRequest request, ResponseHandler& handler);
    /// All of `piece` is taken.
    void write(ByteView piece);
    void finish(const http::Headers& trailers = {});
    bool has_room();
    /// The handler takes body again.
    void resume();
    /// The handler is not there any more. The connection is over.
    void abandon();

    /// What is to be sent.
    ByteView output() const { return ByteView(output_).subspan(output_offset_); }
    void output_taken(std::size_t count);
    /// Whether nothing is to be sent after output(), so that the transport says so: of a tunnel.
    bool ends_output() const { return ends_output_; }
    /// Nothing can be sent any more. The answer may still come: an upstream that refuses a body
    /// answers and closes.
    void output_refused();

    /// Whether receive() may be called with more.
    bool wants_input() const { return !is_over_ && held_input_.empty() && held_body_.empty(); }
    void receive(ByteView input);
    /// How the upstream's half of the connection ended.
    enum class InputEnd : std::uint8_t { kOrderly, kBroken };
    void input_ended(InputEnd end);

    /// Ends the exchange under way.
    void fail(UpstreamFailure failure);
    void tick(std::uint64_t now_ms);
    /// Absent while everything waits for the client, and between requests.
    std::optional<std::uint64_t> next_deadline_ms() const;

    /// Whether begin() may be called.
    bool is_idle() const { return handler_ == nullptr && !is_over_; }
    /// Whether the connection can only be closed.
    bool is_over() const { return is_over_; }

  private:
    void parse(ByteView input);
    void take_head();
    void take_body(ByteView piece);
    void take_tunnel(ByteView input);
    void end_response(std::size_t excess_bytes);
    void conclude();

    const runtime::Clock& clock_;
    const UpstreamTimeouts timeouts_;
    http::ResponseParser parser_;
    ResponseHandler* handler_ = nullptr;
    Bytes output_;
    std::size_t output_offset_ = 0;
    Bytes held_body_;   ///< decoded, not yet taken by the handler
    Bytes held_input_;  ///< behind it, not yet parsed
    std::optional<InputEnd> ended_;
    std::uint64_t last_moved_ms_ = 0;
    std::uint64_t asked_ms_ = 0;  ///< when the last of the request went out, as far as it did
    std::uint64_t request_count_ = 0;
    bool is_chunked_ = false;
    bool request_complete_ = true;
    bool has_received_ = false;  ///< something of this answer
    bool has_head_ = false;
    bool persists_ = true;
    bool sends_ = true;
    bool is_tunnel_ = false;
    bool ends_output_ = false;
    bool wants_room_ = false;
    bool is_over_ = false;
};

}  // namespace eos::cvm::proxy
