// SPDX-License-Identifier: AGPL-3.0-only
// Exchanges of an HTTP/2 connection to an upstream: from DATA to a handler, and back.
#include "trusted/virtual/proxy/http2_client_stream.h"

#include <utility>

#include "common/base/assert.h"
#include "common/http/parser.h"
#include "trusted/runtime/http2_fields.h"

namespace eos::cvm::proxy {
namespace {

bool is_success(int status) {
    return status >= 200 && status <= 299;
}

}  // namespace

void Http2Client::Stream::write(ByteView piece) {
    const bool is_wanted = handler != nullptr && !client.is_dead_ && client.sends_ && !is_closed();
    if (!is_wanted || piece.empty()) return;
    EOS_ASSERT(!is_complete);
    moved_ms = client.now_ms();
    if (output_offset > 0 && output_offset >= output.size() / 2) {
        output.erase(output.begin(), output.begin() + static_cast<std::ptrdiff_t>(output_offset));
        output_offset = 0;
    }
    append(output, piece);
    client.resume_output(*this);
}

void Http2Client::Stream::finish(const http::Headers& last) {
    if (handler == nullptr || client.is_dead_ || is_complete) return;
    is_complete = true;
    moved_ms = asked_ms = client.now_ms();
    if (!wants_tunnel) our_trailers = last;
    client.resume_output(*this);
}

bool Http2Client::Stream::has_room() {
    wants_room = queued_bytes() >= kRoomBytes && client.sends_;
    return !wants_room;
}

void Http2Client::Stream::resume() {
    if (handler == nullptr || held.empty()) return;
    moved_ms = client.now_ms();
    client.transport_.wake();  // this may be the last that anybody waited for
    client.hand_over(*this, std::exchange(held, {}));
}

void Http2Client::Stream::abandon() {
    if (std::exchange(handler, nullptr) == nullptr) return;
    client.transport_.wake();
    client.drop(*this);
}

/// Nobody wants the rest, in either direction.
void Http2Client::drop(Stream& stream) {
    consume(stream, std::exchange(stream.held, {}).size());
    stream.output = Bytes();
    stream.output_offset = 0;
    if (stream.number == 0) {
        forget(stream);
    } else {
        reset(stream, NGHTTP2_CANCEL);
    }
}

/// Bytes that the handler did not take before.
void Http2Client::hand_over(Stream& stream, const Bytes& piece) {
    const std::uint64_t id = stream.id;
    const std::size_t taken = stream.handler->on_response_body(piece);
    if (!streams_.contains(id)) return;  // the handler has left
    if (stream.handler == nullptr) return consume(stream, piece.size());
    stream.held.assign(piece.begin() + static_cast<std::ptrdiff_t>(taken), piece.end());
    consume(stream, taken);
    if (stream.held.empty() && stream.has_ended) complete(stream);
}

/// Gives the upstream's windows back.
void Http2Client::consume(const Stream& stream, std::size_t bytes) {
    if (bytes == 0 || is_dead_) return;
    if (stream.number == 0) {
        nghttp2_session_consume_connection(session_.get(), bytes);
    } else {
        nghttp2_session_consume(session_.get(), stream.number, bytes);
    }
    transport_.wake();
}

/// There is something to send, or the end.
void Http2Client::resume_output(Stream& stream) {
    const bool can_resume = std::exchange(stream.is_deferred, false) && !stream.is_closed();
    if (can_resume) nghttp2_session_resume_data(session_.get(), stream.number);
    transport_.wake();
}

void Http2Client::submit_trailers(Stream& stream) {
    runtime::Http2FieldList fields;
    fields.add(stream.our_trailers);
    EOS_ASSERT(
        nghttp2_submit_trailer(session_.get(), stream.number, fields.data(), fields.count()) == 0);
}

/// One DATA frame, straight from the stream's buffer behind the frames that go before it.
int Http2Client::send_piece(Stream& stream, ByteView frame_head, std::size_t size) {
    if (output_.size() >= kOutputBytes) return NGHTTP2_ERR_WOULDBLOCK;
    append(output_, frame_head);
    append(output_, ByteView(stream.output).subspan(stream.output_offset, size));
    stream.output_offset += size;
    stream.moved_ms = stream.asked_ms = now_ms();
    if (stream.queued_bytes() == 0) {
        stream.output.clear();
        stream.output_offset = 0;
    }
    nuisances_.give();
    nuisances_.give();
    const bool has_room = stream.queued_bytes() <= UpstreamExchange::kRoomBytes / 2;
    if (has_room && stream.handler != nullptr && std::exchange(stream.wants_room, false)) {
        stream.handler->on_request_room();
    }
    return 0;
}

/// One field of a head or of trailers. A fault is remembered: the block must be decoded to its end
/// anyway.
int Http2Client::take_field(Stream& stream, std::string_view name, std::string_view value) {
    Stream::Section& section = stream.section;
    section.decoded_bytes += name.size() + value.size() + runtime::kHttp2FieldOverheadBytes;
    if (section.decoded_bytes > kDecodedHeadBytes) return NGHTTP2_ERR_CALLBACK_FAILURE;
    if (section.is_bad || stream.handler == nullptr) return 0;
    if (name == ":status") {
        // Three digits, by nghttp2, to which what is below 100 is an answer.
        section.status = static_cast<int>(runtime::parse_http2_length(value).value_or(0));
        section.is_bad = section.status < 100;
    } else if (!stream.has_head) {
        section.is_bad = !section.fields.add(name, value);
    } else {
        section.trailer_bytes += name.size() + value.size();
        section.is_bad =
            section.trailer_bytes > http::kMaxTrailerBytes || !section.fields.add(name, value);
    }
    return 0;
}

/// A header section is complete: of an interim answer, of the answer, or behind its body.
void Http2Client::end_fields(Stream& stream, bool ends_stream) {
    if (stream.handler == nullptr) return;
    Stream::Section& section = stream.section;
    const bool is_interim = !stream.has_head && section.status < 200;
    if (is_interim && ++stream.interim_count > http::kMaxInterimResponses) section.is_bad = true;
    if (section.is_bad) {
        return give_up(stream, UpstreamFailure::kMalformed, Staleness::kNotStale);
    }
    if (is_interim) return;
    stream.moved_ms = now_ms();
    if (stream.has_head) {
        stream.trailers = std::move(section.fields);
    } else {
        begin_response(stream, ends_stream);
    }
    if (ends_stream) end_response(stream);
}

void Http2Client::begin_response(Stream& stream, bool ends_stream) {
    stream.has_head = true;
    http::ReceivedResponse response;
    response.version = http::Version::kHttp2;
    response.head = {stream.section.status, std::move(stream.section.fields)};
    const auto length = response.head.headers.first("content-length");
    const auto bytes = length ? runtime::parse_http2_length(*length) : std::nullopt;
    const bool has_body = !ends_stream && stream.method != http::Method::kHead;
    response.described = bytes ? http::BodySize::known(*bytes) : http::BodySize::unknown();
    response.body = has_body ? response.described : http::BodySize::none();
    if (stream.wants_tunnel && is_success(response.head.status)) {
        stream.is_tunnel = true;
        response.head.status = 101;
    } else if (has_body) {
        // nghttp2 does not look at the length where a tunnel was asked for and refused.
        stream.missing_bytes = bytes;
    }
    stream.handler->on_response(std::move(response));
}

void Http2Client::take_body(Stream& stream, ByteView piece) {
    if (stream.handler == nullptr) return consume(stream, piece.size());
    stream.moved_ms = now_ms();
    if (stream.missing_bytes) {
        if (piece.size() > *stream.missing_bytes) {
            consume(stream, piece.size());
            return give_up(stream, UpstreamFailure::kMalformed, Staleness::kNotStale);
        }
        *stream.missing_bytes -= piece.size();
    }
    std::size_t taken = 0;
    if (stream.held.empty()) taken = stream.handler->on_response_body(piece);
    if (stream.handler == nullptr) taken = piece.size();
    append(stream.held, piece.subspan(taken));
    consume(stream, taken);
}

void Http2Client::end_response(Stream& stream) {
    if (stream.handler == nullptr) return;
    if (stream.missing_bytes.value_or(0) != 0) {
        return give_up(stream, UpstreamFailure::kMalformed, Staleness::kNotStale);
    }
    stream.has_ended = true;
    if (stream.held.empty()) complete(stream);
}

/// All of the answer was handed on. What is left of the request is of no use to anybody, but what
/// was said in a tunnel still goes out.
void Http2Client::complete(Stream& stream) {
    ResponseHandler* handler = std::exchange(stream.handler, nullptr);
    http::Headers trailers = std::move(stream.trailers);
    ++answered_;
    if (stream.is_closed()) {
        forget(stream);
    } else if (stream.is_tunnel && sends_ && !stream.is_complete) {
        stream.is_complete = true;
        resume_output(stream);
    } else if (!stream.is_complete || stream.queued_bytes() > 0) {
        reset(stream, NGHTTP2_NO_ERROR);
    }
    handler->on_response_end(std::move(trailers));
}

void Http2Client::give_up(Stream& stream, UpstreamFailure failure, Staleness staleness) {
    ResponseHandler* handler = std::exchange(stream.handler, nullptr);
    drop(stream);
    if (handler != nullptr) handler->on_failure(failure, staleness);
}

/// nghttp2 has done with the stream, for whatever reason.
void Http2Client::stream_closed(Stream& stream, std::uint32_t error_code) {
    stream.number = 0;
    transport_.wake();
    if (stream.handler == nullptr) return forget(stream);
    if (stream.has_ended) return;  // the rest waits for its client
    if (error_code == NGHTTP2_REFUSED_STREAM) {
        // RFC 9113 §8.7: by RST_STREAM, or by a GOAWAY that names an earlier one.
        give_up(stream, UpstreamFailure::kRefused,
                stream.has_head ? Staleness::kNotStale : Staleness::kNotProcessed);
    } else if (stream.broken_off) {
        give_up(stream, UpstreamFailure::kReset, Staleness::kNotStale);
    } else {
        give_up(stream, UpstreamFailure::kMalformed, Staleness::kNotStale);
    }
}

/// Ends the stream without a (whole) answer. What that frees is freed when nghttp2 has sent it.
void Http2Client::reset(Stream& stream, std::uint32_t error_code) {
    if (is_dead_ || std::exchange(stream.was_reset, true)) return;
    nghttp2_submit_rst_stream(session_.get(), NGHTTP2_FLAG_NONE, stream.number, error_code);
    transport_.wake();
}

void Http2Client::forget(Stream& stream) {
    const bool waited = stream.waiting != nullptr;
    if (streams_.erase(stream.id) > 0 && waited) --waiting_;
}

}  // namespace eos::cvm::proxy
