// SPDX-License-Identifier: AGPL-3.0-only
// For tests: the server side of HTTP/2, by nghttp2, doing what a test says. It moves no bytes.
#pragma once

#include <gtest/gtest.h>
#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace eos::cvm::proxy {

using FieldsToSend = std::vector<std::pair<std::string, std::string>>;

/// One connection's end.
class Http2Upstream {
  public:
    using Settings = std::vector<nghttp2_settings_entry>;
    struct Request {
        std::map<std::string, std::string> fields;
        std::map<std::string, std::string> trailers;
        std::string body;
        bool has_head = false;
        bool ended = false;
        bool closed = false;
        std::uint32_t error_code = 0;
    };
    /// What is sent of an answer; stays open until `ends`.
    struct Answer {
        std::string body;
        std::size_t offset = 0;
        FieldsToSend trailers;
        bool ends = false;
    };

    explicit Http2Upstream(const Settings& settings = {}) {
        nghttp2_session_callbacks* callbacks = nullptr;
        nghttp2_session_callbacks_new(&callbacks);
        nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
        nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
        nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
        nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
        nghttp2_option* option = nullptr;
        nghttp2_option_new(&option);
        nghttp2_option_set_no_auto_window_update(option, 1);
        nghttp2_option_set_no_http_messaging(option, 1);
        nghttp2_session_server_new2(&session_, callbacks, this, option);
        nghttp2_option_del(option);
        nghttp2_session_callbacks_del(callbacks);
        nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings.data(), settings.size());
    }
    ~Http2Upstream() { nghttp2_session_del(session_); }
    Http2Upstream(const Http2Upstream&) = delete;
    Http2Upstream& operator=(const Http2Upstream&) = delete;

    void receive(std::string_view input) {
        const ssize_t taken = nghttp2_session_mem_recv(
            session_, reinterpret_cast<const std::uint8_t*>(input.data()), input.size());
        EXPECT_EQ(taken, static_cast<ssize_t>(input.size()))
            << nghttp2_strerror(static_cast<int>(taken));
    }
    std::string output() {
        std::string out;
        const std::uint8_t* data = nullptr;
        while (true) {
            const ssize_t size = nghttp2_session_mem_send(session_, &data);
            if (size <= 0) return out;
            out.append(reinterpret_cast<const char*>(data), static_cast<std::size_t>(size));
        }
    }

    /// Sends a head; what follows it is said with say() and end().
    void begin(std::int32_t number, const FieldsToSend& fields) {
        nghttp2_data_provider provider{};
        provider.read_callback = read_answer;
        answers[number];
        const auto nv = to_nv(fields);
        EXPECT_EQ(nghttp2_submit_response(session_, number, nv.data(), nv.size(), &provider), 0);
    }
    void say(std::int32_t number, std::string_view bytes) {
        answers[number].body += bytes;
        nghttp2_session_resume_data(session_, number);
    }
    void end(std::int32_t number, const FieldsToSend& trailers = {}) {
        answers[number].trailers = trailers;
        answers[number].ends = true;
        nghttp2_session_resume_data(session_, number);
    }
    /// An answer that is its head alone: "trailers-only" in gRPC.
    void answer_head(std::int32_t number, const FieldsToSend& fields) {
        const auto nv = to_nv(fields);
        EXPECT_EQ(nghttp2_submit_response(session_, number, nv.data(), nv.size(), nullptr), 0);
    }
    void interim(std::int32_t number, const FieldsToSend& fields) {
        const auto nv = to_nv(fields);
        EXPECT_GE(nghttp2_submit_headers(session_, NGHTTP2_FLAG_NONE, number, nullptr, nv.data(),
                                         nv.size(), nullptr),
                  0);
    }
    void reset(std::int32_t number, std::uint32_t code) {
        nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, number, code);
    }
    void go_away(std::int32_t last) {
        nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE, last, NGHTTP2_NO_ERROR, nullptr, 0);
    }
    void set(const Settings& settings) {
        nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings.data(), settings.size());
    }
    /// Takes what came of bodies, so that the windows open again.
    void consume(std::int32_t number, std::size_t bytes) {
        nghttp2_session_consume(session_, number, bytes);
    }

    std::map<std::int32_t, Request> requests;
    std::map<std::int32_t, Answer> answers;
    int pings = 0;
    int window_updates = 0;
    nghttp2_session* session() { return session_; }

  private:
    static Http2Upstream& self(void* data) { return *static_cast<Http2Upstream*>(data); }
    static std::string text(const std::uint8_t* data, std::size_t size) {
        return {reinterpret_cast<const char*>(data), size};
    }
    static std::vector<nghttp2_nv> to_nv(const FieldsToSend& fields) {
        std::vector<nghttp2_nv> out;
        for (const auto& [name, value] : fields) {
            const auto bytes = [](const std::string& s) {
                return const_cast<std::uint8_t*>(reinterpret_cast<const std::uint8_t*>(s.data()));
            };
            out.push_back({bytes(name), bytes(value), name.size(), value.size(), 0});
        }
        return out;
    }
    static ssize_t read_answer(nghttp2_session* session, std::int32_t number, std::uint8_t* out,
                               std::size_t room, std::uint32_t* flags, nghttp2_data_source*,
                               void* data) {
        Answer& answer = self(data).answers[number];
        const std::size_t size = std::min(room, answer.body.size() - answer.offset);
        if (size == 0 && !answer.ends) return NGHTTP2_ERR_DEFERRED;
        std::copy_n(answer.body.begin() + static_cast<std::ptrdiff_t>(answer.offset), size, out);
        answer.offset += size;
        if (!answer.ends || answer.offset < answer.body.size()) return static_cast<ssize_t>(size);
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        if (!answer.trailers.empty()) {
            *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
            const auto nv = to_nv(answer.trailers);
            nghttp2_submit_trailer(session, number, nv.data(), nv.size());
        }
        return static_cast<ssize_t>(size);
    }
    static int on_header(nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name,
                         std::size_t name_size, const std::uint8_t* value, std::size_t value_size,
                         std::uint8_t, void* data) {
        Request& request = self(data).requests[frame->hd.stream_id];
        (request.has_head ? request.trailers : request.fields)[text(name, name_size)] =
            text(value, value_size);
        return 0;
    }
    static int on_data(nghttp2_session*, std::uint8_t, std::int32_t number,
                       const std::uint8_t* bytes, std::size_t size, void* data) {
        self(data).requests[number].body += text(bytes, size);
        return 0;
    }
    static int on_frame(nghttp2_session*, const nghttp2_frame* frame, void* data) {
        Http2Upstream& upstream = self(data);
        if (frame->hd.type == NGHTTP2_PING) ++upstream.pings;
        if (frame->hd.type == NGHTTP2_WINDOW_UPDATE) ++upstream.window_updates;
        const bool carries = frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS;
        if (!carries) return 0;
        Request& request = upstream.requests[frame->hd.stream_id];
        request.has_head = true;
        if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) request.ended = true;
        return 0;
    }
    static int on_close(nghttp2_session*, std::int32_t number, std::uint32_t error_code,
                        void* data) {
        self(data).requests[number].closed = true;
        self(data).requests[number].error_code = error_code;
        return 0;
    }

    nghttp2_session* session_ = nullptr;
};

}  // namespace eos::cvm::proxy
