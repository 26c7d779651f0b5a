// SPDX-License-Identifier: AGPL-3.0-only
// HTTP/1.1 on the client side of one connection to an upstream: bytes in, bytes out, one request at
// a time.
#pragma once

#include <cstdint>
#include <optional>

#include "common/base/bytes.h"
#include "common/http/response_parser.h"
#include "trusted/virtual/proxy/upstream_client.h"

namespace eos::cvm::proxy {

/// One connection, which is its own exchange.
/// bound:   kRoomBytes and one piece of request body; of the answer, what one receive() was given.
/// threads: one.
class Http1Client final : public UpstreamClient, public UpstreamExchange {
  public:
    Http1Client(const UpstreamClientParts& parts, const UpstreamTimeouts& timeouts)
        : clock_(parts.clock), transport_(parts.transport), timeouts_(timeouts) {}
    Http1Client(const Http1Client&) = delete;
    Http1Client& operator=(const Http1Client&) = delete;

    // UpstreamExchange
    void write(ByteView piece) override;
    void finish(const http::Headers& trailers) override;
    bool has_room() override;
    void resume() override;
    void abandon() override;

    // UpstreamClient
    bool can_begin() const override { return is_idle(); }
    std::optional<std::size_t> capacity() const override { return 1; }
    Result<UpstreamExchange*> begin(const http::RequestHead& head,
                                    ResponseHandler& handler) override;
    /// Nothing of a request that was given up: it may be under way on another connection.
    ByteView output() override { return is_over_ ? ByteView() : queued(); }
    void output_taken(std::size_t count) override;
    bool ends_output() const override { return ends_output_; }
    void output_refused() override;
    bool wants_input() const override;
    void receive(ByteView input) override;
    void input_ended(InputEnd end) override;
    void fail(UpstreamFailure failure) override;
    void close() override { lose(); }
    void tick(std::uint64_t now_ms) override;
    std::optional<std::uint64_t> next_deadline_ms() const override;
    bool is_idle() const override { return handler_ == nullptr && !is_over_ && !is_flushing_; }
    bool is_dead() const override { return is_over_; }
    bool is_over() const override { return is_over_; }

  private:
    void parse(ByteView input);
    void take_head();
    void take_body(ByteView piece);
    ByteView hand_over(ByteView piece);
    void take_tunnel(ByteView input);
    void end_response(std::size_t excess_bytes);
    void conclude();
    void lose();
    ByteView queued() const { return ByteView(output_).subspan(output_offset_); }

    const runtime::Clock& clock_;
    UpstreamTransport& transport_;
    const UpstreamTimeouts timeouts_;
    http::ResponseParser parser_;
    ResponseHandler* handler_ = nullptr;
    Bytes output_;
    std::size_t output_offset_ = 0;
    Bytes held_body_;              ///< decoded, not yet taken by the handler
    std::size_t held_offset_ = 0;  ///< so much of it was taken meanwhile
    Bytes held_input_;             ///< behind it, not yet parsed
    std::optional<InputEnd> ended_;
    std::uint64_t last_moved_ms_ = 0;
    std::uint64_t asked_ms_ = 0;  ///< when the last of the request went out, as far as it did
    std::uint64_t request_count_ = 0;
    bool is_chunked_ = false;
    bool request_complete_ = true;
    bool has_sent_ = false;      ///< something of this request
    bool has_received_ = false;  ///< something of this answer
    bool has_head_ = false;
    bool persists_ = true;
    bool sends_ = true;
    bool is_tunnel_ = false;
    bool ends_output_ = false;
    bool wants_room_ = false;
    bool is_flushing_ = false;  ///< the tunnel is over; what was written goes out
    bool is_over_ = false;
};

}  // namespace eos::cvm::proxy
