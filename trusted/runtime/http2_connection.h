// SPDX-License-Identifier: AGPL-3.0-only
// HTTP/2 on the server side of one connection, over the same handlers as HTTP/1.1. The framing,
// HPACK and the rules of RFC 9113 about frames and pseudo-header fields are nghttp2's; what a
// request means, what it may cost and when it is over are decided here.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "common/base/bytes.h"
#include "trusted/runtime/exchange.h"
#include "trusted/runtime/interfaces.h"
#include "trusted/runtime/rates.h"
#include "trusted/runtime/server_connection.h"

struct nghttp2_session;

namespace eos::runtime {

/// Of a DATA frame. With its head it fills one TLS record.
inline constexpr std::size_t kHttp2DataBytes = 16 * 1024 - 9;

/// What one connection may cost. Times in milliseconds; those that Http1Limits has, too, mean the
/// same for one stream.
struct Http2Limits {
    std::uint32_t streams = 100;                            ///< under way at once
    std::size_t stream_window_bytes = 64 * 1024;            ///< of a request's body, not yet taken
    std::size_t connection_window_bytes = 1 << 20;          ///< of all bodies, not yet taken
    std::size_t stream_output_bytes = 2 * kHttp2DataBytes;  ///< of a response, not yet in frames
    std::size_t output_bytes = 32 * 1024;                 ///< of frames, waiting for the transport
    std::size_t decoded_head_bytes = 64 * 1024;           ///< a header section beyond: HPACK bomb
    std::uint32_t requests = 10'000;                      ///< then the connection drains
    Rate resets = {.burst = 200, .per_second = 20};       ///< streams that the peer made end badly
    Rate nuisances = {.burst = 1000, .per_second = 100};  ///< frames that carry nothing
    std::uint64_t head_timeout_ms = 10'000;  ///< between HEADERS and its last CONTINUATION
    std::uint64_t idle_timeout_ms = 60'000;  ///< without a stream
    std::uint64_t body_grace_ms = 10'000;
    std::uint64_t body_bytes_per_second = 1024;
    std::uint64_t body_stall_ms = 30'000;
    TransferLimits output = {};  ///< of a stream, and of the connection
    std::uint64_t tunnel_idle_ms = 600'000;
    std::uint64_t drain_notice_ms =
        1'000;  ///< between the two GOAWAY frames, if no PING is answered
    std::uint64_t linger_ms = 2'000;
    std::uint64_t linger_bytes = 1024 * 1024;
};

/// One connection. Requests are handled side by side; what one of them does wrong is answered, or
/// its stream is reset, and only what makes the connection itself unreadable or is abuse ends it,
/// with a GOAWAY that says which (RFC 9113 §5.4). Priorities are ignored, nothing is pushed.
///
/// Nothing calls back into a caller: what an Exchange is told takes effect at the end of the
/// receive(), writable() or tick() under way, or in the turn that PlaintextSink::wake() asks for.
/// bound:   Http2Limits::connection_window_bytes of bodies, output_bytes of frames and, for each
///          stream, a head, stream_output_bytes and what a handler answers as a whole.
/// threads: one.
class Http2Connection final : public ConnectionProtocol, private ExchangeBackend {
  public:
    using Parts = HttpParts;

    Http2Connection(ConnectionInfo info, const Parts& parts, const Http2Limits& limits);
    ~Http2Connection() override;
    Http2Connection(const Http2Connection&) = delete;
    Http2Connection& operator=(const Http2Connection&) = delete;

    std::size_t receive(ByteView plaintext) override;
    bool wants_input() const override;
    void input_ended() override;
    void peer_left() override;
    void writable() override;
    void drain() override;
    void tick(std::uint64_t now_ms) override;
    std::optional<std::uint64_t> next_deadline_ms() const override;

  private:
    struct Stream;
    struct Callbacks;
    struct SessionFree {
        void operator()(nghttp2_session* session) const;
    };
    /// Whether DATA follows a head.
    enum class Body : std::uint8_t { kNone, kFollows };
    enum class Phase : std::uint8_t {
        kOpen,
        kNoticed,    ///< told to open no more streams; those on their way are still taken
        kDraining,   ///< takes no more streams; closes behind the last
        kLingering,  ///< the last GOAWAY is written; drops input for a while so that it arrives
        kClosed,     ///< finish() or abort() was called on the sink
    };

