// SPDX-License-Identifier: AGPL-3.0-only
// One HTTP/1.1 connection under a script: each operation is a byte, some with operands behind it.
// Whatever the order: the sink is not used after its end, no more than the one request that a drain
// may have met is dispatched after it, no exchange is forgotten, and what was written is a row of
// whole responses unless it was cut.
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/base/assert.h"
#include "common/http/response_parser.h"
#include "trusted/runtime/body.h"
#include "trusted/runtime/http1_connection.h"
#include "trusted/runtime/responses.h"

namespace {

using namespace eos;
using namespace eos::runtime;

constexpr std::size_t kBudgetBytes = 500;

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
        append(written, bytes);
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

    std::size_t window = 100;
    Bytes written;
    bool finished = false;
    bool aborted = false;
    bool woken = false;
};

/// Takes the body, pausing now and then, and answers with it in pieces.
class Echo final : public RequestHandler {
  public:
    explicit Echo(Exchange exchange, std::vector<Echo*>& living)
        : exchange_(std::move(exchange)), living_(living) {
        living_.push_back(this);
    }
    ~Echo() override { std::erase(living_, this); }
    BodyFlow on_body(ByteView piece) override {
        EOS_ASSERT(!piece.empty() && !ended_);
        append(body_, piece);
        return piece.size() % 3 == 0 ? BodyFlow::kPause : BodyFlow::kMore;
    }
    void on_end() override {
        ended_ = true;
        (void)exchange_.start(http::ResponseHead{}, http::BodySize::unknown());
        on_writable();
    }
    void on_writable() override {
        EOS_ASSERT(ended_);
        offset_ += exchange_.write(ByteView(body_).subspan(offset_));
        if (offset_ == body_.size()) exchange_.finish();
    }
    void on_abort() override { EOS_ASSERT(!exchange_.is_open()); }
    void resume() { exchange_.resume_body(); }

  private:
    Exchange exchange_;
    std::vector<Echo*>& living_;
    Bytes body_;
    std::size_t offset_ = 0;
    bool ended_ = false;
};

class ScriptDispatcher final : public RequestDispatcher {
  public:
    Dispatched dispatch(http::RequestHead head, const ConnectionInfo&, Exchange exchange) override {
        EOS_ASSERT(!drained || !std::exchange(met_drain, true));
        EOS_ASSERT(head.authority.host == "a");
        if (head.path == "/echo") {
            return {std::make_unique<Echo>(std::move(exchange), echoes), 300, "/echo"};
        }
        if (head.path == "/body") {
            return collect_body(
                head.body, 200, budget, std::move(exchange),
                [this](Exchange answer, CollectedBody) { waiting.push_back(std::move(answer)); });
        }
        if (head.path == "/later") {
            waiting.push_back(std::move(exchange));
        } else if (head.path == "/large") {
            EOS_ASSERT(exchange.respond(http::ResponseHead{}, Bytes(40'000)).has_value());
        } else if (head.path != "/lost") {
            respond_error(exchange, 404, head.path);
        }
        return {};
    }
    bool drained = false;
    bool met_drain = false;
    std::vector<Exchange> waiting;
    std::vector<Echo*> echoes;
    MemoryBudget budget{kBudgetBytes};
};

class ScriptObserver final : public ExchangeObserver {
  public:
    void answered(const ConnectionInfo&, const ExchangeRecord& record) override {
        methods.push_back(record.method.value_or(http::Method::kGet));
    }
    std::vector<http::Method> methods;
};

/// Every response but the last must be whole; the last, too, if the connection ended in good order.
void check_output(const ScriptSink& sink, const std::vector<http::Method>& methods) {
    http::ResponseParser parser;
    ByteView rest = sink.written;
    std::size_t count = 0;
    while (!rest.empty()) {
        // One that is still being sent was not counted yet.
        parser.expect(count < methods.size() ? methods[count] : http::Method::kGet);
        ++count;
        for (bool complete = false; !complete;) {
            const auto step = parser.feed(rest);
            EOS_ASSERT(step.has_value());
            rest = rest.subspan(step->consumed);
            if (step->event == http::Event::kHead) parser.set_body_limit(1 << 20);
            complete = step->event == http::Event::kComplete;
            if (step->event == http::Event::kNeedInput) {
                EOS_ASSERT(!sink.finished || parser.finish().has_value());
                return;
            }
        }
    }
}

/// The connection and everything around it.
class Script {
  public:
    Script() {
        info_.server_name = "a";
        info_.sent_server_name = true;
        Http1Limits limits;
        limits.output_bytes = 500;
        limits.discard_bytes = 50;
        connection_.emplace(info_, Http1Connection::Parts{sink_, dispatcher_, clock_, &observer_},
                            limits);
    }

    bool is_over() const { return sink_.is_over(); }
    void input(std::uint8_t byte) { input_ += static_cast<char>(byte); }

    /// What ServerConnection does in a turn.
    void run() {
        for (int turn = 0; turn < 10'000 && !is_over(); ++turn) {
            if (std::exchange(sink_.woken, false)) connection_->writable();
            const bool idle = is_over() || input_.empty() || !connection_->wants_input();
            if (idle && !sink_.woken) return;
            if (idle) continue;
            const std::size_t taken = connection_->receive(as_bytes(input_));
            EOS_ASSERT(taken <= input_.size());
            input_.erase(0, taken);
            if (taken == 0 && !sink_.woken) return;
        }
        EOS_ASSERT(is_over());
    }

    void step(std::uint8_t operation, std::size_t operand) {
        if (operation == 0x01) {
            clock_.now_ms += operand * 100;
            connection_->tick(clock_.now_ms);
        } else if (operation == 0x02) {
            sink_.window += operand * 10;
            connection_->writable();
        } else if (operation == 0x03) {
            connection_->drain();
            dispatcher_.drained = true;
        } else if (operation == 0x04) {
            connection_->input_ended();
        } else if (operation == 0x05 && !dispatcher_.waiting.empty()) {
            respond_error(dispatcher_.waiting.front(), 503, "later");
            dispatcher_.waiting.erase(dispatcher_.waiting.begin());
        } else if (operation == 0x06 && !dispatcher_.echoes.empty()) {
            dispatcher_.echoes.front()->resume();
        } else if (operation == 0x07) {
            dispatcher_.waiting.clear();
        }
        run();
    }

    void check_end() {
        EOS_ASSERT(dispatcher_.echoes.size() <= 1);
        connection_.reset();
        EOS_ASSERT(dispatcher_.echoes.empty());
        for (Exchange& exchange : dispatcher_.waiting) EOS_ASSERT(!exchange.is_open());
        dispatcher_.waiting.clear();
        EOS_ASSERT(dispatcher_.budget.free_bytes() == kBudgetBytes);
        check_output(sink_, observer_.methods);
    }

  private:
    ScriptClock clock_;
    ScriptSink sink_;
    ScriptDispatcher dispatcher_;
    ScriptObserver observer_;
    ConnectionInfo info_;
    std::optional<Http1Connection> connection_;
    std::string input_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Script script;
    for (std::size_t i = 0; i < size && !script.is_over(); ++i) {
        if (data[i] >= 0x01 && data[i] <= 0x07) {
            script.step(data[i], i + 1 < size ? data[i + 1] : 0);
        } else {
            script.input(data[i]);
        }
    }
    if (!script.is_over()) script.run();
    script.check_end();
    return 0;
}
