// SPDX-License-Identifier: AGPL-3.0-only
// For tests: what stands around an Http1Connection, with a clock that is set by hand and a sink
// whose window is.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "common/http/response_parser.h"
#include "trusted/runtime/http1_connection.h"

namespace eos::runtime {

/// Time stands until a test moves it.
class FakeClock final : public Clock {
  public:
    UnixTime now() const override { return {784111777}; }
    std::uint64_t monotonic_ms() const override { return now_ms; }
    std::uint64_t now_ms = 1'000'000;
};

/// Records what was written; takes as much as its window has.
class FakeSink final : public PlaintextSink {
  public:
    std::size_t writable_bytes() const override { return window; }
    void write(ByteView plaintext) override {
        ASSERT_FALSE(finished || aborted);
        ASSERT_LE(plaintext.size(), window);
        window -= plaintext.size();
        written += as_chars(plaintext);
        writes.push_back(plaintext.size());
    }
    void finish() override {
        ASSERT_FALSE(finished || aborted);
        finished = true;
    }
    void abort() override {
        ASSERT_FALSE(finished || aborted);
        aborted = true;
    }
    void wake() override { woken = true; }
    bool is_current() const override { return current; }

    bool current = true;
    std::size_t window = 1 << 20;
    std::string written;
    std::vector<std::size_t> writes;
    bool finished = false;
    bool aborted = false;
    bool woken = false;
};

/// Calls a function for every request.
class FakeDispatcher final : public RequestDispatcher {
  public:
    Dispatched dispatch(http::RequestHead head, const ConnectionInfo& connection,
                        Exchange exchange) override {
        paths.push_back(head.path);
        return serve(std::move(head), connection, std::move(exchange));
    }
    bool offers_tunnels() const override { return tunnels; }
    std::function<Dispatched(http::RequestHead, const ConnectionInfo&, Exchange)> serve;
    std::vector<std::string> paths;
    bool tunnels = false;
};

/// Records what was counted.
class FakeObserver final : public ExchangeObserver {
  public:
    void answered(const ConnectionInfo& connection, const ExchangeRecord& record) override {
        records.push_back(record);
        if (also != nullptr) also->answered(connection, record);
    }
    void turned_away(const ConnectionInfo& connection, const ExchangeRecord& record) override {
        refusals.push_back(record);
        if (also != nullptr) also->turned_away(connection, record);
    }
    std::vector<ExchangeRecord> records;
    std::vector<ExchangeRecord> refusals;  ///< without an answer
    ExchangeObserver* also = nullptr;      ///< hears of everything, too
};

/// A connection to the platform's name by a client that is nobody.
inline ConnectionInfo platform_connection() {
    ConnectionInfo info;
    info.server_name = "mini.example";
    info.sent_server_name = true;
    return info;
}

/// A connection and the peer at its other end, who behaves as ServerConnection does.
class TestPeer {
  public:
    explicit TestPeer(ConnectionInfo connection_info = platform_connection(),
                      Http1Limits limits = {})
        : info(std::move(connection_info)),
          connection(std::make_unique<Http1Connection>(
              info, Http1Connection::Parts{sink, dispatcher, clock, &observer}, limits)) {}

    bool is_over() const { return sink.finished || sink.aborted; }

    void run() {
        do {
            if (!is_over() && std::exchange(sink.woken, false)) connection->writable();
            while (!is_over() && !input.empty() && connection->wants_input()) {
                const std::size_t taken = connection->receive(as_bytes(input));
                ASSERT_LE(taken, input.size());
                input.erase(0, taken);
                if (taken == 0) break;
            }
        } while (!is_over() && sink.woken);
    }
    void send(std::string_view bytes) {
        input += bytes;
        run();
    }
    void open_window(std::size_t bytes) {
        sink.window += bytes;
        connection->writable();
        run();
    }
    void advance(std::uint64_t ms) {
        clock.now_ms += ms;
        if (is_over()) return;
        connection->tick(clock.now_ms);
        run();
    }
    /// Jumps to the connection's next deadline; returns how far that was.
    std::uint64_t advance_to_deadline() {
        const auto next = connection->next_deadline_ms();
        EXPECT_TRUE(next.has_value());
        const std::uint64_t ms = next.value_or(clock.now_ms) - clock.now_ms;
        advance(ms);
        return ms;
    }
    std::string take_written() { return std::exchange(sink.written, {}); }

