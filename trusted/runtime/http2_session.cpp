// SPDX-License-Identifier: AGPL-3.0-only
// What nghttp2 is told and what it tells: its options, its callbacks, and no decision but which
// frames are worth nothing.
#include <algorithm>
#include <array>
#include <utility>

#include "common/base/assert.h"
#include "trusted/runtime/http2_fields.h"
#include "trusted/runtime/http2_session.h"

namespace eos::runtime {
namespace {

Http2Options make_options() {
    Http2Options option = make_http2_options();
    nghttp2_option* made = option.get();
    nghttp2_option_set_no_closed_streams(made, 1);
    // Resets are counted by Http2Limits::resets, with the program's clock and not the library's.
    nghttp2_option_set_stream_reset_rate_limit(made, UINT64_MAX, UINT64_MAX);
    return option;
}

}  // namespace

nghttp2_session* Http2Connection::Callbacks::make_session(Http2Connection& connection) {
    const Http2Callbacks callbacks = make_http2_callbacks<Callbacks>();

    const auto options = make_options();
    nghttp2_session* session = nullptr;
    EOS_ASSERT(nghttp2_session_server_new2(&session, callbacks.get(), &connection, options.get()) ==
               0);

    const Http2Limits& limits = connection.limits_;
    std::array<nghttp2_settings_entry, 5> settings = {{
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits.streams},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE,
         static_cast<std::uint32_t>(limits.stream_window_bytes)},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, kHttp2HeaderListBytes},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
        {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1},
    }};
    const std::size_t count = settings.size() - (connection.dispatcher_.offers_tunnels() ? 0 : 1);
    EOS_ASSERT(nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, settings.data(), count) == 0);
    EOS_ASSERT(nghttp2_session_set_local_window_size(
                   session, NGHTTP2_FLAG_NONE, 0,
                   static_cast<std::int32_t>(limits.connection_window_bytes)) == 0);
    return session;
}

void Http2Connection::SessionFree::operator()(nghttp2_session* session) const {
    nghttp2_session_del(session);
}

Http2Connection& Http2Connection::Callbacks::self(void* user_data) {
    return *static_cast<Http2Connection*>(user_data);
}

Http2Connection::Stream* Http2Connection::Callbacks::stream_of(nghttp2_session* session,
                                                               std::int32_t number) {
    return static_cast<Stream*>(nghttp2_session_get_stream_user_data(session, number));
}

// Frames are seen here before nghttp2 judges them; those of types that it does not know are skipped
// like so many bytes.
int Http2Connection::Callbacks::on_begin_frame(nghttp2_session*, const nghttp2_frame_hd* frame,
                                               void* user_data) {
    Http2Connection& connection = self(user_data);
    return is_bounded_http2_frame(*frame) ? 0 : connection.count_nuisance();
}

int Http2Connection::Callbacks::on_begin_headers(nghttp2_session* session,
                                                 const nghttp2_frame* frame, void* user_data) {
    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
    Http2Connection& connection = self(user_data);
    const std::int32_t number = frame->hd.stream_id;
    Stream& stream = connection.open_stream(number);
    EOS_ASSERT(nghttp2_session_set_stream_user_data(session, number, &stream) == 0);
    return 0;
}

int Http2Connection::Callbacks::on_header(nghttp2_session* session, const nghttp2_frame* frame,
                                          const std::uint8_t* name, std::size_t name_size,
                                          const std::uint8_t* value, std::size_t value_size,
                                          std::uint8_t, void* user_data) {
    Stream* stream = stream_of(session, frame->hd.stream_id);
    if (stream == nullptr || stream->was_reset) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    return self(user_data).take_field(*stream, http2_text(name, name_size),
                                      http2_text(value, value_size));
}

