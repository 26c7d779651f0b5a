// SPDX-License-Identifier: AGPL-3.0-only
// Private to Http2Connection: nghttp2's way in. None of these is called but by nghttp2, and nghttp2
// is called only from Http2Connection's own turns, so that no call comes back into a handler.
#pragma once

#include <nghttp2/nghttp2.h>

#include "trusted/runtime/http2_stream.h"

namespace eos::runtime {

/// The functions nghttp2 is given; `user_data` is the Http2Connection.
struct Http2Connection::Callbacks {
    static nghttp2_session* make_session(Http2Connection& connection);

    static int on_begin_frame(nghttp2_session* session, const nghttp2_frame_hd* frame,
                              void* user_data);
    static int on_begin_headers(nghttp2_session* session, const nghttp2_frame* frame,
                                void* user_data);
    static int on_header(nghttp2_session* session, const nghttp2_frame* frame,
                         const std::uint8_t* name, std::size_t name_size, const std::uint8_t* value,
                         std::size_t value_size, std::uint8_t flags, void* user_data);
    static int on_invalid_header(nghttp2_session* session, const nghttp2_frame* frame,
                                 const std::uint8_t* name, std::size_t name_size,
                                 const std::uint8_t* value, std::size_t value_size,
                                 std::uint8_t flags, void* user_data);
    static int on_frame_recv(nghttp2_session* session, const nghttp2_frame* frame, void* user_data);
    static int on_data_chunk(nghttp2_session* session, std::uint8_t flags, std::int32_t number,
                             const std::uint8_t* data, std::size_t size, void* user_data);
    static int on_stream_close(nghttp2_session* session, std::int32_t number,
                               std::uint32_t error_code, void* user_data);
    static int on_frame_send(nghttp2_session* session, const nghttp2_frame* frame, void* user_data);
    static ssize_t read_output(nghttp2_session* session, std::int32_t number, std::uint8_t* unused,
                               std::size_t room, std::uint32_t* flags, nghttp2_data_source* source,
                               void* user_data);
    static int send_data(nghttp2_session* session, nghttp2_frame* frame,
                         const std::uint8_t* frame_head, std::size_t size,
                         nghttp2_data_source* source, void* user_data);

  private:
    static Http2Connection& self(void* user_data);
    static Stream* stream_of(nghttp2_session* session, std::int32_t number);
};

}  // namespace eos::runtime
