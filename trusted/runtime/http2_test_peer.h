// SPDX-License-Identifier: AGPL-3.0-only
// For tests: an Http2Connection and two kinds of peer for it. One speaks HTTP/2 as it should, by
// nghttp2; the other sends whatever frames a test makes.
#pragma once

#include <nghttp2/nghttp2.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "trusted/runtime/http2_connection.h"
#include "trusted/runtime/http_test_peer.h"

namespace eos::runtime {

using Fields = std::vector<std::pair<std::string, std::string>>;

/// The pseudo-header fields of a request to the platform's name, and then others.
inline Fields request_fields(std::string method, std::string path, const Fields& others = {}) {
    Fields fields = {{":method", std::move(method)},
                     {":scheme", "https"},
                     {":authority", "mini.example"},
                     {":path", std::move(path)}};
    fields.insert(fields.end(), others.begin(), others.end());
    return fields;
}

/// What stands around a connection, as in TestPeer.
struct Http2World {
    explicit Http2World(const Http2Limits& limits = {}, bool tunnels = false) {
        dispatcher.tunnels = tunnels;
        dispatcher.serve = [](http::RequestHead head, const ConnectionInfo&, Exchange exchange) {
            EXPECT_TRUE(exchange.respond(ok_head(), to_bytes(head.path)));
            return Dispatched{nullptr, 0, "/x"};
        };
        connection = std::make_unique<Http2Connection>(
            platform_connection(), HttpParts{sink, dispatcher, clock, &observer}, limits);
    }
    bool is_over() const { return sink.finished || sink.aborted; }
    void wake() {
        while (!is_over() && std::exchange(sink.woken, false)) connection->writable();
    }
    void advance(std::uint64_t ms) {
        clock.now_ms += ms;
        if (is_over()) return;
        connection->tick(clock.now_ms);
        wake();
    }
    /// Jumps to the next deadline; returns how far that was.
    std::uint64_t advance_to_deadline() {
        const auto next = connection->next_deadline_ms();
        EXPECT_TRUE(next.has_value());
        const std::uint64_t ms = next.value_or(clock.now_ms) - clock.now_ms;
        advance(ms);
        return ms;
    }

    FakeClock clock;
    FakeSink sink;
    FakeDispatcher dispatcher;
    FakeObserver observer;
    std::unique_ptr<Http2Connection> connection;
};

/// One frame as it stands on the wire.
struct Frame {
    std::uint8_t type = 0;
    std::uint8_t flags = 0;
    std::uint32_t stream = 0;
    std::string payload;
};

inline std::string u32(std::uint32_t value) {
    std::string out;
    for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(value >> shift);
    return out;
}

inline std::string encode(const Frame& frame) {
    std::string out = u32(static_cast<std::uint32_t>(frame.payload.size())).substr(1);
    out += static_cast<char>(frame.type);
    out += static_cast<char>(frame.flags);
    return out + u32(frame.stream) + frame.payload;
}

/// Fields as literals that change no table (RFC 7541 §6.2.2); each shorter than 127 bytes.
inline std::string literals(const Fields& fields) {
    std::string out;
    for (const auto& [name, value] : fields) {
        out += '\0';
        out += static_cast<char>(name.size()) + name;
        out += static_cast<char>(value.size()) + value;
    }
    return out;
}

/// Sends frames of a test's making and collects what comes back.
struct RawPeer : Http2World {
    explicit RawPeer(const Http2Limits& limits = {}) : Http2World(limits) {
        bytes("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        send({NGHTTP2_SETTINGS, 0, 0, ""});
    }
    void bytes(const std::string& text) {
        for (std::size_t begin = 0; begin < text.size() && !is_over();) {
            begin += connection->receive(as_bytes(std::string_view(text).substr(begin)));
        }
        wake();
    }
    void send(const Frame& frame) { bytes(encode(frame)); }
    void get(std::uint32_t stream) {
        send({NGHTTP2_HEADERS, NGHTTP2_FLAG_END_STREAM | NGHTTP2_FLAG_END_HEADERS, stream,
              literals(request_fields("GET", "/x"))});
    }
    std::vector<Frame> frames() const {
        std::vector<Frame> out;
        std::string_view rest = sink.written;
        while (rest.size() >= 9) {
            const auto byte = [&](std::size_t i) {
                return std::uint32_t{static_cast<std::uint8_t>(rest[i])};
            };
            const std::size_t size = byte(0) << 16 | byte(1) << 8 | byte(2);
            const std::uint32_t stream = byte(5) << 24 | byte(6) << 16 | byte(7) << 8 | byte(8);
            EXPECT_LE(9 + size, rest.size());
            out.push_back({static_cast<std::uint8_t>(byte(3)), static_cast<std::uint8_t>(byte(4)),
                           stream, std::string(rest.substr(9, size))});
            rest.remove_prefix(std::min(rest.size(), 9 + size));
        }
        EXPECT_TRUE(rest.empty());
        return out;
    }
    /// The error code of the last GOAWAY or of the stream's RST_STREAM; -1 if there was none.
    int last_code(std::uint8_t type, std::uint32_t stream = 0) const {
        int code = -1;
        for (const Frame& frame : frames()) {
            if (frame.type != type || frame.stream != stream) continue;
            code = static_cast<std::uint8_t>(frame.payload[type == NGHTTP2_GOAWAY ? 7 : 3]);
        }
        return code;
    }
    int goaway() const { return last_code(NGHTTP2_GOAWAY); }
    int reset_of(std::uint32_t stream) const { return last_code(NGHTTP2_RST_STREAM, stream); }
};

/// A client as clients are.
struct ClientPeer : Http2World {
    struct Answer {
        int status = 0;
        int interim = 0;
        std::map<std::string, std::string> fields;
        std::map<std::string, std::string> trailers;
        std::string body;
        bool ended = false;   ///< END_STREAM was seen
        bool closed = false;  ///< the stream is over
        std::uint32_t error_code = 0;
    };
    /// What a request's DATA frames are made of.
    struct Upload {
        std::string bytes;
        std::size_t offset = 0;
        Fields trailers = {};
        bool stays_open = false;
    };

