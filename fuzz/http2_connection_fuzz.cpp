// SPDX-License-Identifier: AGPL-3.0-only
// One HTTP/2 connection that is fed the preface and then whatever comes. The first three bytes are
// the size of the pieces, the time between them and the room that the sink gets for each. Whatever
// the bytes: the sink is not used after its end, no handler is told of two ends, none outlives the
// connection, and nothing waits for longer than a deadline says.
#include <string>
#include <vector>

#include "common/base/assert.h"
#include "trusted/runtime/http2_connection.h"

namespace {

using namespace eos;
using namespace eos::runtime;

class ScriptClock final : public Clock {
  public:
    UnixTime now() const override { return {0}; }
    std::uint64_t monotonic_ms() const override { return now_ms; }
    std::uint64_t now_ms = 1;
};

class ScriptSink final : public PlaintextSink {
  public:
    std::size_t writable_bytes() const override { return window; }
    void write(ByteView bytes) override {
        EOS_ASSERT(!is_over() && bytes.size() <= window);
        window -= bytes.size();
    }
    void finish() override {
        EOS_ASSERT(!is_over());
        finished = true;
    }
    void abort() override {
        EOS_ASSERT(!is_over());
        aborted = true;
    }
    void wake() override { woken = true; }
    bool is_over() const { return finished || aborted; }

    std::size_t window = 0;
    bool finished = false;
    bool aborted = false;
    bool woken = false;
};

/// Sends back what it gets, pausing now and then; a tunnel where one is asked for.
class Echo final : public RequestHandler {
  public:
    Echo(Exchange exchange, const http::RequestHead& head, int& living)
        : exchange_(std::move(exchange)), living_(living) {
        ++living_;
        const auto answered = head.protocol.empty()
                                  ? exchange_.start(http::ResponseHead{}, http::BodySize::unknown())
                                  : exchange_.tunnel(http::ResponseHead{});
        EOS_ASSERT(answered.has_value());
    }
    ~Echo() override { --living_; }
    BodyFlow on_body(ByteView piece) override {
        EOS_ASSERT(!piece.empty() && !is_over_);
        append(waiting_, piece);
        on_writable();
        if (waiting_.size() < 1000) return BodyFlow::kMore;
        is_paused_ = true;
        return BodyFlow::kPause;
    }
    void on_trailers(http::Headers trailers) override {
        EOS_ASSERT(trailers.count() > 0 && !is_over_);
        trailers_ = std::move(trailers);
    }
    void on_end() override {
        EOS_ASSERT(!is_over_);
        is_over_ = true;
        on_writable();
    }
    void on_writable() override {
        const std::size_t taken = exchange_.write(waiting_);
        waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(taken));
        if (!waiting_.empty()) return;
        if (std::exchange(is_paused_, false)) exchange_.resume_body();
        if (is_over_) EOS_ASSERT(exchange_.finish(trailers_).has_value());
    }
    void on_abort() override {
        EOS_ASSERT(!exchange_.is_open());
        is_over_ = true;
    }

  private:
    Exchange exchange_;
    int& living_;
    Bytes waiting_;
    http::Headers trailers_;
    bool is_paused_ = false;
    bool is_over_ = false;
};

class ScriptDispatcher final : public RequestDispatcher {
  public:
    Dispatched dispatch(http::RequestHead head, const ConnectionInfo&, Exchange exchange) override {
        EOS_ASSERT(head.authority.host == "a" && head.version == http::Version::kHttp2);
        EOS_ASSERT(head.path.starts_with('/') || head.path == "*");
        if (head.path == "/later") {
            waiting.push_back(std::move(exchange));
            return {};
        }
        if (head.path == "/large") {
            EOS_ASSERT(exchange.respond(http::ResponseHead{}, Bytes(100'000)).has_value());
            return {};
        }
        return {std::make_unique<Echo>(std::move(exchange), head, living), 10'000, "/echo"};
    }
    bool offers_tunnels() const override { return true; }
    int living = 0;
    std::vector<Exchange> waiting;
};

void settle(Http2Connection& connection, ScriptSink& sink) {
    for (int turn = 0; turn < 1000 && !sink.is_over() && sink.woken; ++turn) {
        sink.woken = false;
        connection.writable();
    }
    EOS_ASSERT(sink.is_over() || !sink.woken);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 3) return 0;
    const std::size_t piece = data[0] + std::size_t{1};
    ScriptClock clock;
    ScriptSink sink;
    ScriptDispatcher dispatcher;
    ConnectionInfo info;
    info.server_name = "a";
    info.sent_server_name = true;
    auto connection = std::make_unique<Http2Connection>(
        info, HttpParts{sink, dispatcher, clock, nullptr}, Http2Limits{.streams = 5});
    std::string input = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    input.append(reinterpret_cast<const char*>(data + 3), size - 3);

    std::size_t begin = 0;
    while (begin < input.size() && !sink.is_over()) {
        sink.window += std::size_t{data[2]} * 64;
        clock.now_ms += std::uint64_t{data[1]} * 10;
        connection->tick(clock.now_ms);
        settle(*connection, sink);
        if (sink.is_over()) break;
        if (!connection->wants_input()) {
            EOS_ASSERT(connection->next_deadline_ms().has_value());
            if (data[1] == 0 || data[2] == 0) break;
            continue;
        }
        const std::size_t end = std::min(begin + piece, input.size());
        begin += connection->receive(as_bytes(std::string_view(input).substr(begin, end - begin)));
        settle(*connection, sink);
        if (!dispatcher.waiting.empty() && begin % 3 == 0) dispatcher.waiting.pop_back();
        settle(*connection, sink);
    }
    if (!sink.is_over() && data[0] % 2 == 0) {
        connection->input_ended();
        settle(*connection, sink);
    }
    connection.reset();
    EOS_ASSERT(dispatcher.living == 0);
    for (const Exchange& exchange : dispatcher.waiting) EOS_ASSERT(!exchange.is_open());
    return 0;
}
