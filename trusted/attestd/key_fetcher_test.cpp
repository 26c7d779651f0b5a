// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/attestd/key_fetcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <latch>

#include "trusted/attestd/loopback_server_test.h"

namespace eos::attestd {
namespace {

using testing::LoopbackServer;
using testing::read_request;
using testing::stay_silent;

/// Discovery and keys, as a provider has them.
class GoodIssuer {
  public:
    GoodIssuer() : server_([this](int fd) { serve(fd); }) {}
    std::string url() const { return "http://" + server_.address(); }

  private:
    void serve(int fd) const {
        const bool is_discovery = read_request(fd).starts_with("GET /.well-known/");
        const json::Value body =
            is_discovery ? json::Value({{"issuer", url()}, {"jwks_uri", url() + "/keys"}})
                         : jose::key_set_of(crypto::P256PrivateKey::generate().public_key());
        const std::string text = json::compact(body);
        const std::string answer = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: " +
                                   std::to_string(text.size()) + "\r\n\r\n" + text;
        EXPECT_EQ(::send(fd, answer.data(), answer.size(), MSG_NOSIGNAL),
                  static_cast<ssize_t>(answer.size()));
    }
    LoopbackServer server_;
};

/// What came of the attempts, in order.
struct Outcomes {
    void add(std::size_t issuer, bool is_good) {
        std::lock_guard lock(mutex);
        all.emplace_back(issuer, is_good);
        changed.notify_all();
    }
    /// Waits for the first of them.
    std::pair<std::size_t, bool> first() {
        std::unique_lock lock(mutex);
        changed.wait_for(lock, std::chrono::seconds(20), [this] { return !all.empty(); });
        return all.at(0);
    }

    std::mutex mutex;
    std::condition_variable changed;
    std::vector<std::pair<std::size_t, bool>> all;
};

KeyFetcher::Fetched into(Outcomes& outcomes) {
    return [&outcomes](std::size_t issuer, const Result<std::vector<jose::IssuerKey>>& keys) {
        outcomes.add(issuer, keys.has_value());
    };
}

TEST(KeyFetcher, AnIssuerThatDoesNotAnswerDelaysNoOther) {
    LoopbackServer silent(stay_silent);
    GoodIssuer good;
    Outcomes outcomes;
    KeyFetcher fetcher({{.issuer = "http://" + silent.address()}, {.issuer = good.url()}},
                       Reach::loopback_as_well, into(outcomes));
    EXPECT_EQ(outcomes.first(), std::make_pair(std::size_t{1}, true));
}

TEST(KeyFetcher, WhoeverStopsItWaitsForNoAnswer) {
    std::latch asked(1);
    LoopbackServer silent([&](int fd) {
        read_request(fd);
        asked.count_down();
        stay_silent(fd);
    });
    Outcomes outcomes;
    {
        KeyFetcher fetcher({{.issuer = "http://" + silent.address()}}, Reach::loopback_as_well,
                           into(outcomes));
        asked.wait();
    }
    EXPECT_TRUE(outcomes.all.empty()) << "the fetch was given up, not waited for";
}

}  // namespace
}  // namespace eos::attestd
