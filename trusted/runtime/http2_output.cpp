// SPDX-License-Identifier: AGPL-3.0-only
// The answering half of Http2Connection: what an Exchange says, and how it gets out.
#include <utility>

#include "common/base/assert.h"
#include "common/http/serialize.h"
#include "trusted/runtime/http2_fields.h"
#include "trusted/runtime/http2_session.h"
#include "trusted/runtime/responses.h"

namespace eos::runtime {
namespace {

// An idle connection keeps at most this much of its output buffer.
constexpr std::size_t kKeptOutputBytes = 16 * 1024;
// A DATA frame of that size is worth the WINDOW_UPDATE that made room for it, or the PING that some
// answer each with. So is a smaller one that was not small for want of a window.
constexpr std::size_t kSolidFrameBytes = 256;

}  // namespace

Http2Connection::Stream* Http2Connection::find(std::uint64_t id) const {
    const auto found = streams_.find(static_cast<std::int32_t>(id & 0x7fffffff));
    if (found == streams_.end() || found->second->id != id) return nullptr;
    Stream& stream = *found->second;
    return stream.is_finished() || stream.was_reset ? nullptr : &stream;
}

bool Http2Connection::is_open(std::uint64_t id) const {
    return find(id) != nullptr;
}

Result<void> Http2Connection::start(std::uint64_t id, const http::ResponseHead& head,
                                    http::BodySize body) {
    Stream* stream = find(id);
    if (stream == nullptr) return {};
    return submit_head(*stream, head, body);
}

Result<void> Http2Connection::submit_head(Stream& stream, const http::ResponseHead& head,
                                          http::BodySize body) {
    if (stream.response != Stream::Response::kNone) return fail(already_answered);
    EOS_TRY(http::check_response_head(head, body));
    const bool has_body = body.kind == http::BodyKind::kUnknown || body.bytes > 0;
    const bool states_length =
        body.kind != http::BodyKind::kUnknown && http::status_allows_body(head.status);
    const Digits status(static_cast<std::uint64_t>(head.status));
    const Digits length(body.bytes);
    const std::string date = http::http_date(clock_.now());
    Http2FieldList fields;
    fields.add(":status", status.text());
    fields.add(head.headers);
    if (!head.headers.first("date")) fields.add("date", date);
    if (states_length) fields.add("content-length", length.text());

    stream.head_only = !has_body || stream.method == http::Method::kHead;
    nghttp2_data_provider provider{};
    provider.source.ptr = &stream;
    provider.read_callback = Callbacks::read_output;
    EOS_ASSERT(nghttp2_submit_response(session_.get(), stream.number, fields.data(), fields.count(),
                                       stream.head_only ? nullptr : &provider) == 0);
    stream.response = Stream::Response::kStarted;
    stream.declared = body;
    stream.status = head.status;
    sink_.wake();
    return {};
}

void Http2Connection::submit_continue(Stream& stream) {
    Http2FieldList fields;
    fields.add(":status", "100");
    EOS_ASSERT(nghttp2_submit_headers(session_.get(), NGHTTP2_FLAG_NONE, stream.number, nullptr,
                                      fields.data(), fields.count(), nullptr) >= 0);
}

void Http2Connection::submit_trailers(Stream& stream) {
    Http2FieldList fields;
    fields.add(stream.our_trailers);
    EOS_ASSERT(
        nghttp2_submit_trailer(session_.get(), stream.number, fields.data(), fields.count()) == 0);
}

Result<void> Http2Connection::tunnel(std::uint64_t id, const http::ResponseHead& head) {
    Stream* stream = find(id);
    if (stream == nullptr) return {};
    if (stream->response != Stream::Response::kNone) return fail(already_answered);
    if (!stream->can_tunnel) return fail(not_a_tunnel);
    http::ResponseHead accepted = head;
    accepted.status = 200;
    EOS_TRY(submit_head(*stream, accepted, http::BodySize::unknown()));
    stream->is_tunnel = true;
    stream->last_piece_ms = now_ms();
    resumed_.push_back(id);  // what came early, or the end
    return {};
}

std::size_t Http2Connection::write(std::uint64_t id, ByteView bytes) {
    Stream* stream = find(id);
    if (stream == nullptr) return bytes.size();
    EOS_ASSERT(stream->response == Stream::Response::kStarted);
    const std::size_t queued = stream->queued_bytes();
    const std::size_t limit = limits_.stream_output_bytes;
    const std::size_t room = limit > queued ? limit - queued : 0;
    const ByteView taken = bytes.first(std::min(bytes.size(), room));
    if (taken.size() < bytes.size() && !std::exchange(stream->wants_writable, true)) {
        ++waiting_for_room_;
    }
    append_body(*stream, taken);
    return taken.size();
}

void Http2Connection::append_body(Stream& stream, ByteView bytes) {
    stream.written_bytes += bytes.size();
    if (stream.is_tunnel) stream.last_piece_ms = now_ms();
    if (stream.declared.kind != http::BodyKind::kUnknown &&
        stream.written_bytes > stream.declared.bytes) {
        return reset(stream, NGHTTP2_INTERNAL_ERROR);
    }
    if (stream.head_only || bytes.empty()) return;
    if (stream.output_offset > 0 && stream.output_offset >= stream.output.size() / 2) {
        const auto gone = static_cast<std::ptrdiff_t>(stream.output_offset);
        stream.output.erase(stream.output.begin(), stream.output.begin() + gone);
        stream.output_offset = 0;
    }
    append(stream.output, bytes);
    resume_output(stream);
}

/// There is something to send, or the end.
void Http2Connection::resume_output(Stream& stream) {
    if (stream.queued_bytes() > 0) stream.backlog.begin(now_ms());
    if (std::exchange(stream.is_deferred, false)) {
        EOS_ASSERT(nghttp2_session_resume_data(session_.get(), stream.number) == 0);
    }
    sink_.wake();
}

Result<void> Http2Connection::finish(std::uint64_t id, const http::Headers& trailers) {
    Stream* stream = find(id);
    if (stream == nullptr) return {};
    EOS_ASSERT(stream->response == Stream::Response::kStarted);
    EOS_TRY(http::check_trailers(trailers));
    const bool whole = stream->declared.kind == http::BodyKind::kUnknown ||
                       stream->written_bytes == stream->declared.bytes;
    if (!whole && stream->method != http::Method::kHead) {
        reset(*stream, NGHTTP2_INTERNAL_ERROR);
        return {};
    }
    stream->response = Stream::Response::kFinished;
    if (!stream->is_tunnel) stream->our_trailers = trailers;
    resume_output(*stream);
    return {};
}

Result<void> Http2Connection::respond(std::uint64_t id, const http::ResponseHead& head,
                                      Bytes body) {
    Stream* stream = find(id);
    if (stream == nullptr) return {};
    return respond_on(*stream, head, std::move(body));
}

Result<void> Http2Connection::respond_on(Stream& stream, const http::ResponseHead& head,
                                         Bytes body) {
    const auto size = body.empty() ? http::BodySize::none() : http::BodySize::known(body.size());
    EOS_TRY(submit_head(stream, head, size));
    if (!stream.head_only) stream.output = std::move(body);
    stream.response = Stream::Response::kFinished;
    resume_output(stream);
    return {};
}

void Http2Connection::abort(std::uint64_t id) {
    if (Stream* stream = find(id)) reset(*stream, NGHTTP2_INTERNAL_ERROR);
}

void Http2Connection::resume_body(std::uint64_t id) {
    Stream* stream = find(id);
    if (stream == nullptr || !stream->is_paused) return;
    stream->is_paused = false;
    stream->last_piece_ms = now_ms();
    stream->paused_ms += stream->last_piece_ms - stream->pause_began_ms;
    resumed_.push_back(id);
    sink_.wake();
}

void Http2Connection::dropped(std::uint64_t id) {
    Stream* stream = find(id);
    if (stream == nullptr) return;
    if (stream->response == Stream::Response::kNone) {
        answer(*stream, 500, "the request was not answered");
    } else {
        reset(*stream, NGHTTP2_INTERNAL_ERROR);
    }
}

/// One DATA frame, straight from the stream's buffer behind the frames that go before it.
int Http2Connection::send_piece(Stream& stream, ByteView frame_head, std::size_t size) {
    if (output_.size() >= limits_.output_bytes) return NGHTTP2_ERR_WOULDBLOCK;
    append(output_, frame_head);
    append(output_, ByteView(stream.output).subspan(stream.output_offset, size));
    stream.output_offset += size;
    stream.backlog.taken(size, now_ms());
    window_.taken(size, now_ms());
    if (stream.queued_bytes() == 0) {
        stream.output.clear();
        stream.output_offset = 0;
        stream.backlog.end();
    }
    if (size >= kSolidFrameBytes || stream.queued_bytes() == 0) nuisances_.give();
    return 0;
}

/// END_STREAM has gone out. What is left of the request is of no use to anybody (RFC 9113 §8.1),
/// but clients that are reset in the middle of it forget the answer: they are left some time to
/// read it.
void Http2Connection::response_sent(Stream& stream) {
    if (stream.is_tunnel) return;
    report(stream);
    if (stream.request_complete) return;
    stream.linger_end_ms = now_ms() + limits_.linger_ms;
}

/// Whether the stream's own window, and nothing else, keeps its output here.
bool Http2Connection::is_blocked_by_peer(const Stream& stream) const {
    return stream.queued_bytes() > 0 &&
           nghttp2_session_get_stream_remote_window_size(session_.get(), stream.number) <= 0;
}

/// Collects frames until there are enough for one write. Returns whether there may be more.
bool Http2Connection::fill() {
    while (output_.size() < limits_.output_bytes) {
        const std::uint8_t* data = nullptr;
        const std::size_t before = output_.size();
        const ssize_t size = nghttp2_session_mem_send(session_.get(), &data);
        if (size < 0) {
            fail_connection(condemned_.value_or(NGHTTP2_INTERNAL_ERROR));
            return false;
        }
        append(output_, {reinterpret_cast<const std::byte*>(data), static_cast<std::size_t>(size)});
        if (output_.size() == before) return false;
        if (size == 0 && output_.size() < limits_.output_bytes) return false;
    }
    return true;
}

void Http2Connection::flush() {
    std::size_t taken = 0;
    while (output_offset_ < output_.size()) {
        const std::size_t room = sink_.writable_bytes();
        if (room == 0) break;
        const ByteView piece = ByteView(output_).subspan(
            output_offset_, std::min(room, output_.size() - output_offset_));
        sink_.write(piece);
        output_offset_ += piece.size();
        taken += piece.size();
    }
    transport_.taken(taken, now_ms());
    if (output_offset_ < output_.size()) return transport_.begin(now_ms());
    transport_.end();
    if (output_.capacity() > limits_.output_bytes + kKeptOutputBytes) output_ = Bytes();
    output_.clear();
    output_offset_ = 0;
}

/// Brings out what can be brought out.
void Http2Connection::pump() {
    flush();
    for (bool more = true; more && output_.empty() && phase_ != Phase::kLingering;) {
        more = fill();
        flush();
    }
    if (phase_ != Phase::kLingering) note_blocked();
}

/// Whether the connection's flow control holds back what could go out otherwise.
void Http2Connection::note_blocked() {
    const auto waits = [](const auto& entry) { return entry.second->queued_bytes() > 0; };
    const bool blocked = output_.empty() &&
                         nghttp2_session_get_remote_window_size(session_.get()) <= 0 &&
                         std::ranges::any_of(streams_, waits);
    if (blocked) {
        window_.begin(now_ms());
    } else {
        window_.end();
    }
}

}  // namespace eos::runtime
