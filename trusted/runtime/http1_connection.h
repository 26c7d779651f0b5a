// SPDX-License-Identifier: AGPL-3.0-only
// HTTP/1.1 on the server side of one connection: plaintext in, plaintext out, one request at a
// time.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "common/base/bytes.h"
#include "common/http/request_parser.h"
#include "common/http/serialize.h"
#include "trusted/runtime/exchange.h"
#include "trusted/runtime/interfaces.h"
#include "trusted/runtime/server_connection.h"

namespace eos::runtime {

/// What one connection may cost. Times in milliseconds.
struct Http1Limits {
    std::uint64_t head_timeout_ms = 10'000;      ///< from a request's first byte to its last header
    std::uint64_t idle_timeout_ms = 60'000;      ///< between requests
    std::uint64_t drain_notice_ms = 2'000;       ///< for a first request that drain() may have met
    std::uint64_t body_grace_ms = 10'000;        ///< before the rate below counts
    std::uint64_t body_bytes_per_second = 1024;  ///< a slower request body is answered 408
    std::uint64_t body_stall_ms = 30'000;        ///< without a byte of it: 408
    std::uint64_t write_grace_ms = 30'000;       ///< before the rate below counts
    std::uint64_t write_bytes_per_second = 1024;  ///< a peer that takes less is cut off
    std::uint64_t write_stall_ms = 30'000;        ///< as is one that takes nothing for so long
    std::uint64_t linger_ms = 2'000;  ///< input dropped after a refusal, so that it arrives
    std::uint64_t linger_bytes = 1024 * 1024;
    std::uint64_t discard_bytes = 64 * 1024;  ///< an unwanted body up to here keeps the connection
    std::uint32_t requests = 10'000;          ///< then the connection closes
    std::size_t output_bytes = 64 * 1024;     ///< buffered for a slow peer
    std::uint64_t tunnel_idle_ms = 600'000;   ///< of a tunnel, if its handler does not say
};

/// One connection. Pipelined requests are answered one after the other: while one is being handled
/// nothing behind it is looked at. A request that must not be understood in two ways is answered
/// with its status, and the connection closes, lingering so that the answer is not lost.
///
/// Nothing calls back into a caller: what an Exchange is told takes effect at the end of the
/// receive(), writable() or tick() under way, or in the turn that PlaintextSink::wake() asks for.
/// Only large pieces of a body are passed on at once.
/// bound:   one head (http/parser.h), Http1Limits::output_bytes, and what a handler answers.
/// threads: one.
class Http1Connection final : public ConnectionProtocol, private ExchangeBackend {
  public:
    using Parts = HttpParts;

    /// `info` outlives this.
    Http1Connection(const ConnectionInfo& info, const Parts& parts, const Http1Limits& limits);
    ~Http1Connection() override;
    Http1Connection(const Http1Connection&) = delete;
    Http1Connection& operator=(const Http1Connection&) = delete;

    std::size_t receive(ByteView plaintext) override;
    bool wants_input() const override;
    void input_ended() override;
    void peer_left() override;
    void writable() override;
    void drain() override;
    void tick(std::uint64_t now_ms) override;
    std::optional<std::uint64_t> next_deadline_ms() const override;

  private:
    enum class Phase : std::uint8_t {
        kOpen,       ///< reads requests
        kClosing,    ///< reads no more; closes when everything is written
        kLingering,  ///< as kClosing, but drops input for a while first
        kClosed,     ///< finish() or abort() was called on the sink
    };
    /// Whether the peer has already sent more than what is being looked at.
    enum class Following : std::uint8_t { kNothing, kInput };
    enum class ResponseState : std::uint8_t { kNone, kStarted, kFinished };

