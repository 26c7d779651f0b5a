// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/mini/api/log_follower.h"

#include "trusted/runtime/responses.h"

namespace eos::mini {
namespace {

std::string line_of(const AppLogs::Line& line) {
    return json::compact(
               {{"sequence", line.sequence}, {"time", rfc3339(line.time)}, {"text", line.text}}) +
           "\n";
}

class LogFollower final : public runtime::RequestHandler {
  public:
    explicit LogFollower(runtime::Exchange exchange)
        : exchange_(std::move(exchange)), self_(std::make_shared<LogFollower*>(this)) {}

    /// Called on any worker; runs on this one.
    std::function<void()> wake(ControlPort& port) const {
        return [&port, weak = std::weak_ptr<LogFollower*>(self_)] {
            port.back_here([weak] {
                if (auto self = weak.lock()) (*self)->pump();
            });
        };
    }
    void set_reader(std::unique_ptr<AppLogs::Reader> reader) { reader_ = std::move(reader); }
    runtime::Exchange& exchange() { return exchange_; }

    runtime::BodyFlow on_body(ByteView) override { return runtime::BodyFlow::kMore; }
    void on_end() override {
        Result<void> started =
            exchange_.start(runtime::make_head(200, kLogStreamType), http::BodySize::unknown());
        if (!started) return respond_failure(exchange_, started.error());
        pump();
    }
    void on_writable() override { pump(); }

  private:
    // Until the peer's window is full or there is no more line; the one or the other comes back
    // here.
    void pump() {
        while (exchange_.is_open()) {
            std::size_t taken = exchange_.write(as_bytes(pending_));
            pending_.erase(0, taken);
            if (!pending_.empty()) return;
            std::optional<AppLogs::Reader::Next> next = reader_->next();
            if (!next) return;
            if (next->missed > 0) pending_ = json::compact({{"missed", next->missed}}) + "\n";
            pending_ += line_of(next->line);
        }
    }

    runtime::Exchange exchange_;
    std::unique_ptr<AppLogs::Reader> reader_;
    std::string pending_;  // of the line under way
    std::shared_ptr<LogFollower*> self_;
};

}  // namespace

runtime::Dispatched follow_log(const ApiContext& context, runtime::RoutedRequest request,
                               const std::string& app, std::uint64_t sequence) {
    auto follower = std::make_unique<LogFollower>(std::move(request.exchange));
    Result<std::unique_ptr<AppLogs::Reader>> reader =
        context.logs.follow(app, sequence, follower->wake(context.control));
    if (!reader) {
        respond_failure(follower->exchange(), reader.error());
        return {};
    }
    if (request.head.method == http::Method::kHead) {  // there will be no end to wait for
        runtime::respond_text(follower->exchange(), kLogStreamType, "");
        return {};
    }
    follower->set_reader(std::move(*reader));
    return {std::move(follower), 0, {}};
}

}  // namespace eos::mini