// Else nghttp2 would drop the field and let the request pass.
int Http2Connection::Callbacks::on_invalid_header(nghttp2_session*, const nghttp2_frame*,
                                                  const std::uint8_t*, std::size_t,
                                                  const std::uint8_t*, std::size_t, std::uint8_t,
                                                  void*) {
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

int Http2Connection::Callbacks::on_frame_recv(nghttp2_session* session, const nghttp2_frame* frame,
                                              void* user_data) {
    Http2Connection& connection = self(user_data);
    const bool ends_stream = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    if (frame->hd.type == NGHTTP2_PING) {
        // The only PING of ours is that of a drain.
        const bool is_answer = (frame->hd.flags & NGHTTP2_FLAG_ACK) != 0;
        if (is_answer && connection.phase_ == Phase::kNoticed) connection.begin_final_goaway();
        return 0;
    }
    Stream* stream = stream_of(session, frame->hd.stream_id);
    if (stream == nullptr) return 0;
    if (frame->hd.type == NGHTTP2_RST_STREAM) return connection.count_reset();
    if (frame->hd.type == NGHTTP2_HEADERS) {
        if (stream->draft)
            connection.begin_exchange(*stream, ends_stream ? Body::kNone : Body::kFollows);
        if (ends_stream) connection.end_request(*stream);
    } else if (frame->hd.type == NGHTTP2_DATA) {
        if (ends_stream) {
            connection.end_request(*stream);
        } else if (frame->hd.length > 0 && frame->hd.length <= frame->data.padlen) {
            return connection.count_nuisance();
        }
    }
    return 0;
}

int Http2Connection::Callbacks::on_data_chunk(nghttp2_session* session, std::uint8_t,
                                              std::int32_t number, const std::uint8_t* data,
                                              std::size_t size, void* user_data) {
    Stream* stream = stream_of(session, number);
    const ByteView piece = as_bytes(http2_text(data, size));
    if (stream != nullptr && !stream->was_reset) {
        self(user_data).take_body(*stream, piece);
    } else {
        nghttp2_session_consume_connection(session, size);
    }
    return 0;
}

int Http2Connection::Callbacks::on_stream_close(nghttp2_session*, std::int32_t number,
                                                std::uint32_t, void* user_data) {
    self(user_data).close_stream(number);
    return 0;
}

int Http2Connection::Callbacks::on_frame_send(nghttp2_session* session, const nghttp2_frame* frame,
                                              void* user_data) {
    Http2Connection& connection = self(user_data);
    Stream* stream = stream_of(session, frame->hd.stream_id);
    if (frame->hd.type == NGHTTP2_RST_STREAM) {
        // Not one that was decided on here: the peer broke a rule, which it may do only so often.
        const bool decided = stream != nullptr && stream->was_reset;
        if (decided) return 0;
        if (stream != nullptr && stream->draft) stream->is_turned_away = true;
        return connection.count_reset();
    }
    if (frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.error_code != NGHTTP2_NO_ERROR) {
        connection.is_terminated_ = true;
    }
    const bool ends_stream = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    const bool carries_end =
        ends_stream && (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA);
    if (carries_end && stream != nullptr) connection.response_sent(*stream);
    return 0;
}

ssize_t Http2Connection::Callbacks::read_output(nghttp2_session*, std::int32_t, std::uint8_t*,
                                                std::size_t room, std::uint32_t* flags,
                                                nghttp2_data_source* source, void* user_data) {
    Stream& stream = *static_cast<Stream*>(source->ptr);
    const std::size_t size = std::min({room, stream.queued_bytes(), kHttp2DataBytes});
    const bool ends = stream.is_finished() && size == stream.queued_bytes();
    if (size == 0 && !ends) {
        stream.is_deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (ends) *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (ends && stream.our_trailers.count() > 0) {
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        self(user_data).submit_trailers(stream);
    }
    return static_cast<ssize_t>(size);
}

int Http2Connection::Callbacks::send_data(nghttp2_session*, nghttp2_frame*,
                                          const std::uint8_t* frame_head, std::size_t size,
                                          nghttp2_data_source* source, void* user_data) {
    Stream& stream = *static_cast<Stream*>(source->ptr);
    return self(user_data).send_piece(stream, http2_frame_head(frame_head), size);
}

}  // namespace eos::runtime