    /// The request being handled and its response.
    struct Current {
        std::uint64_t id = 0;
        http::Method method = http::Method::kGet;
        http::Version version = http::Version::kHttp11;
        http::Persistence persistence = http::Persistence::kKeepAlive;
        http::BodySize request_body;
        std::unique_ptr<RequestHandler> handler;
        StaticText route;
        BodyPace pace = BodyPace::kLimited;
        std::uint64_t started_ms = 0;
        std::uint64_t last_piece_ms = 0;  ///< when the body last went on
        std::uint64_t received_bytes = 0;
        std::uint64_t paused_ms = 0;  ///< in which the handler, not the peer, was slow
        std::uint64_t pause_began_ms = 0;
        bool is_paused = false;
        bool awaits_continue = false;  ///< Expect: 100-continue, not yet answered
        bool request_complete = false;
        bool can_tunnel = false;     ///< asked for, and offered
        bool is_tunnel = false;      ///< what follows on the connection is not HTTP
        bool tunnel_ended = false;   ///< the peer's half of it
        bool ignores_rest = false;   ///< answered as a whole before the request was
        bool is_discarding = false;  ///< answered; the rest of the body is read and dropped
        ResponseState response = ResponseState::kNone;
        int status = 0;  ///< of the response, until it was reported
        http::BodySize declared;
        std::uint64_t written_bytes = 0;
        bool wants_writable = false;
        Bytes large_body;  ///< of respond(): written from here, not through output_
        std::size_t large_offset = 0;
    };

    // ExchangeBackend
    bool is_open(std::uint64_t id) const override;
    Result<void> start(std::uint64_t id, const http::ResponseHead& head,
                       http::BodySize body) override;
    std::size_t write(std::uint64_t id, ByteView bytes) override;
    Result<void> tunnel(std::uint64_t id, const http::ResponseHead& head) override;
    Result<void> finish(std::uint64_t id, const http::Headers& trailers) override;
    Result<void> respond(std::uint64_t id, const http::ResponseHead& head, Bytes body) override;
    void abort(std::uint64_t id) override;
    void resume_body(std::uint64_t id) override;
    void dropped(std::uint64_t id) override;

    // Input, in http1_connection.cpp
    void handle_event(const http::Step& step, Following following);
    void begin_exchange(Following following);
    void dispatch(http::RequestHead head);
    void take_body(ByteView piece);
    void end_request();
    bool takes_tunnel_bytes() const;
    void end_tunnel_input();
    void refuse_input(int status, std::string_view text);
    bool is_receiving_body() const;
    std::uint64_t body_deadline_ms() const;
    bool paces_tunnel() const;
    std::optional<std::uint64_t> waiting_deadline_ms() const;
    std::optional<std::uint64_t> output_deadline_ms() const;

    // Output, in http1_output.cpp
    static bool is_chunked(const Current& current);
    bool must_close_after(const Current& current) const;
    void answer(int status, std::string_view text);
    void append_body(ByteView bytes);
    std::size_t write_through(ByteView bytes);
    void end_exchange_if_over();
    void report();
    void linger();
    void settle();
    void flush();
    void release_if_idle();
    void note_backlog(std::size_t taken_bytes);
    bool offer_room();
    bool has_output() const;
    void abort_connection();
    void abandon_exchange(std::optional<int> refused_with = std::nullopt);

    const ConnectionInfo& info_;
    PlaintextSink& sink_;
    RequestDispatcher& dispatcher_;
    const Clock& clock_;
    ExchangeObserver* const observer_;
    const Http1Limits limits_;

    /// Between requests there is none: most connections are idle most of the time.
    std::unique_ptr<http::RequestParser> parser_;
    Phase phase_ = Phase::kOpen;
    std::unique_ptr<Current> current_;
    std::uint64_t last_id_ = 0;
    std::uint32_t request_count_ = 0;
    Bytes output_;
    std::size_t output_offset_ = 0;
    std::uint64_t waiting_since_ms_ = 0;             ///< idle, or inside a head
    std::optional<std::uint64_t> backlog_since_ms_;  ///< since when output waits
    std::uint64_t backlog_taken_ms_ = 0;             ///< when the peer last took some of it
    std::uint64_t backlog_taken_bytes_ = 0;
    std::uint64_t linger_deadline_ms_ = 0;
    std::uint64_t lingered_bytes_ = 0;
    bool in_head_ = false;
    bool draining_ = false;
    bool abort_requested_ = false;
    bool peer_ended_ = false;
    std::shared_ptr<ExchangeBackend*> self_;  ///< weakly held by every Exchange
};

}  // namespace eos::runtime