    explicit ClientPeer(const Http2Limits& limits = {}, bool tunnels = false)
        : Http2World(limits, tunnels) {
        nghttp2_session_callbacks* callbacks = nullptr;
        nghttp2_session_callbacks_new(&callbacks);
        nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
        nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
        nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
        nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
        nghttp2_session_client_new(&client, callbacks, this);
        nghttp2_session_callbacks_del(callbacks);
        nghttp2_submit_settings(client, NGHTTP2_FLAG_NONE, nullptr, 0);
        run();
    }
    ~ClientPeer() { nghttp2_session_del(client); }
    ClientPeer(const ClientPeer&) = delete;
    ClientPeer& operator=(const ClientPeer&) = delete;

    /// Moves bytes both ways until neither side has any.
    void run() {
        for (bool moved = true; moved && !is_over();) {
            moved = false;
            wake();
            const std::uint8_t* data = nullptr;
            const ssize_t size = nghttp2_session_mem_send(client, &data);
            if (size > 0)
                input.append(reinterpret_cast<const char*>(data), static_cast<std::size_t>(size));
            while (!is_over() && !input.empty() && connection->wants_input()) {
                const std::size_t taken = connection->receive(as_bytes(input));
                input.erase(0, taken);
                moved = true;
            }
            wake();
            const std::string written = std::exchange(sink.written, {});
            moved = moved || !written.empty();
            if (written.empty()) continue;
            const ssize_t read = nghttp2_session_mem_recv(
                client, reinterpret_cast<const std::uint8_t*>(written.data()), written.size());
            EXPECT_EQ(read, static_cast<ssize_t>(written.size()))
                << nghttp2_strerror(static_cast<int>(read));
        }
    }
    void open_window(std::size_t bytes) {
        sink.window += bytes;
        connection->writable();
        run();
    }

    std::int32_t request(const Fields& fields) { return submit(fields, nullptr); }
    std::int32_t upload(const Fields& fields, Upload body) {
        const std::int32_t number = submit(fields, &body);
        return number;
    }
    void more(std::int32_t number, std::string_view bytes) {
        uploads[number].bytes += bytes;
        nghttp2_session_resume_data(client, number);
        run();
    }
    void end(std::int32_t number) {
        uploads[number].stays_open = false;
        nghttp2_session_resume_data(client, number);
        run();
    }
    void reset(std::int32_t number) {
        nghttp2_submit_rst_stream(client, NGHTTP2_FLAG_NONE, number, NGHTTP2_CANCEL);
        run();
    }

