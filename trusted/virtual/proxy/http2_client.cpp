// SPDX-License-Identifier: AGPL-3.0-only
// The connection as a whole: what may go out, and when it is over.
#include "trusted/virtual/proxy/http2_client.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "common/base/assert.h"
#include "common/http/authority.h"
#include "trusted/runtime/http2_fields.h"
#include "trusted/virtual/proxy/http2_client_stream.h"

namespace eos::cvm::proxy {
namespace {

// What an idle connection keeps of its output buffer.
constexpr std::size_t kKeptOutputBytes = 4 * 1024;

void earlier(std::optional<std::uint64_t>& next, std::optional<std::uint64_t> other) {
    if (other && (!next || *other < *next)) next = other;
}

}  // namespace

Http2Client::Http2Client(const UpstreamClientParts& parts, const UpstreamTimeouts& timeouts)
    : clock_(parts.clock),
      transport_(parts.transport),
      timeouts_(timeouts),
      made_ms_(clock_.monotonic_ms()),
      session_(Callbacks::make_session(*this)),
      nuisances_(kNuisances, made_ms_) {}

Http2Client::~Http2Client() = default;

std::uint32_t Http2Client::allowed_streams() const {
    if (!is_settled_) return kStreams;
    return std::min(kStreams, nghttp2_session_get_remote_settings(
                                  session_.get(), NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS));
}

bool Http2Client::can_begin() const {
    return !is_dead_ && !is_leaving_ && !alive_until_ms_ && streams_.size() < allowed_streams();
}

std::optional<std::size_t> Http2Client::capacity() const {
    if (!is_settled_) return std::nullopt;
    return allowed_streams();
}

bool Http2Client::is_idle() const {
    return !is_dead_ && !is_leaving_ && !alive_until_ms_ && streams_.empty();
}

Result<UpstreamExchange*> Http2Client::begin(const http::RequestHead& head,
                                             ResponseHandler& handler) {
    EOS_ASSERT(can_begin());
    const std::uint64_t id = ++begun_;
    Stream& stream =
        *streams_.emplace(id, std::make_unique<Stream>(*this, id, handler)).first->second;
    stream.method = head.method;
    stream.wants_tunnel = !head.protocol.empty();
    stream.has_body =
        stream.wants_tunnel || head.body.kind == http::BodyKind::kUnknown || head.body.bytes > 0;
    stream.is_complete = !stream.has_body;
    stream.moved_ms = stream.asked_ms = now_ms();
    stream.may_be_stale = answered_ > 0;
    // What a tunnel is refused for is told later.
    if (is_settled_ && !stream.wants_tunnel) {
        submit(stream, head);
    } else {
        stream.waiting = std::make_unique<http::RequestHead>(head);
        ++waiting_;
    }
    if (begun_ == kRequests) leave();
    transport_.wake();
    return &stream;
}

/// RFC 9113 §8.3.1, RFC 8441 §4. The scheme is that of this connection; what the client's was
/// stands in the fields that say so.
void Http2Client::submit(Stream& stream, const http::RequestHead& head) {
    const std::string authority = http::to_string(head.authority);
    const std::string path = head.query ? head.path + "?" + *head.query : head.path;
    const runtime::Digits length(head.body.bytes);
    runtime::Http2FieldList fields;
    fields.add(":method",
               http::to_string(stream.wants_tunnel ? http::Method::kConnect : head.method));
    if (stream.wants_tunnel) fields.add(":protocol", head.protocol);
    fields.add(":scheme", "http");
    fields.add(":authority", authority);
    fields.add(":path", path);
    for (std::size_t i = 0; i < head.headers.count(); ++i) {
        const http::HeaderView field = head.headers[i];
        // It shows that both ends mean WebSocket, which :protocol does here.
        const bool is_of_http1 = stream.wants_tunnel && field.name == "sec-websocket-key";
        if (!is_of_http1) fields.add(field.name, field.value);
    }
    if (head.accepts_trailers) fields.add("te", "trailers");
    if (head.body.kind == http::BodyKind::kKnown) fields.add("content-length", length.text());

    nghttp2_data_provider provider{};
    provider.source.ptr = &stream;
    provider.read_callback = Callbacks::read_output;
    stream.number = nghttp2_submit_request(session_.get(), nullptr, fields.data(), fields.count(),
                                           stream.has_body ? &provider : nullptr, &stream);
    EOS_ASSERT(stream.number > 0);
    nuisances_.give();
    nuisances_.give();
}

/// Requests that wait, as far as the upstream allows now.
void Http2Client::submit_waiting() {
    if (waiting_ == 0 || !is_settled_) return;
    const bool has_tunnels = nghttp2_session_get_remote_settings(
                                 session_.get(), NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) != 0;
    std::vector<Stream*> waiting;
    for (const auto& [id, stream] : streams_) {
        if (stream->waiting) waiting.push_back(stream.get());
    }
    for (Stream* stream : waiting) {
        if (stream->wants_tunnel && !has_tunnels) {
            give_up(*stream, UpstreamFailure::kNoTunnel, Staleness::kNotStale);
        } else if (streams_.size() - waiting_ < allowed_streams()) {
            --waiting_;
            submit(*stream, *std::exchange(stream->waiting, nullptr));
        }
    }
}

void Http2Client::settled() {
    is_settled_ = true;
    transport_.wake();
}

void Http2Client::lose() {
    if (!std::exchange(is_lost_, true)) transport_.is_lost();
    transport_.wake();
}

/// No request begins any more, and those that have not are sent elsewhere.
void Http2Client::leave() {
    is_leaving_ = true;
    lose();
    refuse_waiting();
}

void Http2Client::refuse_waiting() {
    std::vector<std::uint64_t> waiting;
    for (const auto& [id, stream] : streams_) {
        if (stream->waiting) waiting.push_back(id);
    }
    for (const std::uint64_t id : waiting) {
        const auto found = streams_.find(id);  // one that was told may have left with another
        if (found == streams_.end()) continue;
        give_up(*found->second, UpstreamFailure::kRefused, Staleness::kNotProcessed);
    }
}

/// The connection is dead. Answers that were received whole are still handed on.
void Http2Client::fail_all(UpstreamFailure failure) {
    if (std::exchange(is_dead_, true)) return;
    lose();
    auto streams = std::exchange(streams_, {});
    waiting_ = 0;
    for (auto& [id, stream] : streams) {
        stream->number = 0;
        if (stream->handler != nullptr && stream->has_ended) {
            streams_.emplace(id, std::move(stream));
        }
    }
    for (auto& [id, stream] : streams) {
        ResponseHandler* handler = stream ? std::exchange(stream->handler, nullptr) : nullptr;
        if (handler != nullptr) handler->on_failure(failure, staleness_of(*stream, failure));
    }
}

Staleness Http2Client::staleness_of(const Stream& stream, UpstreamFailure failure) const {
    const bool was_heard_of = stream.has_head || stream.interim_count > 0;
    if (failure != UpstreamFailure::kClosed || was_heard_of) return Staleness::kNotStale;
    const bool was_sent = stream.sent_behind && taken_bytes_ > *stream.sent_behind;
    if (!was_sent) return Staleness::kNotProcessed;
    return stream.may_be_stale ? Staleness::kMaybeStale : Staleness::kNotStale;
}

ByteView Http2Client::output() {
    if (output_offset_ == output_.size()) fill();
    return ByteView(output_).subspan(output_offset_);
}

/// Collects frames until there are enough for one write.
void Http2Client::fill() {
    if (is_dead_ || !sends_) return;
    output_.clear();
    output_offset_ = 0;
    submit_waiting();
    while (!is_dead_ && output_.size() < kOutputBytes) {
        const std::uint8_t* data = nullptr;
        const std::size_t before = output_.size();
        const ssize_t size = nghttp2_session_mem_send(session_.get(), &data);
        if (size < 0) return fail_all(UpstreamFailure::kMalformed);
        append(output_, {reinterpret_cast<const std::byte*>(data), static_cast<std::size_t>(size)});
        if (output_.size() == before) break;
    }
    if (output_.empty() && output_.capacity() > kKeptOutputBytes) output_ = Bytes();
    if (is_terminated_) fail_all(UpstreamFailure::kMalformed);
}

void Http2Client::output_taken(std::size_t count) {
    output_offset_ += count;
    taken_bytes_ += count;
}

void Http2Client::output_refused() {
    sends_ = false;
    output_ = Bytes();
    output_offset_ = 0;
    leave();
    for (auto& [id, stream] : streams_) {
        if (!std::exchange(stream->wants_room, false) || stream->handler == nullptr) continue;
        stream->handler->on_request_room();
    }
}

void Http2Client::receive(ByteView input) {
    if (is_dead_) return;
    received_ms_ = now_ms();
    const ssize_t taken = nghttp2_session_mem_recv(session_.get(), as_uchars(input), input.size());
    if (taken < 0) fail_all(UpstreamFailure::kMalformed);
    transport_.wake();
}

void Http2Client::input_ended(InputEnd) {
    fail_all(UpstreamFailure::kClosed);
}

std::optional<std::uint64_t> Http2Client::connection_deadline_ms() const {
    if (is_dead_) return std::nullopt;
    if (!is_settled_) return made_ms_ + timeouts_.connect_ms;
    return alive_until_ms_;
}

/// The same rules as for HTTP/1.1, but that the client's silence is counted here, too: what it may
/// take for a stream of messages is this upstream's to say.
std::optional<std::uint64_t> Http2Client::stream_deadline_ms(const Stream& stream) const {
    if (stream.was_reset || !stream.held.empty()) return std::nullopt;
    const bool is_asked = stream.is_complete && stream.queued_bytes() == 0 && !stream.has_head;
    if (is_asked || stream.waiting) return stream.asked_ms + timeouts_.response_ms;
    return stream.moved_ms + timeouts_.stall_ms;
}

std::optional<std::uint64_t> Http2Client::next_deadline_ms() const {
    std::optional<std::uint64_t> next = connection_deadline_ms();
    for (const auto& [id, stream] : streams_) earlier(next, stream_deadline_ms(*stream));
    return next;
}

void Http2Client::tick(std::uint64_t now_ms) {
    const auto due = connection_deadline_ms();
    if (due && now_ms >= *due) {
        return fail_all(is_settled_ ? UpstreamFailure::kStalled : UpstreamFailure::kConnectTimeout);
    }
    std::vector<std::uint64_t> late;
    for (const auto& [id, stream] : streams_) {
        const auto deadline = stream_deadline_ms(*stream);
        if (deadline && now_ms >= *deadline) late.push_back(id);
    }
    for (const std::uint64_t id : late) {
        const auto found = streams_.find(id);
        if (found != streams_.end()) expire(*found->second);
    }
}

void Http2Client::expire(Stream& stream) {
    const bool waits = stream.waiting || (stream.is_complete && stream.queued_bytes() == 0);
    const bool begun = stream.has_head || !waits;
    ask_whether_alive(stream.moved_ms);
    give_up(stream, begun ? UpstreamFailure::kStalled : UpstreamFailure::kResponseTimeout,
            Staleness::kNotStale);
}

/// Unless the upstream sent anything since then.
void Http2Client::ask_whether_alive(std::uint64_t since_ms) {
    if (is_dead_ || alive_until_ms_ || received_ms_ > since_ms) return;
    nghttp2_submit_ping(session_.get(), NGHTTP2_FLAG_NONE, nullptr);
    alive_until_ms_ = now_ms() + timeouts_.connect_ms;
}

}  // namespace eos::cvm::proxy