    // ExchangeBackend, in http2_output.cpp
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

    // The connection, in http2_connection.cpp
    Stream* find(std::uint64_t id) const;
    std::uint64_t now_ms() const { return clock_.monotonic_ms(); }
    void settle();
    void deliver_resumed();
    bool offer_room();
    void end_if_over();
    void begin_final_goaway();
    void fail_connection(std::uint32_t error_code);
    void linger();
    void abandon_streams();
    void abort_connection();
    int condemn(std::uint32_t error_code);
    int count_reset();
    int count_nuisance();
    void close();
    std::optional<std::uint64_t> connection_deadline_ms() const;
    std::optional<std::uint64_t> stream_deadline_ms(const Stream& stream) const;
    bool is_receiving_body(const Stream& stream) const;
    static bool paces_tunnel(const Stream& stream);
    void expire(Stream& stream);

    // Requests, in http2_request.cpp
    Stream& open_stream(std::int32_t number);
    int take_field(Stream& stream, std::string_view name, std::string_view value);
    void begin_exchange(Stream& stream, Body body);
    Result<void> assemble_head(Stream& stream, Body body);
    Result<void> assemble_target(Stream& stream);
    void dispatch(Stream& stream);
    void take_body(Stream& stream, ByteView piece);
    void hand_over(Stream& stream, ByteView piece);
    void deliver_pending(Stream& stream);
    void end_request(Stream& stream);
    void close_stream(std::int32_t number);
    void report(Stream& stream);
    void release(Stream& stream);
    void refuse(Stream& stream, int status, std::string_view text);
    void refuse_body(Stream& stream);
    void answer(Stream& stream, int status, std::string_view text);
    void turn_away(Stream& stream, std::uint32_t error_code);
    void reset(Stream& stream, std::uint32_t error_code);

    // Output, in http2_output.cpp
    Result<void> submit_head(Stream& stream, const http::ResponseHead& head, http::BodySize body);
    Result<void> respond_on(Stream& stream, const http::ResponseHead& head, Bytes body);
    void append_body(Stream& stream, ByteView bytes);
    void submit_continue(Stream& stream);
    void submit_trailers(Stream& stream);
    int send_piece(Stream& stream, ByteView frame_head, std::size_t size);
    void response_sent(Stream& stream);
    void resume_output(Stream& stream);
    bool is_blocked_by_peer(const Stream& stream) const;
    void pump();
    bool fill();
    void flush();
    void note_blocked();

    const ConnectionInfo info_;
    PlaintextSink& sink_;
    RequestDispatcher& dispatcher_;
    const Clock& clock_;
    ExchangeObserver* const observer_;
    const Http2Limits limits_;

    std::unique_ptr<nghttp2_session, SessionFree> session_;
    Phase phase_ = Phase::kOpen;
    std::map<std::int32_t, std::unique_ptr<Stream>> streams_;
    std::vector<std::uint64_t> resumed_;  ///< exchanges whose handler takes input again
    std::size_t waiting_for_room_ = 0;    ///< streams whose handler was refused bytes
    std::uint64_t generation_ = 0;
    std::uint32_t request_count_ = 0;
    Bytes output_;
    std::size_t output_offset_ = 0;
    Backlog transport_;  ///< what the transport does not take
    Backlog window_;     ///< what the connection's flow control holds back
    TokenBucket resets_;
    TokenBucket nuisances_;
    std::optional<std::uint32_t> condemned_;  ///< an error code for GOAWAY
    std::uint64_t idle_since_ms_ = 0;
    std::uint64_t drain_notice_end_ms_ = 0;
    std::uint64_t linger_deadline_ms_ = 0;
    std::uint64_t lingered_bytes_ = 0;
    bool drain_requested_ = false;
    bool is_terminated_ = false;  ///< nghttp2 has sent a GOAWAY for an error
    bool peer_ended_ = false;
    std::shared_ptr<ExchangeBackend*> self_;  ///< weakly held by every Exchange
};

}  // namespace eos::runtime
