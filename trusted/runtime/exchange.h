// SPDX-License-Identifier: AGPL-3.0-only
// One request and its response, whatever the version of HTTP: what a handler sees of a connection.
//
// Lifetimes. The connection owns the RequestHandler and destroys it when the exchange is over,
// never inside one of the handler's own calls. The Exchange is the right to answer; whoever holds
// it may answer at once, later, or from a callback that outlives the connection: then nothing
// happens. An Exchange that dies unanswered is answered 500, so no request can be forgotten.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/http/message.h"
#include "trusted/runtime/server_connection.h"

namespace eos::runtime {

inline constexpr Code already_answered{"trusted/runtime", "already_answered",
                                       "the exchange has a response already"};
inline constexpr Code not_a_tunnel{"trusted/runtime", "not_a_tunnel",
                                   "the request did not ask for a tunnel, or none is offered"};

/// What the handler of a request body wants next.
enum class BodyFlow : std::uint8_t {
    kMore,
    kPause,  ///< nothing until Exchange::resume_body(); the peer's window fills up
};

/// What takes a request's body. Told everything in order, by one thread.
///
/// A request that asks for a tunnel (http::RequestHead::protocol, where the dispatcher offers them)
/// has no body: on_body() and on_end() then speak of the tunnel alone, and stay silent until there
/// is one.
class RequestHandler {
  public:
    virtual ~RequestHandler() = default;
    /// The next piece of the body, borrowed; never empty.
    virtual BodyFlow on_body(ByteView piece) = 0;
    /// What came behind the body: never empty, never a field of http::is_forbidden_trailer().
    /// Before on_end().
    virtual void on_trailers(http::Headers trailers) { (void)trailers; }
    /// The body is complete (also when there was none); of a tunnel: the peer's half has ended.
    virtual void on_end() = 0;
    /// Exchange::write() takes bytes again, after it took fewer than it was given.
    virtual void on_writable() {}
    /// The peer's half of the transport has ended before the response was finished: most likely
    /// nobody is there any more. Who says so only by a closure alert inside TLS is, and waits. A
    /// handler may go on all the same, and is told again. Never of a tunnel: there it is on_end().
    virtual void on_peer_left() {}
    /// The exchange ended before the response was finished: the peer is gone, too slow, or broke a
    /// limit. The Exchange does nothing any more; the handler is destroyed when this returns.
    virtual void on_abort() {}
    /// The same, but the connection answers in the handler's place: the body is too large, too slow
    /// or cannot be read.
    virtual void on_refused(int status) {
        (void)status;
        on_abort();
    }
};

/// What an Exchange talks to: a connection. Calls only note what is to be done; the connection does
/// it in its next turn, so no call comes back into the caller.
class ExchangeBackend {
  public:
    virtual bool is_open(std::uint64_t id) const = 0;
    virtual Result<void> start(std::uint64_t id, const http::ResponseHead& head,
                               http::BodySize body) = 0;
    virtual std::size_t write(std::uint64_t id, ByteView bytes) = 0;
    virtual Result<void> tunnel(std::uint64_t id, const http::ResponseHead& head) = 0;
    virtual Result<void> finish(std::uint64_t id, const http::Headers& trailers) = 0;
    virtual Result<void> respond(std::uint64_t id, const http::ResponseHead& head, Bytes body) = 0;
    virtual void abort(std::uint64_t id) = 0;
    virtual void resume_body(std::uint64_t id) = 0;
    /// The Exchange died.
    virtual void dropped(std::uint64_t id) = 0;

  protected:
    ~ExchangeBackend() = default;
};

/// The right to answer one request. Moves; whoever has it answers. After the exchange has ended for
/// whatever reason every call does nothing and succeeds.
class Exchange {
  public:
    /// `backend` expires with the connection; `id` is never used again by it.
    Exchange(std::weak_ptr<ExchangeBackend*> backend, std::uint64_t id)
        : backend_(std::move(backend)), id_(id) {}
    Exchange(Exchange&& other) noexcept
        : backend_(std::move(other.backend_)), id_(std::exchange(other.id_, 0)) {}
    Exchange& operator=(Exchange&& other) noexcept;
    ~Exchange();

    /// Whether somebody still waits for the answer; for giving up long work early.
    bool is_open() const;

    /// Sends the head. The body follows with write() and finish(); a body of known size must have
    /// exactly that size, else the connection is aborted so that the peer cannot take it for whole.
    /// errors:  already_answered, and those of http::append_response_head; nothing was sent then
    ///          and another answer can be given.
    [[nodiscard]] Result<void> start(const http::ResponseHead& head, http::BodySize body);

    /// Queues bytes of the body.
    /// returns: how many were taken; if not all, RequestHandler::on_writable() follows. All, if the
    ///          exchange has ended.
    std::size_t write(ByteView bytes);

