// SPDX-License-Identifier: AGPL-3.0-only
// What the client side of one connection to an upstream is, whichever version of HTTP it speaks,
// and what hears of an answer.
#pragma once

#include <cstdint>
#include <optional>

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/http/message.h"
#include "common/http/response_parser.h"
#include "trusted/runtime/interfaces.h"

namespace eos::cvm::proxy {

/// Why there is no (whole) answer.
enum class UpstreamFailure : std::uint8_t {
    kUnreachable,      ///< no connection could be opened
    kConnectTimeout,   ///< nor did it fail in time
    kClosed,           ///< the connection ended before the answer did
    kMalformed,        ///< what came is not one answer in the version of HTTP that is spoken
    kResponseTimeout,  ///< the answer did not begin in time
    kStalled,          ///< it began, or the request did, and nothing moved any more
    kReset,            ///< the upstream broke this one off (RST_STREAM)
    kRefused,          ///< the upstream says that it did not look at the request, or will not
    kNoTunnel,         ///< a tunnel was asked for, and the upstream offers none (RFC 8441 §3)
};

/// Whether trying it once more on another connection changes nothing but the outcome, as far as the
/// connection knows.
enum class Staleness : std::uint8_t {
    kNotStale,
    kMaybeStale,    ///< the connection had served before, and nothing of the answer was seen
    kNotProcessed,  ///< nothing of it went out, or the upstream says that it did nothing with it
};

/// What hears of the answer. The client calls it only inside its own calls, and never again after
/// on_response_end() or on_failure().
class ResponseHandler {
  public:
    /// Status 101: from now on there is a tunnel, whose bytes come and go as those of bodies.
    virtual void on_response(http::ReceivedResponse response) = 0;
    /// returns: how much was taken. The rest may come again at once; when nothing was taken, it
    ///          comes after UpstreamExchange::resume().
    virtual std::size_t on_response_body(ByteView piece) = 0;
    /// The whole answer was received, or a tunnel's other end said its last.
    virtual void on_response_end(http::Headers trailers) = 0;
    /// There is room for the request's body again, after has_room() said that there was none.
    virtual void on_request_room() = 0;
    virtual void on_failure(UpstreamFailure failure, Staleness staleness) = 0;

  protected:
    ~ResponseHandler() = default;
};

/// A request on its way, as whoever sent it holds it: until its handler was told the end, or until
/// abandon(). An answer that arrives before the request is complete is handed on at once, and so is
/// the rest of the request; when the answer is complete first, the rest is not wanted.
class UpstreamExchange {
  public:
    /// Where has_room() begins to say no.
    static constexpr std::size_t kRoomBytes = 64 * 1024;

    /// All of `piece` is taken.
    virtual void write(ByteView piece) = 0;
    virtual void finish(const http::Headers& trailers) = 0;
    virtual bool has_room() = 0;
    /// The handler takes body again.
    virtual void resume() = 0;
    /// The handler is not there any more.
    virtual void abandon() = 0;

  protected:
    ~UpstreamExchange() = default;
};

/// How long an upstream may take for what. Times that the client takes do not count.
struct UpstreamTimeouts {
    std::uint64_t connect_ms = 5'000;
    std::uint64_t response_ms = 60'000;  ///< from the request's end to the answer's head
    std::uint64_t stall_ms = 60'000;     ///< without a byte, either way
};

/// Who moves a client's bytes.
class UpstreamTransport {
  public:
    /// There may be output, or a change of state: look at the client in the loop's turn.
    virtual void wake() = 0;
    /// No request can begin on the connection any more. Told before handlers hear of it.
    virtual void is_lost() = 0;

  protected:
    ~UpstreamTransport() = default;
};

/// What a client uses; all outlive it.
struct UpstreamClientParts {
    const runtime::Clock& clock;
    UpstreamTransport& transport;
};

/// How an upstream's half of the connection ended.
enum class InputEnd : std::uint8_t { kOrderly, kBroken };

/// One connection: bytes in, bytes out. threads: one.
class UpstreamClient {
  public:
    virtual ~UpstreamClient() = default;

    /// Whether begin() may be called.
    virtual bool can_begin() const = 0;
    /// How many exchanges there may be at a time; absent: the upstream has not said it yet.
    virtual std::optional<std::size_t> capacity() const = 0;
    /// Begins a request; a tunnel, if the head names a protocol. A request without a body is
    /// complete; else its body follows.
    /// in:      as rewrite_request() leaves it. `handler` lives until it was told the end, or the
    ///          exchange abandoned; it is not called inside this call.
    /// errors:  those of http::append_request_head; nothing was begun then.
    [[nodiscard]] virtual Result<UpstreamExchange*> begin(const http::RequestHead& head,
                                                          ResponseHandler& handler) = 0;

    /// What is to be sent next; valid until the next call.
    virtual ByteView output() = 0;
    virtual void output_taken(std::size_t count) = 0;
    /// Whether nothing is to be sent after output(), so that the transport says so: of a tunnel.
    virtual bool ends_output() const = 0;
    /// Nothing can be sent any more. Answers may still come: an upstream that refuses a body
    /// answers and closes.
    virtual void output_refused() = 0;

    /// Whether receive() may be called with more.
    virtual bool wants_input() const = 0;
    virtual void receive(ByteView input) = 0;
    virtual void input_ended(InputEnd end) = 0;

    /// Ends every exchange under way, and the connection.
    virtual void fail(UpstreamFailure failure) = 0;
    /// Nobody wants the connection any more; only while no exchange is under way.
    virtual void close() = 0;
    virtual void tick(std::uint64_t now_ms) = 0;
    /// Absent while everything waits for clients, and between requests.
    virtual std::optional<std::uint64_t> next_deadline_ms() const = 0;

    /// Whether no exchange is under way, and one may begin.
    virtual bool is_idle() const = 0;
    /// Whether no byte passes any more, either way. Answers may still be handed on.
    virtual bool is_dead() const = 0;
    /// Whether the connection can only be closed.
    virtual bool is_over() const = 0;
};

}  // namespace eos::cvm::proxy
