// SPDX-License-Identifier: AGPL-3.0-only
// What nghttp2 is told and what it tells about a connection to an upstream.
#include <algorithm>
#include <array>

#include "common/base/assert.h"
#include "trusted/runtime/http2_fields.h"
#include "trusted/virtual/proxy/http2_client_stream.h"

namespace eos::cvm::proxy {
namespace {

constexpr auto kConnectionWindowBytes =
    static_cast<std::int32_t>(Http2Client::kStreams * Http2Client::kStreamWindowBytes);

}  // namespace

nghttp2_session* Http2Client::Callbacks::make_session(Http2Client& client) {
    const runtime::Http2Callbacks callbacks = runtime::make_http2_callbacks<Callbacks>();
    nghttp2_session_callbacks_set_before_frame_send_callback(callbacks.get(), before_frame_send);

    const runtime::Http2Options options = runtime::make_http2_options();
    nghttp2_session* session = nullptr;
    EOS_ASSERT(nghttp2_session_client_new2(&session, callbacks.get(), &client, options.get()) == 0);
    constexpr std::array<nghttp2_settings_entry, 4> kSettings = {{
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE,
         static_cast<std::uint32_t>(Http2Client::kStreamWindowBytes)},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, runtime::kHttp2HeaderListBytes},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
    }};
    EOS_ASSERT(nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, kSettings.data(),
                                       kSettings.size()) == 0);
    EOS_ASSERT(nghttp2_session_set_local_window_size(session, NGHTTP2_FLAG_NONE, 0,
                                                     kConnectionWindowBytes) == 0);
    return session;
}

void Http2Client::SessionFree::operator()(nghttp2_session* session) const {
    nghttp2_session_del(session);
}

Http2Client& Http2Client::Callbacks::self(void* user_data) {
    return *static_cast<Http2Client*>(user_data);
}

Http2Client::Stream* Http2Client::Callbacks::stream_of(nghttp2_session* session,
                                                       std::int32_t number) {
    return static_cast<Stream*>(nghttp2_session_get_stream_user_data(session, number));
}

// Frames are seen here before nghttp2 judges them; those of types that it does not know are skipped
// like so many bytes. A callback that fails ends the connection.
int Http2Client::Callbacks::on_begin_frame(nghttp2_session*, const nghttp2_frame_hd* frame,
                                           void* user_data) {
    Http2Client& client = self(user_data);
    // Until the upstream has acknowledged that it may not, nghttp2 lets it.
    if (frame->type == NGHTTP2_PUSH_PROMISE) return NGHTTP2_ERR_CALLBACK_FAILURE;
    if (runtime::is_bounded_http2_frame(*frame) || client.nuisances_.take(client.now_ms()))
        return 0;
    return NGHTTP2_ERR_CALLBACK_FAILURE;
}

int Http2Client::Callbacks::on_begin_headers(nghttp2_session* session, const nghttp2_frame* frame,
                                             void*) {
    Stream* stream = stream_of(session, frame->hd.stream_id);
    if (stream != nullptr) stream->section = {};
    return 0;
}

int Http2Client::Callbacks::on_header(nghttp2_session* session, const nghttp2_frame* frame,
                                      const std::uint8_t* name, std::size_t name_size,
                                      const std::uint8_t* value, std::size_t value_size,
                                      std::uint8_t, void* user_data) {
    Stream* stream = stream_of(session, frame->hd.stream_id);
    if (stream == nullptr) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    return self(user_data).take_field(*stream, runtime::http2_text(name, name_size),
                                      runtime::http2_text(value, value_size));
}

// Else nghttp2 would drop the field and let the answer pass.
int Http2Client::Callbacks::on_invalid_header(nghttp2_session*, const nghttp2_frame*,
                                              const std::uint8_t*, std::size_t, const std::uint8_t*,
                                              std::size_t, std::uint8_t, void*) {
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

void Http2Client::Callbacks::take_control_frame(Http2Client& client, const nghttp2_frame* frame) {
    const bool is_ack = (frame->hd.flags & NGHTTP2_FLAG_ACK) != 0;
    if (frame->hd.type == NGHTTP2_SETTINGS && !is_ack) client.settled();
    if (frame->hd.type == NGHTTP2_PING && is_ack) client.alive_until_ms_.reset();
    // nghttp2 closes those that the upstream will not look at.
    if (frame->hd.type == NGHTTP2_GOAWAY) client.leave();
}

int Http2Client::Callbacks::on_frame_recv(nghttp2_session* session, const nghttp2_frame* frame,
                                          void* user_data) {
    Http2Client& client = self(user_data);
    if (frame->hd.stream_id == 0) {
        take_control_frame(client, frame);
        return 0;
    }
    Stream* stream = stream_of(session, frame->hd.stream_id);
    if (stream == nullptr) return 0;
    const bool ends_stream = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    if (frame->hd.type == NGHTTP2_RST_STREAM) {
        stream->broken_off = frame->rst_stream.error_code;
    } else if (frame->hd.type == NGHTTP2_HEADERS) {
        client.end_fields(*stream, ends_stream);
    } else if (frame->hd.type == NGHTTP2_DATA && ends_stream) {
        client.end_response(*stream);
    }
    return 0;
}

int Http2Client::Callbacks::on_data_chunk(nghttp2_session* session, std::uint8_t,
                                          std::int32_t number, const std::uint8_t* data,
                                          std::size_t size, void* user_data) {
    Stream* stream = stream_of(session, number);
    if (stream == nullptr) {
        nghttp2_session_consume_connection(session, size);
    } else {
        self(user_data).take_body(*stream, as_bytes(runtime::http2_text(data, size)));
    }
    return 0;
}

int Http2Client::Callbacks::on_stream_close(nghttp2_session* session, std::int32_t number,
                                            std::uint32_t error_code, void* user_data) {
    Stream* stream = stream_of(session, number);
    if (stream != nullptr) self(user_data).stream_closed(*stream, error_code);
    return 0;
}

// Called when a frame is about to be put behind the output that is there.
int Http2Client::Callbacks::before_frame_send(nghttp2_session* session, const nghttp2_frame* frame,
                                              void* user_data) {
    const Http2Client& client = self(user_data);
    const bool is_request =
        frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST;
    Stream* stream = is_request ? stream_of(session, frame->hd.stream_id) : nullptr;
    if (stream != nullptr) stream->sent_behind = client.taken_bytes_ + client.output_.size();
    return 0;
}

int Http2Client::Callbacks::on_frame_send(nghttp2_session*, const nghttp2_frame* frame,
                                          void* user_data) {
    Http2Client& client = self(user_data);
    if (frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.error_code != NGHTTP2_NO_ERROR) {
        client.is_terminated_ = true;
    }
    return 0;
}

ssize_t Http2Client::Callbacks::read_output(nghttp2_session*, std::int32_t, std::uint8_t*,
                                            std::size_t room, std::uint32_t* flags,
                                            nghttp2_data_source* source, void* user_data) {
    Stream& stream = *static_cast<Stream*>(source->ptr);
    const std::size_t size = std::min(room, stream.queued_bytes());
    const bool ends = stream.is_complete && size == stream.queued_bytes();
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

int Http2Client::Callbacks::send_data(nghttp2_session*, nghttp2_frame*,
                                      const std::uint8_t* frame_head, std::size_t size,
                                      nghttp2_data_source* source, void* user_data) {
    Stream& stream = *static_cast<Stream*>(source->ptr);
    return self(user_data).send_piece(stream, runtime::http2_frame_head(frame_head), size);
}

}  // namespace eos::cvm::proxy