    FakeClock clock;
    FakeSink sink;
    FakeDispatcher dispatcher;
    FakeObserver observer;
    std::string input;
    const ConnectionInfo info;
    std::unique_ptr<Http1Connection> connection;
};

/// A plain 200.
inline http::ResponseHead ok_head() {
    http::ResponseHead head;
    head.status = 200;
    return head;
}

/// A response as a client would have it.
struct ReadResponse {
    int status = 0;
    http::Headers headers;
    std::string body;
};

/// The responses in `text`, which must be whole ones to requests with that method.
inline std::vector<ReadResponse> read_responses(std::string_view text,
                                                http::Method method = http::Method::kGet) {
    std::vector<ReadResponse> out;
    http::ResponseParser parser;
    ByteView rest = as_bytes(text);
    while (!rest.empty()) {
        parser.expect(method);
        for (bool complete = false; !complete;) {
            const auto step = parser.feed(rest);
            if (!step || step->event == http::Event::kNeedInput) {
                ADD_FAILURE() << "not whole responses: " << text;
                return out;
            }
            rest = rest.subspan(step->consumed);
            if (step->event == http::Event::kHead) {
                http::ReceivedResponse received = parser.take_head();
                out.push_back({received.head.status, received.head.headers, {}});
                parser.set_body_limit(1 << 30);
            }
            if (step->event == http::Event::kBody) out.back().body += as_chars(step->body);
            complete = step->event == http::Event::kComplete;
        }
    }
    return out;
}

/// The only response in `text`.
inline ReadResponse read_response(std::string_view text, http::Method method = http::Method::kGet) {
    auto responses = read_responses(text, method);
    EXPECT_EQ(responses.size(), 1u) << text;
    return responses.empty() ? ReadResponse{} : std::move(responses.front());
}

inline constexpr std::string_view kGet = "GET /x HTTP/1.1\r\nHost: mini.example\r\n\r\n";

/// A POST to /p with those header fields (without the last line end) and that body.
inline std::string post(std::string_view fields, std::string_view body) {
    return "POST /p HTTP/1.1\r\nHost: mini.example\r\n" + std::string(fields) + "\r\n\r\n" +
           std::string(body);
}

/// What a TestHandler saw and does.
struct HandlerLog {
    std::string body;
    http::Headers trailers;
    int ends = 0;
    int aborts = 0;
    int leaves = 0;
    int writables = 0;
    bool destroyed = false;
    BodyFlow flow = BodyFlow::kMore;
    std::function<void(Exchange&)> on_end;
    std::function<void(Exchange&)> on_body;
    std::function<void(Exchange&)> on_writable;
    std::function<void(Exchange&)> on_peer_left;
};

/// Records its calls, and does what the log says.
class TestHandler final : public RequestHandler {
  public:
    TestHandler(HandlerLog& log, Exchange exchange) : log_(log), exchange_(std::move(exchange)) {}
    ~TestHandler() override { log_.destroyed = true; }
    BodyFlow on_body(ByteView piece) override {
        log_.body += as_chars(piece);
        if (log_.on_body) log_.on_body(exchange_);
        return log_.flow;
    }
    void on_trailers(http::Headers trailers) override {
        EXPECT_EQ(log_.ends, 0);
        EXPECT_GT(trailers.count(), 0u);
        log_.trailers = std::move(trailers);
    }
    void on_end() override {
        ++log_.ends;
        if (log_.on_end) log_.on_end(exchange_);
    }
    void on_writable() override {
        ++log_.writables;
        if (log_.on_writable) log_.on_writable(exchange_);
    }
    void on_peer_left() override {
        ++log_.leaves;
        EXPECT_TRUE(exchange_.is_open());
        if (log_.on_peer_left) log_.on_peer_left(exchange_);
    }
    void on_abort() override {
        ++log_.aborts;
        EXPECT_FALSE(exchange_.is_open());
    }
    Exchange& exchange() { return exchange_; }

  private:
    HandlerLog& log_;
    Exchange exchange_;
};

/// From now on every request gets a TestHandler; `newest` is where a test finds the last one made.
inline void serve_and_remember(FakeDispatcher& dispatcher, HandlerLog& log, TestHandler*& newest,
                               std::uint64_t max_body_bytes) {
    dispatcher.serve = [&log, &newest, max_body_bytes](http::RequestHead, const ConnectionInfo&,
                                                       Exchange exchange) {
        auto owned = std::make_unique<TestHandler>(log, std::move(exchange));
        newest = owned.get();
        return Dispatched{std::move(owned), max_body_bytes, {}};
    };
}

}  // namespace eos::runtime
