// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/virtual/proxy/http1_client.h"

#include <limits>
#include <utility>

#include "common/base/assert.h"
#include "common/http/serialize.h"

namespace eos::cvm::proxy {
namespace {

// What an idle connection keeps of its output buffer.
constexpr std::size_t kKeptOutputBytes = 4 * 1024;

}  // namespace

Result<UpstreamExchange*> Http1Client::begin(const http::RequestHead& head,
                                             ResponseHandler& handler) {
    EOS_ASSERT(is_idle());
    EOS_TRY(http::append_request_head(output_, head, http::Persistence::kKeepAlive));
    handler_ = &handler;
    ++request_count_;
    is_chunked_ = head.body.kind == http::BodyKind::kUnknown;
    request_complete_ = !is_chunked_ && head.body.bytes == 0;
    has_sent_ = false;
    has_received_ = false;
    has_head_ = false;
    last_moved_ms_ = asked_ms_ = clock_.monotonic_ms();
    parser_.expect(head.method,
                   head.protocol.empty() ? http::Switching::kRefused : http::Switching::kAsked);
    transport_.wake();
    return this;
}

void Http1Client::write(ByteView piece) {
    if (handler_ == nullptr || !sends_) return;
    EOS_ASSERT(!request_complete_ || is_tunnel_);
    transport_.wake();
    if (is_tunnel_) last_moved_ms_ = clock_.monotonic_ms();
    if (is_chunked_) {
        http::append_chunk(output_, piece);
    } else {
        append(output_, piece);
    }
}

void Http1Client::finish(const http::Headers& trailers) {
    transport_.wake();
    if (is_tunnel_) ends_output_ = true;
    if (handler_ == nullptr || request_complete_) return;
    request_complete_ = true;
    last_moved_ms_ = asked_ms_ = clock_.monotonic_ms();
    if (!is_chunked_ || !sends_) return;
    // What cannot be sent behind a body was refused where it came in.
    if (!http::append_last_chunk(output_, trailers)) http::append_last_chunk(output_);
}

bool Http1Client::has_room() {
    wants_room_ = queued().size() >= kRoomBytes;
    return !wants_room_;
}

void Http1Client::output_taken(std::size_t count) {
    has_sent_ = true;
    output_offset_ += count;
    last_moved_ms_ = asked_ms_ = clock_.monotonic_ms();
    if (output_offset_ == output_.size()) {
        if (output_.capacity() > kKeptOutputBytes) output_ = Bytes();
        output_.clear();
        output_offset_ = 0;
    } else if (output_offset_ >= kRoomBytes) {
        output_.erase(output_.begin(),
                      output_.begin() + static_cast<std::ptrdiff_t>(output_offset_));
        output_offset_ = 0;
    }
    if (is_flushing_ && queued().empty()) return lose();
    if (wants_room_ && queued().size() <= kRoomBytes / 2 && handler_ != nullptr) {
        wants_room_ = false;
        handler_->on_request_room();
    }
}

void Http1Client::output_refused() {
    sends_ = false;
    output_ = Bytes();
    output_offset_ = 0;
    if (is_flushing_) return lose();
    if (std::exchange(wants_room_, false) && handler_ != nullptr) handler_->on_request_room();
}

bool Http1Client::wants_input() const {
    return !is_over_ && !is_flushing_ && held_input_.empty() && held_body_.empty();
}

void Http1Client::receive(ByteView input) {
    if (is_over_) return;
    if (handler_ == nullptr) return lose();  // nothing was asked for
    // Nor was this: it would be somebody else's answer, or a second one to them.
    if (!has_sent_ && request_count_ > 1) return fail(UpstreamFailure::kClosed);
    last_moved_ms_ = clock_.monotonic_ms();
    has_received_ = true;
    parse(input);
}

void Http1Client::parse(ByteView input) {
    if (is_tunnel_) return take_tunnel(input);
    while (handler_ != nullptr && held_body_.empty()) {
        const auto step = parser_.feed(input);
        if (!step) return fail(UpstreamFailure::kMalformed);
        input = input.subspan(step->consumed);
        switch (step->event) {
            case http::Event::kNeedInput:
                if (ended_) conclude();
                return;
            case http::Event::kHead:
                take_head();
                break;
            case http::Event::kBody:
                take_body(step->body);
                break;
            case http::Event::kComplete:
                if (is_tunnel_) return take_tunnel(input);
                return end_response(input.size());
        }
    }
    if (handler_ != nullptr) held_input_.assign(input.begin(), input.end());
}

void Http1Client::take_head() {
    has_head_ = true;
    http::ReceivedResponse response = parser_.take_head();
    persists_ = response.version == http::Version::kHttp11 &&
                !response.head.headers.list_contains("connection", "close");
    is_tunnel_ = response.head.status == 101;
    parser_.set_body_limit(std::numeric_limits<std::uint64_t>::max());
    handler_->on_response(std::move(response));
}

void Http1Client::take_body(ByteView piece) {
    const ByteView rest = hand_over(piece);
    if (handler_ != nullptr) held_body_.assign(rest.begin(), rest.end());
}

/// returns: what the handler did not take.
ByteView Http1Client::hand_over(ByteView piece) {
    std::size_t taken = piece.size();
    while (handler_ != nullptr && taken > 0 && !piece.empty()) {
        taken = handler_->on_response_body(piece);
        piece = piece.subspan(taken);
    }
    return piece;
}

void Http1Client::take_tunnel(ByteView input) {
    if (!input.empty()) take_body(input);
    if (handler_ != nullptr && held_body_.empty() && ended_) conclude();
}

void Http1Client::end_response(std::size_t excess_bytes) {
    // Bytes behind an answer answer nothing: whoever sent them cannot be understood any more.
    const bool is_whole = request_complete_ && queued().empty() && sends_ && excess_bytes == 0;
    if (is_tunnel_ && sends_ && !queued().empty()) {
        // The upstream has said its last, but what the client said before still goes to it.
        is_flushing_ = ends_output_ = true;
    } else if (!is_whole || !persists_ || ended_ || is_tunnel_) {
        lose();
    }
    std::exchange(handler_, nullptr)->on_response_end(parser_.take_trailers());
}

void Http1Client::resume() {
    if (handler_ == nullptr) return;
    transport_.wake();
    last_moved_ms_ = clock_.monotonic_ms();
    held_offset_ = held_body_.size() - hand_over(ByteView(held_body_).subspan(held_offset_)).size();
    if (held_offset_ == held_body_.size()) {
        held_body_ = Bytes();
        held_offset_ = 0;
    }
    if (handler_ != nullptr && held_body_.empty()) parse(std::exchange(held_input_, {}));
}

void Http1Client::input_ended(InputEnd end) {
    if (ended_) return;
    ended_ = end;
    if (handler_ == nullptr) {
        lose();
    } else if (held_body_.empty()) {
        conclude();
    }
}

/// All that was received has been handed on, and nothing more will come.
void Http1Client::conclude() {
    if (*ended_ == InputEnd::kBroken) return fail(UpstreamFailure::kClosed);
    if (is_tunnel_) return end_response(0);
    const auto step = parser_.finish();
    if (!step || step->event != http::Event::kComplete) return fail(UpstreamFailure::kClosed);
    end_response(0);
}

void Http1Client::lose() {
    if (!std::exchange(is_over_, true)) transport_.is_lost();
}

void Http1Client::fail(UpstreamFailure failure) {
    lose();
    if (handler_ == nullptr) return;
    const bool may_go_again = failure == UpstreamFailure::kClosed && !has_received_;
    const Staleness staleness = !may_go_again        ? Staleness::kNotStale
                                : !has_sent_         ? Staleness::kNotProcessed
                                : request_count_ > 1 ? Staleness::kMaybeStale
                                                     : Staleness::kNotStale;
    std::exchange(handler_, nullptr)->on_failure(failure, staleness);
}

void Http1Client::abandon() {
    handler_ = nullptr;
    lose();
    transport_.wake();
}

std::optional<std::uint64_t> Http1Client::next_deadline_ms() const {
    if (is_flushing_) return last_moved_ms_ + timeouts_.stall_ms;
    if (handler_ == nullptr || !held_body_.empty()) return std::nullopt;
    if (has_head_ || !queued().empty()) return last_moved_ms_ + timeouts_.stall_ms;
    // Bytes of a head that is not complete buy no time.
    if (request_complete_ || !sends_) return asked_ms_ + timeouts_.response_ms;
    return std::nullopt;  // the client's turn
}

void Http1Client::tick(std::uint64_t now_ms) {
    const auto deadline = next_deadline_ms();
    if (!deadline || now_ms < *deadline) return;
    const bool begun = has_head_ || !queued().empty();
    fail(begun ? UpstreamFailure::kStalled : UpstreamFailure::kResponseTimeout);
}

}  // namespace eos::cvm::proxy
