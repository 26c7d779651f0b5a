// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/runtime/http2_connection.h"

#include <array>
#include <utility>

#include "common/base/assert.h"
#include "trusted/runtime/http2_session.h"

namespace eos::runtime {
namespace {

/// RFC 9113 §6.8, for when nghttp2 can no longer be asked to write it.
Bytes goaway_frame(std::int32_t last_stream, std::uint32_t error_code) {
    Bytes out;
    constexpr std::array<std::uint8_t, 9> kHead = {0, 0, 8, NGHTTP2_GOAWAY, 0, 0, 0, 0, 0};
    for (std::uint8_t byte : kHead) out.push_back(static_cast<std::byte>(byte));
    for (std::uint32_t number : {static_cast<std::uint32_t>(last_stream), error_code}) {
        for (int shift = 24; shift >= 0; shift -= 8) {
            out.push_back(static_cast<std::byte>(number >> shift));
        }
    }
    return out;
}

std::uint32_t error_code_of(ssize_t failure) {
    switch (failure) {
        case NGHTTP2_ERR_FLOODED:
        case NGHTTP2_ERR_TOO_MANY_CONTINUATIONS:
            return NGHTTP2_ENHANCE_YOUR_CALM;
        case NGHTTP2_ERR_BAD_CLIENT_MAGIC:
            return NGHTTP2_PROTOCOL_ERROR;
        default:
            return NGHTTP2_INTERNAL_ERROR;
    }
}

void earlier(std::optional<std::uint64_t>& next, std::optional<std::uint64_t> other) {
    if (other && (!next || *other < *next)) next = other;
}

}  // namespace

Http2Connection::Http2Connection(ConnectionInfo info, const Parts& parts, const Http2Limits& limits)
    : info_(std::move(info)),
      sink_(parts.sink),
      dispatcher_(parts.dispatcher),
      clock_(parts.clock),
      observer_(parts.observer),
      limits_(limits),
      resets_(limits.resets, clock_.monotonic_ms()),
      nuisances_(limits.nuisances, clock_.monotonic_ms()),
      idle_since_ms_(clock_.monotonic_ms()),
      self_(std::make_shared<ExchangeBackend*>(static_cast<ExchangeBackend*>(this))) {
    session_.reset(Callbacks::make_session(*this));
}

Http2Connection::~Http2Connection() {
    self_.reset();  // from here on no Exchange reaches this object
    abandon_streams();
}

bool Http2Connection::wants_input() const {
    if (phase_ == Phase::kLingering) return true;
    return phase_ != Phase::kClosed && output_.empty();
}

std::size_t Http2Connection::receive(ByteView plaintext) {
    if (phase_ == Phase::kLingering) {
        lingered_bytes_ += plaintext.size();
        if (lingered_bytes_ > limits_.linger_bytes) linger_deadline_ms_ = 0;
    } else if (phase_ != Phase::kClosed) {
        const ssize_t taken =
            nghttp2_session_mem_recv(session_.get(), as_uchars(plaintext), plaintext.size());
        if (taken < 0) fail_connection(condemned_.value_or(error_code_of(taken)));
    }
    settle();
    return plaintext.size();
}

int Http2Connection::condemn(std::uint32_t error_code) {
    condemned_ = error_code;
    return NGHTTP2_ERR_CALLBACK_FAILURE;
}

int Http2Connection::count_reset() {
    return resets_.take(now_ms()) ? 0 : condemn(NGHTTP2_ENHANCE_YOUR_CALM);
}

int Http2Connection::count_nuisance() {
    return nuisances_.take(now_ms()) ? 0 : condemn(NGHTTP2_ENHANCE_YOUR_CALM);
}

/// Nothing more can be read: says why, behind what is on its way already, and waits for the peer to
/// have heard it.
void Http2Connection::fail_connection(std::uint32_t error_code) {
    append(output_,
           goaway_frame(nghttp2_session_get_last_proc_stream_id(session_.get()), error_code));
    linger();
}

void Http2Connection::linger() {
    phase_ = Phase::kLingering;
    linger_deadline_ms_ = now_ms() + limits_.linger_ms;
    // A head that was still on its way is read no further.
    for (auto& [number, stream] : streams_) stream->is_turned_away |= stream->draft != nullptr;
    abandon_streams();
}

void Http2Connection::abandon_streams() {
    for (auto& [number, stream] : std::exchange(streams_, {})) release(*stream);
}

void Http2Connection::abort_connection() {
    phase_ = Phase::kClosed;
    abandon_streams();
    sink_.abort();
}

void Http2Connection::close() {
    phase_ = Phase::kClosed;
    sink_.finish();
}

void Http2Connection::input_ended() {
    if (std::exchange(peer_ended_, true) || phase_ == Phase::kClosed) return;
    if (phase_ == Phase::kOpen || phase_ == Phase::kNoticed) begin_final_goaway();
    if (phase_ != Phase::kLingering) {
        for (auto& [number, stream] : streams_) {
            if (stream->request_complete) continue;
            if (stream->can_tunnel) {
                end_request(*stream);
            } else {
                reset(*stream, NGHTTP2_CANCEL);
            }
        }
    }
    settle();
}

void Http2Connection::peer_left() {
    if (phase_ == Phase::kClosed) return;
    for (auto& [number, stream] : streams_) {
        if (stream->listens() && !stream->is_tunnel) stream->handler->on_peer_left();
    }
    settle();
}

void Http2Connection::writable() {
    settle();
}

/// RFC 9113 §6.8: first a GOAWAY that still lets in what is on its way, then, when the peer has
/// answered a PING or time is up, the one that names the last stream.
void Http2Connection::drain() {
    drain_requested_ = true;
    sink_.wake();
}

void Http2Connection::begin_final_goaway() {
    phase_ = Phase::kDraining;
    const std::int32_t last = nghttp2_session_get_last_proc_stream_id(session_.get());
    nghttp2_submit_goaway(session_.get(), NGHTTP2_FLAG_NONE, last, NGHTTP2_NO_ERROR, nullptr, 0);
}

/// Does what became due in this turn.
void Http2Connection::settle() {
    if (phase_ == Phase::kClosed) return;
    if (drain_requested_ && phase_ == Phase::kOpen) {
        phase_ = Phase::kNoticed;
        drain_notice_end_ms_ = now_ms() + limits_.drain_notice_ms;
        nghttp2_submit_shutdown_notice(session_.get());
        nghttp2_submit_ping(session_.get(), NGHTTP2_FLAG_NONE, nullptr);
    }
    do {
        deliver_resumed();
        pump();
    } while (offer_room() || !resumed_.empty());
    end_if_over();
}

/// Hands over what was held back for handlers that take input again. They may pause once more.
void Http2Connection::deliver_resumed() {
    for (const std::uint64_t id : std::exchange(resumed_, {})) {
        const auto found = streams_.find(static_cast<std::int32_t>(id & 0x7fffffff));
        if (found != streams_.end() && found->second->id == id) deliver_pending(*found->second);
    }
}

/// Tells handlers that wait for room that there is some. Returns whether something may have come of
/// it.
bool Http2Connection::offer_room() {
    if (waiting_for_room_ == 0) return false;
    bool told = false;
    for (auto& [number, stream] : streams_) {
        const bool has_room = stream->queued_bytes() <= limits_.stream_output_bytes / 2;
        if (!stream->wants_writable || !has_room) continue;
        stream->wants_writable = false;
        --waiting_for_room_;
        if (!stream->handler || find(stream->id) == nullptr) continue;
        stream->handler->on_writable();
        told = true;
    }
    return told;
}

void Http2Connection::end_if_over() {
    if (!output_.empty()) return;
    if (phase_ == Phase::kLingering) {
        if (peer_ended_ || now_ms() >= linger_deadline_ms_) close();
        return;
    }
    if (is_terminated_) return linger();
    const bool at_end = nghttp2_session_want_read(session_.get()) == 0 &&
                        nghttp2_session_want_write(session_.get()) == 0;
    if (streams_.empty() && (at_end || phase_ == Phase::kDraining)) close();
}

bool Http2Connection::is_receiving_body(const Stream& stream) const {
    return stream.listens() && !stream.request_complete && !stream.is_paused &&
           !stream.can_tunnel && stream.pace == BodyPace::kLimited;
}

/// Whether it is up to the connection how long the tunnel may stand still. A handler that has ended
/// its half does not look after the other any more.
bool Http2Connection::paces_tunnel(const Stream& stream) {
    return stream.is_tunnel && (stream.pace == BodyPace::kLimited || stream.is_finished());
}

/// When the stream will have been too slow; the same rules as for a connection of HTTP/1.1.
std::optional<std::uint64_t> Http2Connection::stream_deadline_ms(const Stream& stream) const {
    if (stream.was_reset) return std::nullopt;
    if (stream.draft) return stream.started_ms + limits_.head_timeout_ms;
    if (stream.linger_end_ms && !stream.request_complete) return stream.linger_end_ms;
    std::optional<std::uint64_t> next;
    if (paces_tunnel(stream)) next = stream.last_piece_ms + limits_.tunnel_idle_ms;
    if (is_receiving_body(stream)) {
        earlier(next, stream.started_ms + stream.paused_ms + limits_.body_grace_ms +
                          paid_ms(stream.received_bytes, limits_.body_bytes_per_second));
        earlier(next, stream.last_piece_ms + limits_.body_stall_ms);
    }
    if (is_blocked_by_peer(stream)) earlier(next, stream.backlog.deadline_ms(limits_.output));
    return next;
}

std::optional<std::uint64_t> Http2Connection::connection_deadline_ms() const {
    if (phase_ == Phase::kLingering && output_.empty()) return linger_deadline_ms_;
    std::optional<std::uint64_t> next = transport_.deadline_ms(limits_.output);
    earlier(next, window_.deadline_ms(limits_.output));
    if (phase_ == Phase::kNoticed) earlier(next, drain_notice_end_ms_);
    if (phase_ == Phase::kOpen && streams_.empty()) {
        earlier(next, idle_since_ms_ + limits_.idle_timeout_ms);
    }
    return next;
}

std::optional<std::uint64_t> Http2Connection::next_deadline_ms() const {
    if (phase_ == Phase::kClosed) return std::nullopt;
    std::optional<std::uint64_t> next = connection_deadline_ms();
    for (const auto& [number, stream] : streams_) earlier(next, stream_deadline_ms(*stream));
    return next;
}

void Http2Connection::tick(std::uint64_t now_ms) {
    if (phase_ == Phase::kClosed) return;
    const auto is_due = [now_ms](std::optional<std::uint64_t> deadline) {
        return deadline && now_ms >= *deadline;
    };
    if (is_due(transport_.deadline_ms(limits_.output)) ||
        is_due(window_.deadline_ms(limits_.output))) {
        return abort_connection();
    }
    if (phase_ != Phase::kLingering && is_due(connection_deadline_ms())) begin_final_goaway();
    for (auto& [number, stream] : streams_) {
        if (!is_due(stream_deadline_ms(*stream))) continue;
        if (stream->draft) {  // and nothing else is read before its end
            fail_connection(NGHTTP2_ENHANCE_YOUR_CALM);
            break;
        }
        expire(*stream);
    }
    settle();
}

void Http2Connection::expire(Stream& stream) {
    if (stream.linger_end_ms) {
        reset(stream, NGHTTP2_NO_ERROR);
    } else if (is_receiving_body(stream) && !is_blocked_by_peer(stream)) {
        refuse(stream, 408, "the request came too slowly");
    } else {
        reset(stream, NGHTTP2_CANCEL);
    }
}

}  // namespace eos::runtime
