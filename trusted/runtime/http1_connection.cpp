// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/runtime/http1_connection.h"

#include <algorithm>
#include <utility>

#include "common/base/assert.h"
#include "trusted/runtime/rates.h"
#include "trusted/runtime/responses.h"

namespace eos::runtime {
namespace {

bool has_body(const http::BodySize& size) {
    return size.kind == http::BodyKind::kUnknown || size.bytes > 0;
}

}  // namespace

Http1Connection::Http1Connection(const ConnectionInfo& info, const Parts& parts,
                                 const Http1Limits& limits)
    : info_(info),
      sink_(parts.sink),
      dispatcher_(parts.dispatcher),
      clock_(parts.clock),
      observer_(parts.observer),
      limits_(limits),
      waiting_since_ms_(clock_.monotonic_ms()),
      self_(std::make_shared<ExchangeBackend*>(static_cast<ExchangeBackend*>(this))) {}

Http1Connection::~Http1Connection() {
    self_.reset();  // from here on no Exchange reaches this object
    abandon_exchange();
}

bool Http1Connection::wants_input() const {
    if (phase_ == Phase::kLingering) return true;
    if (phase_ != Phase::kOpen) return false;
    if (current_ && current_->is_tunnel) return takes_tunnel_bytes();
    if (current_) return !current_->request_complete && !current_->is_paused;
    return output_.size() - output_offset_ < limits_.output_bytes;
}

std::size_t Http1Connection::receive(ByteView plaintext) {
    std::size_t taken = 0;
    if (peer_ended_ && current_) end_tunnel_input();  // the tunnel may have come to be since
    while (phase_ == Phase::kOpen && wants_input() && !abort_requested_) {
        if (current_ && current_->is_tunnel && current_->request_complete) {
            if (taken == plaintext.size()) break;
            take_body(plaintext.subspan(std::exchange(taken, plaintext.size())));
            continue;
        }
        if (parser_ == nullptr) {
            if (taken == plaintext.size()) break;
            parser_ = std::make_unique<http::RequestParser>();
        }
        const auto step = parser_->feed(plaintext.subspan(taken));
        if (!step) {
            refuse_input(http::status_for(step.error()), step.error().message());
            break;
        }
        taken += step->consumed;
        if (step->event == http::Event::kNeedInput) break;
        // Who waits for a 101 sends nothing before it: what follows is another request.
        const bool is_followed = taken < plaintext.size();
        handle_event(*step, is_followed ? Following::kInput : Following::kNothing);
        // Not after a head or a piece: the end of the request may follow without another byte.
        if (step->event == http::Event::kComplete) end_exchange_if_over();
    }
    if (phase_ == Phase::kLingering) {
        lingered_bytes_ += plaintext.size() - taken;
        taken = plaintext.size();
        if (lingered_bytes_ > limits_.linger_bytes) phase_ = Phase::kClosing;
    }
    if (!current_ && !in_head_ && parser_ != nullptr && parser_->in_message()) {
        in_head_ = true;
        waiting_since_ms_ = clock_.monotonic_ms();
    }
    settle();
    return taken;
}

void Http1Connection::handle_event(const http::Step& step, Following following) {
    if (step.event == http::Event::kHead) {
        begin_exchange(following);
    } else if (step.event == http::Event::kBody) {
        take_body(step.body);
    } else {
        end_request();
    }
}

void Http1Connection::end_request() {
    current_->request_complete = true;
    http::Headers trailers = parser_->take_trailers();
    const auto listens = [this] {
        return current_->handler && current_->response != ResponseState::kFinished;
    };
    if (current_->can_tunnel || !listens()) return;
    if (trailers.count() > 0) current_->handler->on_trailers(std::move(trailers));
    if (listens()) current_->handler->on_end();
}

/// Whether bytes of a tunnel would be taken now. Those that came early wait where they are.
bool Http1Connection::takes_tunnel_bytes() const {
    return !current_->is_paused && !current_->tunnel_ended &&
           current_->response == ResponseState::kStarted;
}

/// The peer's half of the tunnel is over: now, or if there is none yet, as soon as there is.
void Http1Connection::end_tunnel_input() {
    if (!current_->is_tunnel || current_->tunnel_ended || !is_open(current_->id)) return;
    current_->tunnel_ended = true;
    if (current_->handler) current_->handler->on_end();
}

void Http1Connection::begin_exchange(Following following) {
    http::RequestHead head = parser_->take_head();
    in_head_ = false;
    current_ = std::make_unique<Current>();
    Current& current = *current_;
    current.id = ++last_id_;
    current.method = head.method;
    current.version = head.version;
    current.persistence = http::requested_persistence(head);
    current.request_body = head.body;
    current.started_ms = clock_.monotonic_ms();
    current.last_piece_ms = current.started_ms;
    if (++request_count_ >= limits_.requests) current.persistence = http::Persistence::kClose;
    if (following == Following::kInput || !dispatcher_.offers_tunnels()) head.protocol.clear();
    current.can_tunnel = !head.protocol.empty();
    // An unwanted body is read up to this bound, so that the connection can go on behind it.
    parser_->set_body_limit(limits_.discard_bytes);

    const auto expect = head.headers.first("expect");
    const bool expects_continue = expect && http::equal_ignoring_case(*expect, "100-continue");
    current.awaits_continue =
        expects_continue && head.version == http::Version::kHttp11 && has_body(head.body);
    if (auto addressed = check_addressed(head, info_); !addressed) {
        return answer(421, addressed.error().message());
    }
    if (!sink_.is_current()) {
        current.persistence = http::Persistence::kClose;
        return answer(421, "what this connection was shown has changed: connect again");
    }
    if (expect && !expects_continue) return answer(417, "only 100-continue can be expected");
    dispatch(std::move(head));
}

void Http1Connection::dispatch(http::RequestHead head) {
    Dispatched result = dispatcher_.dispatch(std::move(head), info_, Exchange(self_, current_->id));
    Current& current = *current_;
    current.route = result.route;
    if (!result.handler || current.response == ResponseState::kFinished) return;
    if (current.request_body.bytes > result.max_body_bytes) {
        current.id = ++last_id_;  // the handler's Exchange is over
        result.handler->on_refused(413);
        result.handler.reset();
        return answer(413, "the limit here is " + std::to_string(result.max_body_bytes) + " bytes");
    }
    current.handler = std::move(result.handler);
    current.pace = result.pace;
    parser_->set_body_limit(result.max_body_bytes);
    if (current.awaits_continue && current.response == ResponseState::kNone) {
        current.awaits_continue = false;
        append(output_, as_bytes(http::kContinueResponse));
    }
}

void Http1Connection::take_body(ByteView piece) {
    Current& current = *current_;
    current.received_bytes += piece.size();
    current.last_piece_ms = clock_.monotonic_ms();
    current.awaits_continue = false;
    if (!current.handler || current.response == ResponseState::kFinished) return;
    if (current.handler->on_body(piece) == BodyFlow::kPause) {
        current.is_paused = true;
        current.pause_began_ms = current.last_piece_ms;
    }
}

/// The request cannot be read to its end, so nor can what follows it.
void Http1Connection::refuse_input(int status, std::string_view text) {
    if (current_ && current_->response == ResponseState::kStarted) return abort_connection();
    const bool answered = current_ && current_->response == ResponseState::kFinished;
    ExchangeRecord record;
    record.status = status;
    if (current_) {
        record.route = current_->route;
        record.method = current_->method;
        record.duration_ms = clock_.monotonic_ms() - current_->started_ms;
    }
    if (answered) {
        // The answer is given, but part of it may still wait for the peer to take it.
        append(output_, ByteView(current_->large_body).subspan(current_->large_offset));
    }
    abandon_exchange(status);
    linger();
    if (answered) return;
    const Bytes body = error_body(text);
    const auto written = http::append_response_head(
        output_, make_head(status, kJsonType), http::BodySize::known(body.size()),
        {clock_.now(), http::Persistence::kClose, http::Version::kHttp11});
    EOS_ASSERT(written.has_value());
    if (record.method != http::Method::kHead) append(output_, body);
    if (observer_ != nullptr) observer_->answered(info_, record);
}

void Http1Connection::input_ended() {
    if (peer_ended_) return;
    peer_ended_ = true;
    if (phase_ == Phase::kClosed) return;
    if (current_ && !current_->request_complete) return abort_connection();
    if (current_) {
        end_tunnel_input();
        current_->persistence = http::Persistence::kClose;
    } else {
        phase_ = Phase::kClosing;
    }
    settle();
}

void Http1Connection::peer_left() {
    if (phase_ == Phase::kClosed || !current_ || !current_->handler) return;
    if (current_->is_tunnel || !is_open(current_->id)) return;
    current_->handler->on_peer_left();
    settle();
}

void Http1Connection::writable() {
    settle();
    // An Exchange may have spoken: the parser may hold an event of input that was taken before.
    receive({});
}

void Http1Connection::drain() {
    draining_ = true;
    // A client that has just connected sends its first request, and takes no answer for a fault:
    // that one is answered still, 421 where the leaf has changed.
    const bool awaits_request = request_count_ == 0 || in_head_;
    if (!current_ && phase_ == Phase::kOpen && !awaits_request) phase_ = Phase::kClosing;
    if (!current_ && !in_head_) waiting_since_ms_ = clock_.monotonic_ms();
    settle();
}

bool Http1Connection::is_receiving_body() const {
    return phase_ == Phase::kOpen && current_ && !current_->request_complete &&
           !current_->is_tunnel && !current_->is_paused && !current_->awaits_continue &&
           (current_->pace == BodyPace::kLimited || current_->is_discarding);
}

/// Whether it is up to the connection how long the tunnel may stand still.
bool Http1Connection::paces_tunnel() const {
    return current_ && current_->is_tunnel && current_->pace == BodyPace::kLimited;
}

/// When the body stalls, or what was received of it no longer pays for the time it took.
std::uint64_t Http1Connection::body_deadline_ms() const {
    const std::uint64_t by_rate = current_->started_ms + current_->paused_ms +
                                  limits_.body_grace_ms +
                                  paid_ms(current_->received_bytes, limits_.body_bytes_per_second);
    return std::min(by_rate, current_->last_piece_ms + limits_.body_stall_ms);
}

/// The same for a peer who does not take what it asked for.
std::optional<std::uint64_t> Http1Connection::output_deadline_ms() const {
    if (!backlog_since_ms_) return std::nullopt;
    const std::uint64_t by_rate = *backlog_since_ms_ + limits_.write_grace_ms +
                                  paid_ms(backlog_taken_bytes_, limits_.write_bytes_per_second);
    return std::min(by_rate, backlog_taken_ms_ + limits_.write_stall_ms);
}

std::optional<std::uint64_t> Http1Connection::waiting_deadline_ms() const {
    if (phase_ == Phase::kLingering) return linger_deadline_ms_;
    if (phase_ != Phase::kOpen) return std::nullopt;
    if (is_receiving_body()) return body_deadline_ms();
    if (paces_tunnel()) return current_->last_piece_ms + limits_.tunnel_idle_ms;
    if (current_) return std::nullopt;
    if (in_head_) return waiting_since_ms_ + limits_.head_timeout_ms;
    return waiting_since_ms_ + (draining_ ? limits_.drain_notice_ms : limits_.idle_timeout_ms);
}

std::optional<std::uint64_t> Http1Connection::next_deadline_ms() const {
    const auto waiting = waiting_deadline_ms();
    const auto output = output_deadline_ms();
    if (!waiting || !output) return waiting ? waiting : output;
    return std::min(*waiting, *output);
}

void Http1Connection::tick(std::uint64_t now_ms) {
    if (phase_ == Phase::kClosed) return;
    const auto output = output_deadline_ms();
    if (output && now_ms >= *output) return abort_connection();
    const auto deadline = waiting_deadline_ms();
    if (deadline && now_ms >= *deadline) {
        if (paces_tunnel()) return abort_connection();
        if (is_receiving_body() || (phase_ == Phase::kOpen && in_head_)) {
            refuse_input(408, "the request came too slowly");
        } else {
            phase_ = Phase::kClosing;
        }
    }
    settle();
}

}  // namespace eos::runtime
