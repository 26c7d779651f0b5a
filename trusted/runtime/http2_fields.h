// SPDX-License-Identifier: AGPL-3.0-only
// What both sides of HTTP/2 tell nghttp2 in the same way. Only for those few files that drive it.
#pragma once

#include <nghttp2/nghttp2.h>

#include <array>
#include <charconv>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "common/base/assert.h"
#include "common/base/bytes.h"
#include "common/http/message.h"

namespace eos::runtime {

/// RFC 9113 §6.5.2 counts so many bytes for each field on top of its text.
inline constexpr std::size_t kHttp2FieldOverheadBytes = 32;
/// What a peer is told (and nghttp2 does not enforce).
inline constexpr std::uint32_t kHttp2HeaderListBytes =
    http::kMaxHeaderBytes + kHttp2FieldOverheadBytes * http::kMaxHeaderCount;

inline std::string_view http2_text(const std::uint8_t* data, std::size_t size) {
    return {reinterpret_cast<const char*>(data), size};
}

/// The value of a content-length: digits and nothing else.
inline std::optional<std::uint64_t> parse_http2_length(std::string_view text) {
    std::uint64_t value = 0;
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, value);
    if (text.empty() || error != std::errc{} || stop != end) return std::nullopt;
    return value;
}

/// Fields for nghttp2, which copies them: they borrow until it was told.
class Http2FieldList {
  public:
    void add(std::string_view name, std::string_view value) {
        const auto bytes = [](std::string_view text) {
            return const_cast<std::uint8_t*>(reinterpret_cast<const std::uint8_t*>(text.data()));
        };
        fields_.push_back(
            {bytes(name), bytes(value), name.size(), value.size(), NGHTTP2_NV_FLAG_NONE});
    }
    void add(const http::Headers& headers) {
        for (std::size_t i = 0; i < headers.count(); ++i) add(headers[i].name, headers[i].value);
    }
    const nghttp2_nv* data() const { return fields_.data(); }
    std::size_t count() const { return fields_.size(); }

  private:
    std::vector<nghttp2_nv> fields_;
};

/// The digits of a number, for as long as this lives.
class Digits {
  public:
    explicit Digits(std::uint64_t value)
        : end_(std::to_chars(digits_.data(), digits_.data() + digits_.size(), value).ptr) {}
    Digits(const Digits&) = delete;
    Digits& operator=(const Digits&) = delete;
    std::string_view text() const { return {digits_.data(), end_}; }

  private:
    std::array<char, 20> digits_{};
    const char* end_;
};

/// What nghttp2 made is given back to it.
struct Http2OptionFree {
    void operator()(nghttp2_option* option) const { nghttp2_option_del(option); }
};
struct Http2CallbacksFree {
    void operator()(nghttp2_session_callbacks* callbacks) const {
        nghttp2_session_callbacks_del(callbacks);
    }
};
using Http2Options = std::unique_ptr<nghttp2_option, Http2OptionFree>;
using Http2Callbacks = std::unique_ptr<nghttp2_session_callbacks, Http2CallbacksFree>;

/// Windows are given back by hand, and a peer can make nghttp2 hold little.
inline Http2Options make_http2_options() {
    // CONTINUATION frames behind one HEADERS: with frames of 16 KiB far more than a head may have.
    constexpr std::size_t kMaxContinuations = 4;
    constexpr std::size_t kMaxSettingsEntries = 32;
    // Acknowledgements that wait for a transport that takes nothing.
    constexpr std::size_t kMaxQueuedAcks = 1000;
    nghttp2_option* made = nullptr;
    EOS_ASSERT(nghttp2_option_new(&made) == 0);
    nghttp2_option_set_no_auto_window_update(made, 1);
    nghttp2_option_set_max_continuations(made, kMaxContinuations);
    nghttp2_option_set_max_settings(made, kMaxSettingsEntries);
    nghttp2_option_set_max_outbound_ack(made, kMaxQueuedAcks);
    return Http2Options(made);
}

/// The functions of one side, each under the name that nghttp2 has for it.
template <typename Functions>
Http2Callbacks make_http2_callbacks() {
    nghttp2_session_callbacks* made = nullptr;
    EOS_ASSERT(nghttp2_session_callbacks_new(&made) == 0);
    nghttp2_session_callbacks_set_on_begin_frame_callback(made, Functions::on_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(made, Functions::on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(made, Functions::on_header);
    nghttp2_session_callbacks_set_on_invalid_header_callback(made, Functions::on_invalid_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(made, Functions::on_frame_recv);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(made, Functions::on_data_chunk);
    nghttp2_session_callbacks_set_on_stream_close_callback(made, Functions::on_stream_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(made, Functions::on_frame_send);
    nghttp2_session_callbacks_set_send_data_callback(made, Functions::send_data);
    return Http2Callbacks(made);
}

/// Whether something else bounds how many such frames a peer can send: the streams that there are,
/// the limit on CONTINUATION, flow control. All others cost work and are worth nothing.
inline bool is_bounded_http2_frame(const nghttp2_frame_hd& frame) {
    if (frame.type == NGHTTP2_HEADERS || frame.type == NGHTTP2_CONTINUATION) return true;
    const bool ends_stream = (frame.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    return frame.type == NGHTTP2_DATA && (frame.length > 0 || ends_stream);
}

/// The head of a frame that nghttp2 leaves to its caller to send.
inline ByteView http2_frame_head(const std::uint8_t* head) {
    constexpr std::size_t kFrameHeadBytes = 9;
    return as_bytes(http2_text(head, kFrameHeadBytes));
}

}  // namespace eos::runtime
