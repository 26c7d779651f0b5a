// SPDX-License-Identifier: AGPL-3.0-only
// Requests over one connection: GETs, one after the other in HTTP/1.1, side by side in HTTP/2.
#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <cctype>
#include <charconv>

#include "bench/load_connection.h"

namespace eos::bench {
namespace {

constexpr std::size_t kMaxHeadBytes = 16 * 1024;
constexpr std::string_view kLengthField = "\r\ncontent-length: ";
// So that no answer of this benchmark waits for the client.
constexpr std::int32_t kWindowBytes = 1 << 24;

class Http1Talk final : public Talk {
  public:
    Http1Talk(const Options& options, TalkSink& sink) : sink_(sink) {
        request_ = "GET " + options.path + " HTTP/1.1\r\nHost: " + options.server_name + "\r\n\r\n";
    }

    void start() override {
        start_ = Clock::now();
        sink_.write(request_);
    }

    bool receive(std::string_view plaintext, Tally& tally) override {
        if (body_left_ == 0) {
            head_.append(plaintext);
            const std::size_t end = head_.find("\r\n\r\n");
            require(end != std::string::npos || head_.size() < kMaxHeadBytes, "endless head");
            if (end == std::string::npos) return true;
            const std::size_t received = head_.size() - end - 4;
            head_.resize(end + 2);
            tally.body_bytes = read_head();
            require(received <= tally.body_bytes, "more than one answer");
            body_left_ = tally.body_bytes - received;
        } else {
            require(plaintext.size() <= body_left_, "more than one answer");
            body_left_ -= plaintext.size();
        }
        if (body_left_ > 0) return true;
        tally.count(start_);
        if (persists_) {
            start();
        } else {
            start_ = {};
        }
        head_.clear();
        return persists_;
    }

  private:
    std::size_t read_head() {
        require(head_.starts_with("HTTP/1.1 200 "), "the answer is not 200");
        std::ranges::transform(head_, head_.begin(),
                               [](unsigned char c) { return std::tolower(c); });
        persists_ = head_.find("\r\nconnection: close") == std::string::npos;
        const std::size_t at = head_.find(kLengthField);
        require(at != std::string::npos, "an answer without Content-Length");
        const char* digits = head_.data() + at + kLengthField.size();
        std::size_t body = 0;
        require(std::from_chars(digits, head_.data() + head_.size(), body).ec == std::errc(),
                "a malformed Content-Length");
        return body;
    }

    TalkSink& sink_;
    std::string request_;
    std::string head_;
    std::size_t body_left_ = 0;
    bool persists_ = true;
    Clock::time_point start_;
};

nghttp2_nv field(std::string_view name, std::string_view value) {
    const auto bytes = [](std::string_view text) {
        return const_cast<std::uint8_t*>(reinterpret_cast<const std::uint8_t*>(text.data()));
    };
    return {bytes(name), bytes(value), name.size(), value.size(), NGHTTP2_NV_FLAG_NONE};
}

class Http2Talk final : public Talk {
  public:
    Http2Talk(const Options& options, TalkSink& sink)
        : options_(options), sink_(sink), streams_(options.streams) {
        nghttp2_session_callbacks* callbacks = nullptr;
        require(nghttp2_session_callbacks_new(&callbacks) == 0, "no HTTP/2 callbacks");
        nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
        nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
        nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
        const int made = nghttp2_session_client_new(&session_, callbacks, this);
        nghttp2_session_callbacks_del(callbacks);
        require(made == 0, "no HTTP/2 session");
    }
    ~Http2Talk() override { nghttp2_session_del(session_); }
    Http2Talk(const Http2Talk&) = delete;
    Http2Talk& operator=(const Http2Talk&) = delete;

    void start() override {
        const nghttp2_settings_entry settings[] = {
            {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
            {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kWindowBytes}};
        require(nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings, 2) == 0 &&
                    nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0,
                                                          kWindowBytes) == 0,
                "HTTP/2 settings");
        for (Stream& stream : streams_) ask(stream);
        flush();
    }

    bool receive(std::string_view plaintext, Tally& tally) override {
        tally_ = &tally;
        const auto* bytes = reinterpret_cast<const std::uint8_t*>(plaintext.data());
        require(nghttp2_session_mem_recv(session_, bytes, plaintext.size()) ==
                    static_cast<ssize_t>(plaintext.size()),
                "not HTTP/2");
        flush();
        return open_ > 0;
    }

  private:
    struct Stream {
        Clock::time_point start;
        std::uint64_t body_bytes = 0;
        bool is_good = false;
    };

    /// Unless the server wants no more on this connection.
    void ask(Stream& stream) {
        if (nghttp2_session_check_request_allowed(session_) == 0) return;
        stream = {.start = Clock::now()};
        const nghttp2_nv fields[] = {field(":method", "GET"), field(":scheme", "https"),
                                     field(":authority", options_.server_name),
                                     field(":path", options_.path)};
        require(nghttp2_submit_request(session_, nullptr, fields, 4, nullptr, &stream) > 0,
                "the request was not taken");
        ++open_;
    }

    void flush() {
        const std::uint8_t* bytes = nullptr;
        std::string all;
        while (true) {
            const ssize_t size = nghttp2_session_mem_send(session_, &bytes);
            require(size >= 0, "HTTP/2 output");
            if (size == 0) break;
            all.append(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(size));
        }
        if (!all.empty()) sink_.write(all);
    }

    static Stream* stream_of(nghttp2_session* session, std::int32_t number) {
        return static_cast<Stream*>(nghttp2_session_get_stream_user_data(session, number));
    }

    static int on_header(nghttp2_session* session, const nghttp2_frame* frame,
                         const std::uint8_t* name, std::size_t name_size, const std::uint8_t* value,
                         std::size_t value_size, std::uint8_t, void*) {
        const std::string_view key(reinterpret_cast<const char*>(name), name_size);
        const std::string_view said(reinterpret_cast<const char*>(value), value_size);
        Stream* stream = stream_of(session, frame->hd.stream_id);
        if (stream != nullptr && key == ":status") stream->is_good = said == "200";
        return 0;
    }

    static int on_data(nghttp2_session* session, std::uint8_t, std::int32_t number,
                       const std::uint8_t*, std::size_t size, void*) {
        if (Stream* stream = stream_of(session, number)) stream->body_bytes += size;
        return 0;
    }

    static int on_close(nghttp2_session* session, std::int32_t number, std::uint32_t error,
                        void* user_data) {
        auto& self = *static_cast<Http2Talk*>(user_data);
        Stream* stream = stream_of(session, number);
        --self.open_;
        // What a server that ends the connection did not take is asked on the next one.
        if (error == NGHTTP2_REFUSED_STREAM) return 0;
        if (error != NGHTTP2_NO_ERROR || !stream->is_good) {
            ++self.tally_->failures;
        } else {
            self.tally_->body_bytes = stream->body_bytes;
            self.tally_->count(stream->start);
        }
        self.ask(*stream);
        return 0;
    }

    const Options& options_;
    TalkSink& sink_;
    nghttp2_session* session_ = nullptr;
    std::vector<Stream> streams_;
    std::size_t open_ = 0;
    Tally* tally_ = nullptr;
};

}  // namespace

std::unique_ptr<Talk> make_http1_talk(const Options& options, TalkSink& sink) {
    return std::make_unique<Http1Talk>(options, sink);
}

std::unique_ptr<Talk> make_http2_talk(const Options& options, TalkSink& sink) {
    return std::make_unique<Http2Talk>(options, sink);
}

}  // namespace eos::bench
