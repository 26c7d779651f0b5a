// SPDX-License-Identifier: AGPL-3.0-only
// HTTP/2 on the client side of one connection to an upstream, in plain text and with prior
// knowledge (RFC 9113 §3.3): many requests at a time. Framing, HPACK and the rules about frames are
// nghttp2's; what an answer means, what it may cost and when it is over are decided here.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string_view>

#include "common/base/bytes.h"
#include "trusted/runtime/rates.h"
#include "trusted/virtual/proxy/upstream_client.h"

struct nghttp2_session;

namespace eos::cvm::proxy {

/// One connection. Requests wait until the upstream's SETTINGS have come, and go out as far as
/// those allow. What one answer does wrong ends that answer; only what makes the connection
/// unreadable, or is abuse, ends it for all. A client that takes nothing stops its own answer and
/// no other: each has a window of its own, and the connection's is as large as all of those.
///
/// After GOAWAY no request begins, and those that the upstream did not look at are told so. Pushes
/// are refused. A request that ran out of time is broken off, and unless the upstream has sent
/// something since, it is asked whether it is still there.
/// bound:   for each request UpstreamExchange::kRoomBytes and one piece of its body, and of its
///          answer a head and kStreamWindowBytes; kOutputBytes of frames.
/// threads: one.
class Http2Client final : public UpstreamClient {
  public:
    /// Requests at a time, if the upstream allows as many.
    static constexpr std::uint32_t kStreams = 100;
    /// Of an answer that its client does not take.
    static constexpr std::size_t kStreamWindowBytes = 64 * 1024;
    static constexpr std::size_t kOutputBytes = 32 * 1024;
    /// Of one header section, decoded; beyond it is an HPACK bomb.
    static constexpr std::size_t kDecodedHeadBytes = 64 * 1024;
    /// Then the connection ends: numbers of streams do, too.
    static constexpr std::uint64_t kRequests = 1'000'000;
    /// Frames that carry nothing. Each frame of ours that carries something allows two more.
    static constexpr runtime::Rate kNuisances = {.burst = 10'000, .per_second = 1'000};

    Http2Client(const UpstreamClientParts& parts, const UpstreamTimeouts& timeouts);
    ~Http2Client() override;
    Http2Client(const Http2Client&) = delete;
    Http2Client& operator=(const Http2Client&) = delete;

    bool can_begin() const override;
    std::optional<std::size_t> capacity() const override;
    Result<UpstreamExchange*> begin(const http::RequestHead& head,
                                    ResponseHandler& handler) override;
    ByteView output() override;
    void output_taken(std::size_t count) override;
    bool ends_output() const override { return false; }
    void output_refused() override;
    bool wants_input() const override { return !is_dead_; }
    void receive(ByteView input) override;
    void input_ended(InputEnd end) override;
    void fail(UpstreamFailure failure) override { fail_all(failure); }
    void close() override { fail_all(UpstreamFailure::kClosed); }
    void tick(std::uint64_t now_ms) override;
    std::optional<std::uint64_t> next_deadline_ms() const override;
    bool is_idle() const override;
    bool is_dead() const override { return is_dead_; }
    bool is_over() const override { return (is_dead_ || is_leaving_) && streams_.empty(); }

  private:
    struct Stream;
    struct Callbacks;
    struct SessionFree {
        void operator()(nghttp2_session* session) const;
    };

    // The connection, in http2_client.cpp
    std::uint64_t now_ms() const { return clock_.monotonic_ms(); }
    std::uint32_t allowed_streams() const;
    void fill();
    void submit_waiting();
    void submit(Stream& stream, const http::RequestHead& head);
    void settled();
    void leave();
    void lose();
    void fail_all(UpstreamFailure failure);
    Staleness staleness_of(const Stream& stream, UpstreamFailure failure) const;
    void refuse_waiting();
    void expire(Stream& stream);
    void ask_whether_alive(std::uint64_t since_ms);
    std::optional<std::uint64_t> connection_deadline_ms() const;
    std::optional<std::uint64_t> stream_deadline_ms(const Stream& stream) const;

    // Exchanges, in http2_client_stream.cpp
    int take_field(Stream& stream, std::string_view name, std::string_view value);
    void end_fields(Stream& stream, bool ends_stream);
    void begin_response(Stream& stream, bool ends_stream);
    void take_body(Stream& stream, ByteView piece);
    void end_response(Stream& stream);
    void complete(Stream& stream);
    void give_up(Stream& stream, UpstreamFailure failure, Staleness staleness);
    void stream_closed(Stream& stream, std::uint32_t error_code);
    void resume_output(Stream& stream);
    void submit_trailers(Stream& stream);
    int send_piece(Stream& stream, ByteView frame_head, std::size_t size);
    void hand_over(Stream& stream, const Bytes& piece);
    void drop(Stream& stream);
    void consume(const Stream& stream, std::size_t bytes);
    void reset(Stream& stream, std::uint32_t error_code);
    void forget(Stream& stream);

    const runtime::Clock& clock_;
    UpstreamTransport& transport_;
    const UpstreamTimeouts timeouts_;
    const std::uint64_t made_ms_;

    std::unique_ptr<nghttp2_session, SessionFree> session_;
    std::map<std::uint64_t, std::unique_ptr<Stream>> streams_;  ///< in the order they began
    std::size_t waiting_ = 0;  ///< streams whose request was not given to nghttp2 yet
    std::uint64_t begun_ = 0;
    std::uint64_t answered_ = 0;
    Bytes output_;
    std::size_t output_offset_ = 0;
    std::uint64_t taken_bytes_ = 0;  ///< of the output, in all
    runtime::TokenBucket nuisances_;
    std::uint64_t received_ms_ = 0;                ///< when the upstream last sent anything
    std::optional<std::uint64_t> alive_until_ms_;  ///< unless a PING is answered before
    bool is_settled_ = false;                      ///< the upstream's SETTINGS have come
    bool sends_ = true;
    bool is_terminated_ = false;  ///< nghttp2 has sent a GOAWAY for an error
    bool is_leaving_ = false;     ///< no request begins any more; those under way go on
    bool is_lost_ = false;        ///< the transport knows
    bool is_dead_ = false;
};

}  // namespace eos::cvm::proxy
