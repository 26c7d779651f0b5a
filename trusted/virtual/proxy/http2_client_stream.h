// SPDX-License-Identifier: AGPL-3.0-only
// Private to Http2Client: one request and its answer, and nghttp2's way in. None of the callbacks
// is called but by nghttp2.
#pragma once

#include <nghttp2/nghttp2.h>

#include <memory>
#include <optional>
#include <string_view>

#include "trusted/virtual/proxy/http2_client.h"

namespace eos::cvm::proxy {

/// One stream, from begin() until both its handler and nghttp2 have done with it.
struct Http2Client::Stream final : public UpstreamExchange {
    /// A header section while it arrives.
    struct Section {
        int status = 0;
        http::Headers fields;
        std::size_t decoded_bytes = 0;
        std::size_t trailer_bytes = 0;
        bool is_bad = false;
    };

    Stream(Http2Client& owner, std::uint64_t stream_id, ResponseHandler& told)
        : client(owner), id(stream_id), handler(&told) {}

    void write(ByteView piece) override;
    void finish(const http::Headers& trailers) override;
    bool has_room() override;
    void resume() override;
    void abandon() override;

    std::size_t queued_bytes() const { return output.size() - output_offset; }
    /// Whether nghttp2 has done with it.
    bool is_closed() const { return number == 0 && !waiting; }

    Http2Client& client;
    const std::uint64_t id;
    ResponseHandler* handler;                    ///< null: nobody listens any more
    std::unique_ptr<http::RequestHead> waiting;  ///< until it may go out
    std::int32_t number = 0;                     ///< nghttp2's; 0: it has none yet, or not any more
    bool may_be_stale = false;                   ///< the connection had served before
    std::optional<std::uint64_t> sent_behind;    ///< so many bytes of output, once written there

    // The request
    http::Method method = http::Method::kGet;
    Bytes output;
    std::size_t output_offset = 0;
    http::Headers our_trailers;
    std::uint64_t moved_ms = 0;  ///< when a byte last moved, either way
    std::uint64_t asked_ms = 0;  ///< when the last of the request went out, as far as it did
    bool has_body = false;       ///< or tunnel
    bool wants_tunnel = false;
    bool is_complete = false;
    bool is_deferred = false;  ///< nghttp2 waits to be told of more
    bool wants_room = false;
    bool was_reset = false;  ///< RST_STREAM is on its way

    // The answer
    Section section;
    http::Headers trailers;
    Bytes held;  ///< received while the handler takes nothing; the stream's window bounds it
    std::size_t interim_count = 0;
    std::optional<std::uint32_t> broken_off;     ///< the upstream's RST_STREAM, and its code
    std::optional<std::uint64_t> missing_bytes;  ///< of the length that the answer claims
    bool has_head = false;
    bool has_ended = false;
    bool is_tunnel = false;
};

/// The functions nghttp2 is given; `user_data` is the Http2Client.
struct Http2Client::Callbacks {
    static nghttp2_session* make_session(Http2Client& client);

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
    static int before_frame_send(nghttp2_session* session, const nghttp2_frame* frame,
                                 void* user_data);
    static int on_frame_send(nghttp2_session* session, const nghttp2_frame* frame, void* user_data);
    static ssize_t read_output(nghttp2_session* session, std::int32_t number, std::uint8_t* unused,
                               std::size_t room, std::uint32_t* flags, nghttp2_data_source* source,
                               void* user_data);
    static int send_data(nghttp2_session* session, nghttp2_frame* frame,
                         const std::uint8_t* frame_head, std::size_t size,
                         nghttp2_data_source* source, void* user_data);

  private:
    static Http2Client& self(void* user_data);
    static Stream* stream_of(nghttp2_session* session, std::int32_t number);
    static void take_control_frame(Http2Client& client, const nghttp2_frame* frame);
};

}  // namespace eos::cvm::proxy
