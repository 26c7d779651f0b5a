// SPDX-License-Identifier: AGPL-3.0-only
// Requests of an HTTP/2 connection: from fields to a head, from DATA to a handler.
#include <utility>

#include "common/base/assert.h"
#include "common/http/authority.h"
#include "common/http/parser.h"
#include "common/http/uri.h"
#include "trusted/runtime/http2_fields.h"
#include "trusted/runtime/http2_session.h"
#include "trusted/runtime/responses.h"

namespace eos::runtime {
namespace {

/// Whether two readers could take the request for one to different hosts: nothing is answered then.
bool is_about_authority(const Error& error) {
    const Code& code = error.code();
    return code == http::bad_authority || code == http::missing_authority ||
           code == http::repeated_authority || code == http::conflicting_authority;
}

}  // namespace

Http2Connection::Stream& Http2Connection::open_stream(std::int32_t number) {
    auto made = std::make_unique<Stream>(number);
    Stream& stream = *made;
    stream.started_ms = stream.last_piece_ms = now_ms();
    streams_[number] = std::move(made);
    if (++request_count_ >= limits_.requests) drain_requested_ = true;
    return stream;
}

/// One field of a head or of trailers. A fault is remembered: the block must be decoded to its end
/// anyway, and the answer is given there.
int Http2Connection::take_field(Stream& stream, std::string_view name, std::string_view value) {
    if (!stream.draft) {
        const bool fits =
            stream.trailer_bytes + name.size() + value.size() <= http::kMaxTrailerBytes;
        stream.trailer_bytes += name.size() + value.size();
        const bool good = fits && !http::is_forbidden_trailer(name) &&
                          stream.trailers.add(name, value).has_value();
        if (good) return 0;
        // The request is with its handler by now: making us reset costs as much as resetting.
        reset(stream, NGHTTP2_PROTOCOL_ERROR);
        return count_reset() == 0 ? NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE
                                  : NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    Stream::Draft& draft = *stream.draft;
    draft.decoded_bytes += name.size() + value.size() + kHttp2FieldOverheadBytes;
    if (draft.decoded_bytes > limits_.decoded_head_bytes) return condemn(NGHTTP2_ENHANCE_YOUR_CALM);
    if (draft.error) return 0;
    Result<void> taken;
    if (name.starts_with(':')) {
        draft.take_pseudo(name, value);
        if (value.size() > http::kMaxStartLineBytes) taken = fail(http::target_too_long);
    } else if (name == "cookie") {
        if (!draft.cookie.empty()) draft.cookie += "; ";
        draft.cookie += value;  // bounded by decoded_head_bytes until it is added
    } else {
        taken = stream.head.headers.add(name, value);
    }
    if (!taken) draft.error = std::move(taken).error();
    return 0;
}

void Http2Connection::Stream::Draft::take_pseudo(std::string_view name, std::string_view value) {
    // nghttp2 lets each pass once, and no other.
    for (const auto& [known, field] :
         {std::pair{":method", &method}, std::pair{":scheme", &scheme},
          std::pair{":authority", &authority}, std::pair{":path", &path},
          std::pair{":protocol", &protocol}}) {
        if (name == known) *field = value;
    }
}

/// :scheme, :authority and :path, as a target in absolute form would be read.
Result<void> Http2Connection::assemble_target(Stream& stream) {
    const Stream::Draft& draft = *stream.draft;
    http::RequestHead& head = stream.head;
    const bool is_plain = draft.scheme == "http";
    if (!is_plain && draft.scheme != "https") return fail(http::bad_target, "scheme");
    head.scheme = is_plain ? http::Scheme::kHttp : http::Scheme::kHttps;
    std::optional<http::Authority> authority;
    if (!draft.authority.empty()) {
        authority = EOS_TRY(http::parse_authority(draft.authority, *head.scheme));
    }
    head.authority = EOS_TRY(http::effective_authority(authority, head.headers, *head.scheme));
    // What HTTP/1.1 always has, for handlers that look for it.
    if (!head.headers.first("host")) {
        EOS_TRY(head.headers.add_own("host", http::to_string(head.authority)));
    }
    http::Target target = EOS_TRY(http::parse_target(head.method, draft.path));
    if (target.authority) return fail(http::bad_target, "the path is a URI");
    head.path = std::move(target.path);
    head.query = std::move(target.query);
    return {};
}

Result<void> Http2Connection::assemble_head(Stream& stream, Body body) {
    Stream::Draft& draft = *stream.draft;
    http::RequestHead& head = stream.head;
    head.version = http::Version::kHttp2;
    if (draft.error) return fail(*std::move(draft.error));
    if (!draft.cookie.empty()) EOS_TRY(head.headers.add("cookie", draft.cookie));

    const bool connects = draft.method == "CONNECT" && draft.protocol == http::kWebSocket;
    const auto method = http::find_method(draft.method);
    if (!connects && (!method || !draft.protocol.empty())) return fail(http::unknown_method);
    head.method = connects ? http::Method::kConnect : *method;
    head.protocol = draft.protocol;
    head.accepts_trailers = head.headers.list_contains("te", "trailers");
    EOS_TRY(assemble_target(stream));

    const auto length = EOS_TRY(head.headers.single("content-length"));
    if (length && !parse_http2_length(*length)) return fail(http::bad_content_length);
    head.body = http::BodySize::none();
    if (body == Body::kFollows && !connects) {
        head.body = length ? http::BodySize::known(*parse_http2_length(*length))
                           : http::BodySize::unknown();
    }
    return {};
}

void Http2Connection::begin_exchange(Stream& stream, Body body) {
    stream.id = ++generation_ << 32 | static_cast<std::uint32_t>(stream.number);
    stream.last_piece_ms = now_ms();
    const auto assembled = assemble_head(stream, body);
    const http::RequestHead& head = stream.head;
    stream.method = head.method;
    stream.expected = head.body;
    stream.draft.reset();
    stream.is_understood = assembled.has_value();
    if (!assembled) {
        const Error& error = assembled.error();
        if (is_about_authority(error)) return turn_away(stream, NGHTTP2_PROTOCOL_ERROR);
        return answer(stream, http::status_for(error), error.message());
    }
    const auto expect = head.headers.first("expect");
    const bool expects_continue = expect && http::equal_ignoring_case(*expect, "100-continue");
    if (auto addressed = check_addressed(head, info_); !addressed) {
        return answer(stream, 421, addressed.error().message());
    }
    // Whoever asks again does so on another connection, and is shown what is served now.
    if (!sink_.is_current()) return turn_away(stream, NGHTTP2_REFUSED_STREAM);
    if (expect && !expects_continue) {
        return answer(stream, 417, "only 100-continue can be expected");
    }
    stream.can_tunnel = !head.protocol.empty();
    stream.awaits_continue = expects_continue && body == Body::kFollows;
    dispatch(stream);
}

void Http2Connection::dispatch(Stream& stream) {
    Dispatched result =
        dispatcher_.dispatch(std::move(stream.head), info_, Exchange(self_, stream.id));
    stream.head = {};
    stream.route = result.route;
    if (!result.handler || stream.is_finished() || stream.was_reset) return;
    stream.handler = std::move(result.handler);
    stream.max_body_bytes = result.max_body_bytes;
    stream.pace = result.pace;
    if (stream.expected.bytes > result.max_body_bytes) return refuse_body(stream);
    if (stream.awaits_continue && stream.response == Stream::Response::kNone) {
        submit_continue(stream);
    }
    stream.awaits_continue = false;
}

/// Answers in the handler's place, or, if it has begun to, breaks its answer off.
void Http2Connection::refuse(Stream& stream, int status, std::string_view text) {
    if (stream.response == Stream::Response::kStarted) return reset(stream, NGHTTP2_CANCEL);
    stream.id = 0;  // the handler's Exchange is over
    const std::unique_ptr<RequestHandler> handler = std::move(stream.handler);
    if (handler) handler->on_refused(status);
    answer(stream, status, text);
}

void Http2Connection::refuse_body(Stream& stream) {
    refuse(stream, 413, "the limit here is " + std::to_string(stream.max_body_bytes) + " bytes");
}

/// A piece as it came from the network. What nobody wants gives the connection its window back, and
/// the stream none.
void Http2Connection::take_body(Stream& stream, ByteView piece) {
    const std::uint64_t now = now_ms();
    stream.last_piece_ms = now;
    stream.received_bytes += piece.size();
    const bool over =
        !stream.can_tunnel && stream.handler && stream.received_bytes > stream.max_body_bytes;
    if (over && !stream.is_finished()) refuse_body(stream);
    if (!stream.listens()) {
        nghttp2_session_consume_connection(session_.get(), piece.size());
        return;
    }
    const bool must_wait =
        stream.is_paused || !stream.pending.empty() || (stream.can_tunnel && !stream.is_tunnel);
    if (must_wait) return append(stream.pending, piece);
    hand_over(stream, piece);
}

void Http2Connection::hand_over(Stream& stream, ByteView piece) {
    nghttp2_session_consume(session_.get(), stream.number, piece.size());
    if (stream.handler->on_body(piece) == BodyFlow::kPause) {
        stream.is_paused = true;
        stream.pause_began_ms = now_ms();
    }
}

/// What was held back while the handler paused, and the end behind it.
void Http2Connection::deliver_pending(Stream& stream) {
    if (stream.can_tunnel && !stream.is_tunnel) return;
    if (!stream.listens()) return;
    if (!stream.pending.empty() && !stream.is_paused) {
        const Bytes piece = std::exchange(stream.pending, {});
        hand_over(stream, piece);
    }
    const bool ends = stream.request_complete && !stream.end_delivered && stream.pending.empty() &&
                      !stream.is_paused;
    if (!ends) return;
    stream.end_delivered = true;
    if (stream.listens() && stream.trailers.count() > 0) {
        stream.handler->on_trailers(std::exchange(stream.trailers, {}));
    }
    if (stream.listens()) stream.handler->on_end();
}

void Http2Connection::end_request(Stream& stream) {
    stream.request_complete = true;
    deliver_pending(stream);
}

/// nghttp2 has done with the stream, for whatever reason.
void Http2Connection::close_stream(std::int32_t number) {
    const auto found = streams_.find(number);
    if (found == streams_.end()) return;
    const std::unique_ptr<Stream> stream = std::move(found->second);
    streams_.erase(found);
    if (streams_.empty()) idle_since_ms_ = now_ms();
    // Bytes that were never handed over are the connection's again.
    nghttp2_session_consume_connection(session_.get(), stream->pending.size());
    release(*stream);
}

/// Ends the exchange: whoever holds it is not heard any more, and an unfinished handler is told.
void Http2Connection::release(Stream& stream) {
    stream.id = 0;
    if (stream.wants_writable) --waiting_for_room_;
    report(stream);
    const std::unique_ptr<RequestHandler> handler = std::move(stream.handler);
    const bool ended = stream.is_finished() && (!stream.is_tunnel || stream.end_delivered);
    if (handler && !ended) handler->on_abort();
}

/// Tells the observer of a response whose head was sent, or of a request that gets none; once.
void Http2Connection::report(Stream& stream) {
    const int status = std::exchange(stream.status, 0);
    const bool is_turned_away = std::exchange(stream.is_turned_away, false);
    if (observer_ == nullptr || (status == 0 && !is_turned_away)) return;
    ExchangeRecord record{stream.route, std::nullopt, status, now_ms() - stream.started_ms};
    if (stream.is_understood) record.method = stream.method;
    is_turned_away ? observer_->turned_away(info_, record) : observer_->answered(info_, record);
}

/// Answers with an error in the usual form.
void Http2Connection::answer(Stream& stream, int status, std::string_view text) {
    const auto result = respond_on(stream, make_head(status, kJsonType), error_body(text));
    EOS_ASSERT(result.has_value());
}

/// Refuses what no dispatcher has seen without an answer.
void Http2Connection::turn_away(Stream& stream, std::uint32_t error_code) {
    stream.is_turned_away = true;
    reset(stream, error_code);
}

/// Ends the stream without a (whole) answer. What that frees is freed when nghttp2 has sent it.
void Http2Connection::reset(Stream& stream, std::uint32_t error_code) {
    if (std::exchange(stream.was_reset, true)) return;
    nghttp2_submit_rst_stream(session_.get(), NGHTTP2_FLAG_NONE, stream.number, error_code);
    sink_.wake();
}

}  // namespace eos::runtime
