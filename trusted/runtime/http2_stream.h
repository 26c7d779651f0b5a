// SPDX-License-Identifier: AGPL-3.0-only
// Private to Http2Connection: one request and its response.
#pragma once

#include <nghttp2/nghttp2.h>

#include <memory>
#include <optional>
#include <string>

#include "trusted/runtime/http2_connection.h"

namespace eos::runtime {

/// One stream, from its first HEADERS frame until nghttp2 closes it.
struct Http2Connection::Stream {
    /// What a head is made of while its fields arrive.
    struct Draft {
        void take_pseudo(std::string_view name, std::string_view value);

        std::string method, scheme, authority, path, protocol;
        std::string cookie;  ///< RFC 9113 §8.2.3: its pieces are put together again
        std::size_t decoded_bytes = 0;
        std::optional<Error> error;  ///< the first field that cannot be
    };
    enum class Response : std::uint8_t { kNone, kStarted, kFinished };

    explicit Stream(std::int32_t stream_number) : number(stream_number) {}

    bool is_finished() const { return response == Response::kFinished; }
    std::size_t queued_bytes() const { return output.size() - output_offset; }
    /// Whether the handler still wants what the peer sends. Each half of a tunnel ends by itself.
    bool listens() const { return handler && !was_reset && (!is_finished() || is_tunnel); }

    const std::int32_t number;
    std::uint64_t id = 0;  ///< of the Exchange; 0 until there is one
    std::unique_ptr<Draft> draft = std::make_unique<Draft>();  ///< until the head is complete
    http::RequestHead head;                                    ///< until it is dispatched
    http::Method method = http::Method::kGet;
    std::unique_ptr<RequestHandler> handler;
    StaticText route;

    // The request
    std::uint64_t started_ms = 0;
    std::uint64_t last_piece_ms = 0;  ///< when the body, or the tunnel, last went on
    std::uint64_t received_bytes = 0;
    std::uint64_t max_body_bytes = 0;
    BodyPace pace = BodyPace::kLimited;
    http::BodySize expected;      ///< as the head says
    std::uint64_t paused_ms = 0;  ///< in which the handler, not the peer, was slow
    std::uint64_t pause_began_ms = 0;
    Bytes pending;           ///< received while nobody takes it; the stream's window bounds it
    http::Headers trailers;  ///< of the request
    std::size_t trailer_bytes = 0;
    bool is_understood = false;   ///< the head could be made sense of
    bool is_turned_away = false;  ///< refused without an answer; until it was reported
    bool awaits_continue = false;
    bool is_paused = false;
    bool request_complete = false;
    bool end_delivered = false;
    bool can_tunnel = false;
    bool is_tunnel = false;

    // The response
    Response response = Response::kNone;
    int status = 0;  ///< until it was reported
    http::BodySize declared;
    std::uint64_t written_bytes = 0;
    Bytes output;
    std::size_t output_offset = 0;
    http::Headers our_trailers;
    Backlog backlog;
    std::optional<std::uint64_t> linger_end_ms;  ///< answered; the rest of the request is dropped
    bool head_only = false;                      ///< END_STREAM stands on the head
    bool is_deferred = false;                    ///< nghttp2 waits to be told of more
    bool wants_writable = false;
    bool was_reset = false;  ///< RST_STREAM is on its way
};

}  // namespace eos::runtime