    nghttp2_session* client = nullptr;
    std::map<std::int32_t, Answer> answers;
    std::map<std::int32_t, Upload> uploads;
    std::vector<std::uint32_t> goaways;  ///< error codes
    std::vector<std::int32_t> last_streams;
    std::string input;

  private:
    static ClientPeer& self(void* data) { return *static_cast<ClientPeer*>(data); }
    static std::string text(const std::uint8_t* data, std::size_t size) {
        return {reinterpret_cast<const char*>(data), size};
    }
    static std::vector<nghttp2_nv> to_nv(const Fields& fields) {
        std::vector<nghttp2_nv> out;
        for (const auto& [name, value] : fields) {
            const auto bytes = [](const std::string& s) {
                return const_cast<std::uint8_t*>(reinterpret_cast<const std::uint8_t*>(s.data()));
            };
            out.push_back({bytes(name), bytes(value), name.size(), value.size(), 0});
        }
        return out;
    }
    std::int32_t submit(const Fields& fields, const Upload* body) {
        nghttp2_data_provider provider{};
        provider.read_callback = read_upload;
        const auto nv = to_nv(fields);
        const std::int32_t number = nghttp2_submit_request(
            client, nullptr, nv.data(), nv.size(), body != nullptr ? &provider : nullptr, nullptr);
        if (body != nullptr) uploads[number] = *body;
        run();
        return number;
    }
    static ssize_t read_upload(nghttp2_session* session, std::int32_t number, std::uint8_t* out,
                               std::size_t room, std::uint32_t* flags, nghttp2_data_source*,
                               void* data) {
        Upload& upload = self(data).uploads[number];
        const std::size_t size = std::min(room, upload.bytes.size() - upload.offset);
        std::copy_n(upload.bytes.begin() + static_cast<std::ptrdiff_t>(upload.offset), size, out);
        upload.offset += size;
        const bool all = upload.offset == upload.bytes.size();
        if (size == 0 && upload.stays_open) return NGHTTP2_ERR_DEFERRED;
        if (all && !upload.stays_open) {
            *flags |= NGHTTP2_DATA_FLAG_EOF;
            if (!upload.trailers.empty()) {
                *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
                const auto nv = to_nv(upload.trailers);
                nghttp2_submit_trailer(session, number, nv.data(), nv.size());
            }
        }
        return static_cast<ssize_t>(size);
    }
    static int on_header(nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name,
                         std::size_t name_size, const std::uint8_t* value, std::size_t value_size,
                         std::uint8_t, void* data) {
        Answer& answer = self(data).answers[frame->hd.stream_id];
        const std::string key = text(name, name_size);
        const std::string content = text(value, value_size);
        if (key == ":status") {
            const int status = std::stoi(content);
            (status < 200 ? answer.interim : answer.status) = status;
        } else if (answer.status != 0 && frame->headers.cat == NGHTTP2_HCAT_HEADERS &&
                   answer.fields.contains("date")) {
            answer.trailers[key] = content;
        } else {
            answer.fields[key] = content;
        }
        return 0;
    }
    static int on_data(nghttp2_session*, std::uint8_t, std::int32_t number,
                       const std::uint8_t* bytes, std::size_t size, void* data) {
        self(data).answers[number].body += text(bytes, size);
        return 0;
    }
    static int on_frame(nghttp2_session*, const nghttp2_frame* frame, void* data) {
        if (frame->hd.type == NGHTTP2_GOAWAY) {
            self(data).goaways.push_back(frame->goaway.error_code);
            self(data).last_streams.push_back(frame->goaway.last_stream_id);
        }
        const bool ends = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
        const bool carries = frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS;
        if (ends && carries) self(data).answers[frame->hd.stream_id].ended = true;
        return 0;
    }
    static int on_close(nghttp2_session*, std::int32_t number, std::uint32_t error_code,
                        void* data) {
        self(data).answers[number].closed = true;
        self(data).answers[number].error_code = error_code;
        return 0;
    }
};

}  // namespace eos::runtime
