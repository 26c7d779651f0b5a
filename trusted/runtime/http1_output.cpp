// SPDX-License-Identifier: AGPL-3.0-only
// The answering half of Http1Connection: what an Exchange says, and how it gets out.
#include <algorithm>
#include <utility>

#include "common/base/assert.h"
#include "trusted/runtime/http1_connection.h"
#include "trusted/runtime/responses.h"

namespace eos::runtime {
namespace {

// A body up to here is copied behind its head, so that both leave in one write.
constexpr std::size_t kCoalescedBodyBytes = 16 * 1024;
// A piece from here on, as large as a TLS record, goes out at once, without a buffer if it can.
constexpr std::size_t kLargePieceBytes = 16 * 1024;

std::size_t rest_of(std::size_t whole, std::size_t used) {
    return whole > used ? whole - used : 0;
}

}  // namespace

bool Http1Connection::is_open(std::uint64_t id) const {
    return phase_ != Phase::kClosed && current_ && current_->id == id &&
           current_->response != ResponseState::kFinished && !abort_requested_;
}

/// Whether the connection cannot go on behind this exchange, as far as is known when it is
/// answered.
bool Http1Connection::must_close_after(const Current& current) const {
    if (draining_ || current.persistence == http::Persistence::kClose) return true;
    if (current.request_complete || (current.handler && !current.ignores_rest)) return false;
    if (current.awaits_continue) return true;  // whether the body will come is unknown
    return current.request_body.kind == http::BodyKind::kUnknown ||
           current.request_body.bytes - current.received_bytes > limits_.discard_bytes;
}

Result<void> Http1Connection::start(std::uint64_t id, const http::ResponseHead& head,
                                    http::BodySize body) {
    if (!is_open(id)) return {};
    Current& current = *current_;
    if (current.response != ResponseState::kNone) return fail(already_answered);
    const bool unframed =
        body.kind == http::BodyKind::kUnknown && current.version == http::Version::kHttp10;
    const bool closes = must_close_after(current) || unframed;
    const auto persistence = closes ? http::Persistence::kClose : http::Persistence::kKeepAlive;
    EOS_TRY(http::append_response_head(output_, head, body,
                                       {clock_.now(), persistence, current.version}));
    current.persistence = persistence;
    current.response = ResponseState::kStarted;
    current.declared = body;
    current.status = head.status;
    sink_.wake();
    return {};
}

Result<void> Http1Connection::tunnel(std::uint64_t id, const http::ResponseHead& head) {
    if (!is_open(id)) return {};
    Current& current = *current_;
    if (current.response != ResponseState::kNone) return fail(already_answered);
    if (!current.can_tunnel) return fail(not_a_tunnel);
    EOS_TRY(http::append_switching_head(output_, head, http::kWebSocket, clock_.now()));
    current.persistence = http::Persistence::kClose;
    current.response = ResponseState::kStarted;
    current.declared = http::BodySize::unknown();
    current.status = 101;
    current.is_tunnel = true;
    current.last_piece_ms = clock_.monotonic_ms();
    sink_.wake();
    return {};
}

std::size_t Http1Connection::write(std::uint64_t id, ByteView bytes) {
    if (!is_open(id)) return bytes.size();
    Current& current = *current_;
    EOS_ASSERT(current.response == ResponseState::kStarted);
    const std::size_t queued = output_.size() - output_offset_;
    std::size_t room = rest_of(limits_.output_bytes, queued);
    if (bytes.size() >= kLargePieceBytes) {
        // No more than goes out whole, so that nothing is left for the next piece to wait behind.
        const std::size_t at_once = rest_of(sink_.writable_bytes(), queued);
        if (at_once >= kLargePieceBytes) room = std::min(room, at_once);
    }
    const ByteView taken = bytes.first(std::min(bytes.size(), room));
    if (taken.size() < bytes.size()) current.wants_writable = true;
    append_body(taken);
    if (taken.size() >= kLargePieceBytes) flush();
    sink_.wake();
    return taken.size();
}

void Http1Connection::append_body(ByteView bytes) {
    Current& current = *current_;
    current.written_bytes += bytes.size();
    if (current.is_tunnel) current.last_piece_ms = clock_.monotonic_ms();
    if (current.declared.kind != http::BodyKind::kUnknown &&
        current.written_bytes > current.declared.bytes) {
        abort_requested_ = true;
    } else if (current.method == http::Method::kHead) {
        return;
    } else if (is_chunked(current)) {
        http::append_chunk(output_, bytes);
    } else {
        append(output_, bytes.subspan(write_through(bytes)));
    }
}

/// Writes a large piece from where it is, as far as it goes, if nothing waits before it.
/// returns: how much went.
std::size_t Http1Connection::write_through(ByteView bytes) {
    if (has_output() || bytes.size() < kLargePieceBytes) return 0;
    const ByteView piece = bytes.first(std::min(bytes.size(), sink_.writable_bytes()));
    if (!piece.empty()) sink_.write(piece);
    return piece.size();
}

bool Http1Connection::is_chunked(const Current& current) {
    return current.declared.kind == http::BodyKind::kUnknown &&
           current.version == http::Version::kHttp11 && !current.is_tunnel;
}

Result<void> Http1Connection::finish(std::uint64_t id, const http::Headers& trailers) {
    if (!is_open(id)) return {};
    Current& current = *current_;
    EOS_ASSERT(current.response == ResponseState::kStarted);
    const bool head_only = current.method == http::Method::kHead;
    const bool whole = current.declared.kind == http::BodyKind::kUnknown ||
                       current.written_bytes == current.declared.bytes;
    EOS_TRY(http::check_trailers(trailers));
    if (!whole && !head_only) {
        abort(id);
        return {};
    }
    if (is_chunked(current) && !head_only) {
        EOS_TRY(http::append_last_chunk(output_, trailers));
    }
    current.response = ResponseState::kFinished;
    sink_.wake();
    return {};
}

Result<void> Http1Connection::respond(std::uint64_t id, const http::ResponseHead& head,
                                      Bytes body) {
    if (!is_open(id)) return {};
    const auto size = body.empty() ? http::BodySize::none() : http::BodySize::known(body.size());
    Current& current = *current_;
    current.ignores_rest = true;
    EOS_TRY(start(id, head, size));
    if (body.size() <= kCoalescedBodyBytes || current.method == http::Method::kHead) {
        append_body(body);
    } else {
        current.large_body = std::move(body);
    }
    current.response = ResponseState::kFinished;
    return {};
}

void Http1Connection::abort(std::uint64_t id) {
    if (!is_open(id)) return;
    abort_requested_ = true;
    sink_.wake();
}

void Http1Connection::resume_body(std::uint64_t id) {
    if (!is_open(id) || !current_->is_paused) return;
    current_->is_paused = false;
    current_->last_piece_ms = clock_.monotonic_ms();
    current_->paused_ms += current_->last_piece_ms - current_->pause_began_ms;
    sink_.wake();
}

void Http1Connection::dropped(std::uint64_t id) {
    if (!is_open(id)) return;
    if (current_->response == ResponseState::kNone) {
        answer(500, "the request was not answered");
    } else {
        abort(id);
    }
}

/// Answers the current request with an error in the usual form.
void Http1Connection::answer(int status, std::string_view text) {
    const auto result = respond(current_->id, make_head(status, kJsonType), error_body(text));
    EOS_ASSERT(result.has_value());
}

/// Ends the current exchange once its response is finished: releases the handler, and decides what
/// becomes of the rest of the request and of the connection.
void Http1Connection::end_exchange_if_over() {
    if (!current_ || abort_requested_ || current_->response != ResponseState::kFinished) return;
    if (current_->large_offset < current_->large_body.size()) return;
    const bool closes = must_close_after(*current_) || peer_ended_;
    report();
    current_->handler.reset();
    if (current_->request_complete) {
        current_.reset();
        parser_.reset();
        release_if_idle();
        waiting_since_ms_ = clock_.monotonic_ms();
        if (closes) phase_ = Phase::kClosing;
    } else if (closes) {
        current_.reset();
        linger();
    } else if (!current_->is_discarding) {
        current_->is_discarding = true;
        current_->is_paused = false;
        current_->last_piece_ms = clock_.monotonic_ms();
        parser_->set_body_limit(current_->received_bytes + limits_.discard_bytes);
    }
}

/// Tells the observer of a response whose head was sent; once.
void Http1Connection::report() {
    const int status = std::exchange(current_->status, 0);
    if (observer_ == nullptr || status == 0) return;
    observer_->answered(info_, {current_->route, current_->method, status,
                                clock_.monotonic_ms() - current_->started_ms});
}

/// Reads on for a while without looking: closing with unread input would make the peer's system
/// throw away the answer.
void Http1Connection::linger() {
    phase_ = Phase::kLingering;
    linger_deadline_ms_ = clock_.monotonic_ms() + limits_.linger_ms;
}

/// Does what became due in this turn.
void Http1Connection::settle() {
    if (phase_ == Phase::kClosed) return;
    if (abort_requested_) return abort_connection();
    do {
        flush();
    } while (offer_room());
    if (abort_requested_) return abort_connection();
    end_exchange_if_over();
    if (has_output() || current_) return;
    if (phase_ == Phase::kLingering && peer_ended_) phase_ = Phase::kClosing;
    if (phase_ != Phase::kClosing) return;
    phase_ = Phase::kClosed;
    sink_.finish();
}

/// Tells a handler that waits for room that there is some. Returns whether it was told.
bool Http1Connection::offer_room() {
    if (!current_ || !current_->wants_writable || !current_->handler) return false;
    if (output_.size() - output_offset_ > limits_.output_bytes / 2) return false;
    current_->wants_writable = false;
    if (!is_open(current_->id)) return false;
    current_->handler->on_writable();
    return true;
}

bool Http1Connection::has_output() const {
    const bool large = current_ && current_->large_offset < current_->large_body.size();
    return output_offset_ < output_.size() || large;
}

void Http1Connection::flush() {
    std::size_t taken = 0;
    for (std::size_t room = sink_.writable_bytes(); room > 0 && has_output();
         room = sink_.writable_bytes()) {
        Current* const large = output_offset_ == output_.size() ? current_.get() : nullptr;
        std::size_t& offset = large != nullptr ? large->large_offset : output_offset_;
        const ByteView source = large != nullptr ? ByteView(large->large_body) : ByteView(output_);
        const ByteView piece = source.subspan(offset, std::min(room, source.size() - offset));
        sink_.write(piece);
        offset += piece.size();
        taken += piece.size();
    }
    if (output_offset_ == output_.size()) {
        output_.clear();
        output_offset_ = 0;
        release_if_idle();
    }
    note_backlog(taken);
}

/// Between requests a connection keeps no memory for them: most are idle most of the time.
void Http1Connection::release_if_idle() {
    if (!current_ && output_.empty()) output_ = Bytes();
}

/// Keeps account of how fast a peer takes what waits for it.
void Http1Connection::note_backlog(std::size_t taken_bytes) {
    if (!has_output()) {
        backlog_since_ms_ = std::nullopt;
    } else if (!backlog_since_ms_) {
        backlog_since_ms_ = backlog_taken_ms_ = clock_.monotonic_ms();
        backlog_taken_bytes_ = 0;
    } else if (taken_bytes > 0) {
        backlog_taken_ms_ = clock_.monotonic_ms();
        backlog_taken_bytes_ += taken_bytes;
    }
}

void Http1Connection::abort_connection() {
    phase_ = Phase::kClosed;
    abandon_exchange();
    sink_.abort();
}

/// Ends the exchange without a (whole) answer from its handler.
void Http1Connection::abandon_exchange(std::optional<int> refused_with) {
    if (!current_) return;
    report();
    const std::unique_ptr<RequestHandler> handler = std::move(current_->handler);
    const bool finished = current_->response == ResponseState::kFinished;
    current_.reset();
    if (!handler || finished) return;
    refused_with ? handler->on_refused(*refused_with) : handler->on_abort();
}

}  // namespace eos::runtime