    /// Accepts the tunnel that the request asked for: says so to the peer with the head's fields
    /// (101 in HTTP/1.1, 200 in HTTP/2; head.status is not looked at). From then on
    /// RequestHandler's on_body() and write() carry its bytes unframed, with the same flow control
    /// as a body. finish() ends our half; in HTTP/1.1 that ends the connection once everything has
    /// gone out, because TLS closes both ways. errors:  already_answered, not_a_tunnel,
    /// http::reserved_header; nothing was sent then and
    ///          another answer can be given.
    [[nodiscard]] Result<void> tunnel(const http::ResponseHead& head);

    /// The body is complete.
    void finish();

    /// The same with trailer fields. They are dropped where they cannot be sent: to HTTP/1.0,
    /// behind a body of known size in HTTP/1.1, and in a tunnel. errors:  http::forbidden_trailer;
    /// the body is not complete then.
    [[nodiscard]] Result<void> finish(const http::Headers& trailers);

    /// start(), write() and finish() in one; takes a body of any size, and a small one leaves in
    /// one piece with the head.
    /// errors:  as start().
    [[nodiscard]] Result<void> respond(const http::ResponseHead& head, Bytes body);

    /// Gives up: the peer sees a broken response.
    void abort();

    /// Ends BodyFlow::kPause.
    void resume_body();

  private:
    ExchangeBackend* backend() const;

    std::weak_ptr<ExchangeBackend*> backend_;
    std::uint64_t id_ = 0;
};

/// Text known at compile time. What carries it cannot carry request data: labels of metrics and
/// routes are of this type (docs/security-model.md).
class StaticText {
  public:
    constexpr StaticText() = default;
    template <std::size_t N>
    consteval StaticText(const char (&text)[N]) : text_(text, N - 1) {}

    constexpr std::string_view view() const { return text_; }
    friend constexpr bool operator==(StaticText a, StaticText b) { return a.text_ == b.text_; }

  private:
    std::string_view text_;
};

/// Who says how slowly a request's body may come, and how long a tunnel may stand still.
enum class BodyPace : std::uint8_t {
    kLimited,    ///< the connection: a peer that sends too little is answered 408
    kByHandler,  ///< the handler, which answers or aborts: a stream of messages, or a tunnel
};

/// What became of a request's head.
struct Dispatched {
    /// Null: the body is not wanted; the Exchange has answered, or will.
    std::unique_ptr<RequestHandler> handler;
    std::uint64_t max_body_bytes = 0;  ///< beyond it: 413 and close
    StaticText route;                  ///< the route's template, for metrics; empty: no route
    BodyPace pace = BodyPace::kLimited;
};

/// Decides on the header section alone who handles a request.
class RequestDispatcher {
  public:
    virtual ~RequestDispatcher() = default;
    virtual Dispatched dispatch(http::RequestHead head, const ConnectionInfo& connection,
                                Exchange exchange) = 0;
    /// Whether a request may be answered with Exchange::tunnel().
    virtual bool offers_tunnels() const { return false; }
};

/// What is counted about a request that was answered. No request data but what is in the types.
struct ExchangeRecord {
    StaticText route;                    ///< empty: refused before a route was found
    std::optional<http::Method> method;  ///< absent: the head was never understood
    int status = 0;                      ///< 0: refused without an answer
    std::uint64_t duration_ms = 0;
};

/// Hears what became of requests. `connection` is where they came from.
class ExchangeObserver {
  public:
    virtual ~ExchangeObserver() = default;
    /// Of every response whose head was sent.
    virtual void answered(const ConnectionInfo& connection, const ExchangeRecord& record) = 0;
    /// A request that no dispatcher saw was refused without an answer: in HTTP/2 its stream was
    /// reset, or the connection ended for what was wrong with its head.
    virtual void turned_away(const ConnectionInfo& connection, const ExchangeRecord& record) {
        (void)connection;
        (void)record;
    }
};

/// What a connection of any version of HTTP uses; all outlive it. `observer` may be null.
struct HttpParts {
    PlaintextSink& sink;
    RequestDispatcher& dispatcher;
    const Clock& clock;
    ExchangeObserver* observer = nullptr;
};

inline constexpr Code misdirected_request{
    "trusted/runtime", "misdirected_request",
    "the request names another host than the one this connection was opened to"};

/// Whether a request belongs on this connection: its authority must be the name whose leaf was
/// shown. Ports are not compared: the host decides which one reaches us, so they decide nothing.
/// A client that sent no server name was shown the platform's leaf and may address the platform by
/// its name or by an IP address. An enclave without an owner has no name, so any is accepted.
/// errors:  misdirected_request: answer 421 and do not route.
/// source:  RFC 9110 §7.4.
[[nodiscard]] Result<void> check_addressed(const http::RequestHead& head,
                                           const ConnectionInfo& connection);

}  // namespace eos::runtime
