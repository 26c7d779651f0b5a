// SPDX-License-Identifier: AGPL-3.0-only
// Load for an HTTPS server on loopback: one thread, N connections, for a while.
//   handshakes   full TLS 1.3 handshakes without resumption, each on a connection of its own
//   challenges   the same with a fresh nonce in extension 0xFFBB, each from another 127/8 address
//   requests     GETs over connections kept alive; the handshakes come first and do not count
//   hold         opens the connections, says so, and holds them until its input ends
// It verifies nothing: it measures. Prints one line of JSON.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <map>

#include "bench/load_connection.h"

namespace eos::bench {
namespace {

constexpr auto kWarmUpLimit = std::chrono::seconds(300);
// Handshakes at the same time, so that no queue of a listener overflows.
constexpr std::size_t kOpeningAtOnce = 64;

class Load {
  public:
    explicit Load(const Options& options)
        : options_(options), context_(make_context(options)), epoll_(epoll_create1(0)) {
        require(epoll_ >= 0, "no epoll");
        for (unsigned i = 0; i < options.concurrency; ++i)
            connections_.push_back(std::make_unique<Connection>(options_, context_.get(), epoll_));
    }
    Load(const Load&) = delete;
    Load& operator=(const Load&) = delete;
    ~Load() {
        connections_.clear();
        close(epoll_);
    }

    void run() {
        const bool keeps = options_.mode == Mode::kRequests || options_.mode == Mode::kHold;
        if (keeps) {
            open_all();
        } else {
            for (auto& connection : connections_) connection->open();
        }
        if (options_.mode == Mode::kHold) return hold();
        if (options_.mode == Mode::kRequests)
            for (auto& connection : connections_) connection->talk();
        const auto start = Clock::now();
        const std::chrono::duration<double> limit(options_.seconds);
        while (Clock::now() - start < limit) turn();
        const std::chrono::duration<double> took = Clock::now() - start;
        report(took.count());
    }

  private:
    void turn() {
        epoll_event events[64];
        const int count = epoll_wait(epoll_, events, 64, 10);
        for (int i = 0; i < count; ++i)
            static_cast<Connection*>(events[i].data.ptr)->advance(tally_);
        if (tally_.failures == 0) return;
        const auto now = Clock::now();
        for (auto& connection : connections_)
            if (connection->has_rested(now)) connection->open();
    }

    void open_all() {
        const auto give_up = Clock::now() + kWarmUpLimit;
        std::size_t opened = 0, ready = 0;  // all before `ready` are
        while (ready < connections_.size()) {
            for (; opened < std::min(ready + kOpeningAtOnce, connections_.size()); ++opened)
                connections_[opened]->open();
            turn();
            while (ready < opened && connections_[ready]->is_ready()) ++ready;
            require(Clock::now() < give_up, "the handshakes do not finish");
        }
        tally_ = {};
    }

    void hold() {
        std::printf("{\"held\": %zu}\n", connections_.size());
        std::fflush(stdout);
        char byte = 0;
        while (read(STDIN_FILENO, &byte, 1) > 0) {
        }
    }

    void report(double seconds) {
        std::vector<double>& all = tally_.latencies_us;
        std::ranges::sort(all);
        const auto at = [&](double share) {
            return all.empty() ? 0 : all[static_cast<std::size_t>(share * double(all.size() - 1))];
        };
        std::printf(
            "{\"operations\": %zu, \"failures\": %llu, \"seconds\": %.4f, \"p50_us\": %.1f, "
            "\"p99_us\": %.1f, \"body_bytes\": %llu}\n",
            all.size(), static_cast<unsigned long long>(tally_.failures), seconds, at(0.5),
            at(0.99), static_cast<unsigned long long>(tally_.body_bytes));
    }

    const Options& options_;
    Context context_;
    int epoll_;
    std::vector<std::unique_ptr<Connection>> connections_;
    Tally tally_;
};

}  // namespace
}  // namespace eos::bench

int main(int argc, char** argv) {
    using eos::bench::Mode;
    eos::bench::Options options;
    CLI::App app("Load for an HTTPS server on 127.0.0.1; verifies nothing.");
    const std::map<std::string, Mode> modes{{"handshakes", Mode::kHandshakes},
                                            {"challenges", Mode::kChallenges},
                                            {"requests", Mode::kRequests},
                                            {"hold", Mode::kHold}};
    app.add_option("mode", options.mode, "handshakes, challenges, requests or hold")
        ->required()
        ->transform(CLI::CheckedTransformer(modes));
    app.add_option("--port", options.port)->required();
    app.add_option("--server-name", options.server_name)->required();
    app.add_option("--path", options.path)->capture_default_str();
    app.add_option("--concurrency", options.concurrency)->check(CLI::Range(1, 15000));
    app.add_option("--streams", options.streams,
                   "requests: HTTP/2 with so many at the same time; 0: HTTP/1.1")
        ->check(CLI::Range(0, 100));
    app.add_option("--seconds", options.seconds)->check(CLI::Range(0.05, 60.0));
    CLI11_PARSE(app, argc, argv);
    try {
        eos::bench::Load(options).run();
        return 0;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "https-load: %s\n", error.what());
        return 1;
    }
}
