// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/virtual/proxy/health_checks.h"

#include <gtest/gtest.h>

#include <chrono>
#include <set>

#include "trusted/virtual/proxy/fake_upstream_test.h"
#include "trusted/virtual/proxy/http2_upstream_test.h"
#include "trusted/virtual/proxy/upstream_client_test.h"

namespace eos::cvm::proxy {
namespace {

constexpr auto kPatience = std::chrono::seconds(10);

struct HealthChecksTest : testing::Test {
    HealthChecksTest() {
        Config config;
        config.routes.resize(1);
        config.routes[0].name = "a";
        config.routes[0].hostname = "a.example";
        config.routes[0].upstream.tcp = upstream.address;
        config.routes[0].health.path = "/up?x";
        config.routes[0].health.unhealthy_after = 2;
        config.routes[0].health.healthy_after = 2;
        routes = make_routes(config, {}, 1);
        checks.set_routes(*routes);
    }
    bool is_healthy() const { return routes->at("a.example")->is_healthy; }
    template <typename Condition>
    void until(Condition condition) {
        const auto deadline = std::chrono::steady_clock::now() + kPatience;
        while (!condition()) {
            ASSERT_LT(std::chrono::steady_clock::now(), deadline);
            loop.turn(1);
            checks.turn();
            upstreams.turn();
            upstream.turn();
        }
    }
    /// The next check, answered so.
    void check(std::string_view answer) {
        const std::size_t index = upstream.connections.size();
        clock.ms += 10'000;
        until([&] {
            return upstream.connections.size() > index &&
                   upstream.connections[index].received.ends_with("\r\n\r\n");
        });
        upstream.connections[index].send(answer);
        upstream.connections[index].close();
        until([&] { return upstreams.count() == 0; });
    }

    HandClock clock;
    os::EventLoop loop;
    FakeUpstream upstream;
    std::shared_ptr<const RouteTable> routes;
    Upstreams upstreams{loop, clock};
    HealthChecks checks{upstreams, clock};
};

constexpr std::string_view kGood = "HTTP/1.1 204 No Content\r\n\r\n";
constexpr std::string_view kBad = "HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n";

TEST_F(HealthChecksTest, AskForThePathUnderTheRoutesName) {
    check(kGood);
    EXPECT_EQ(upstream.connections[0].received,
              "GET /up?x HTTP/1.1\r\nhost: a.example\r\nuser-agent: enclave-os-health\r\n"
              "\r\n");
    EXPECT_EQ(checks.next_deadline_ms(), clock.ms + 10'000);
}

TEST_F(HealthChecksTest, ItTakesSeveralInARowToChangeAMind) {
    check(kBad);
    EXPECT_TRUE(is_healthy());
    check(kGood);
    check(kBad);
    EXPECT_TRUE(is_healthy());
    check("nonsense");
    EXPECT_FALSE(is_healthy());
    check(kGood);
    EXPECT_FALSE(is_healthy());
    check(kGood);
    EXPECT_TRUE(is_healthy());
}

TEST_F(HealthChecksTest, SilenceIsAFailure) {
    for (std::size_t i = 1; i <= 2; ++i) {
        clock.ms += 10'000;
        until([&] { return upstream.connections.size() == i; });
        clock.ms += 5'000;
        until([&] { return upstream.connections[i - 1].ended; });
    }
    EXPECT_FALSE(is_healthy());
}

TEST_F(HealthChecksTest, AnAnswerThatTricklesInIsAFailure) {
    for (std::size_t i = 0; i < 2; ++i) {
        clock.ms += 10'000;
        until([&] {
            return upstream.connections.size() > i &&
                   upstream.connections[i].received.ends_with("\r\n\r\n");
        });
        EXPECT_EQ(checks.next_deadline_ms(), clock.ms + 5'000);
        upstream.connections[i].send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n");
        for (int second = 0; second < 5; ++second) {
            EXPECT_EQ(upstreams.count(), 1U) << second;
            upstream.connections[i].send("x");
            loop.turn(100);
            upstreams.turn();
            clock.ms += 1'000;
        }
        until([&] { return upstream.connections[i].ended; });
    }
    EXPECT_FALSE(is_healthy());
}

TEST_F(HealthChecksTest, AnUpstreamOfHttp2IsAskedInHttp2) {
    Config config;
    config.routes.push_back(routes->at("a.example")->config);
    config.routes[0].upstream.protocol = UpstreamProtocol::kHttp2;
    config.routes[0].health.unhealthy_after = 1;
    routes = make_routes(config, *routes, 1);
    checks.set_routes(*routes);
    for (const char* status : {"500", "204"}) {
        const std::size_t index = upstream.connections.size();
        clock.ms += 10'000;
        Http2Upstream up;
        until([&] {
            if (upstream.connections.size() <= index) return false;
            FakeUpstream::Connection& one = upstream.connections[index];
            up.receive(std::exchange(one.received, {}));
            if (const std::string output = up.output(); !output.empty()) one.send(output);
            return up.requests[1].ended;
        });
        EXPECT_EQ(up.requests.at(1).fields.at(":path"), "/up?x");
        EXPECT_EQ(up.requests.at(1).fields.at(":authority"), "a.example");
        up.answer_head(1, {{":status", status}});
        upstream.connections[index].send(up.output());
        until([&] { return upstreams.count() == 0; });
        EXPECT_EQ(is_healthy(), false);
    }
    EXPECT_EQ(upstream.connections.size(), 2U);
}

TEST_F(HealthChecksTest, ARouteThatIsGoneIsNotAsked) {
    check(kGood);
    checks.set_routes({});
    EXPECT_EQ(checks.next_deadline_ms(), std::nullopt);
}

/// Many routes to one upstream, and a bound on connections.
struct ManyChecks {
    static constexpr std::uint64_t kIntervalMs = 10'000;

    ManyChecks(std::size_t count, std::size_t max_open) : upstreams(loop, clock, max_open) {
        Config config;
        config.routes.resize(count);
        for (std::size_t i = 0; i < count; ++i) {
            config.routes[i].name = "r" + std::to_string(i);
            config.routes[i].hostname = config.routes[i].name + ".example";
            config.routes[i].upstream.tcp = upstream.address;
            config.routes[i].health.path = "/up";
        }
        routes = make_routes(config, {}, 1);
        checks.set_routes(*routes);
    }
    void turn() {
        loop.turn(1);
        checks.turn();
        upstreams.turn();
        upstream.turn();
    }
    /// Answers every question that came, and notes of which route it was.
    void answer() {
        for (FakeUpstream::Connection& one : upstream.connections) {
            if (!one.fd.valid() || !one.received.ends_with("\r\n\r\n")) continue;
            asked.push_back(one.received.substr(one.received.find("host: ")));
            asked.back().resize(asked.back().find('\r'));
            one.send(kGood);
            one.close();
        }
    }
    /// Time goes by in small steps.
    void pass(std::uint64_t ms) {
        for (const std::uint64_t end = clock.ms + ms; clock.ms < end; clock.ms += 50) {
            turn();
            answer();
        }
    }
    /// A request that is under way.
    UpstreamExchange* occupy(Recorder& recorder) {
        const auto pool =
            std::make_shared<UpstreamPool>(routes->begin()->second->config.upstream, 1);
        return upstreams.start(pool, request_head(), Freshness::kAny, recorder).value();
    }
    std::set<std::string> routes_asked() const { return {asked.begin(), asked.end()}; }

    HandClock clock;
    os::EventLoop loop;
    FakeUpstream upstream;
    std::shared_ptr<const RouteTable> routes;
    Upstreams upstreams;
    HealthChecks checks{upstreams, clock};
    std::vector<std::string> asked;
};

TEST(ManyHealthChecks, FirstOnesAreSpreadOverTheInterval) {
    ManyChecks few(4, SIZE_MAX);
    few.checks.turn();
    EXPECT_EQ(few.upstreams.count(), 1U);
    EXPECT_EQ(few.checks.next_deadline_ms(), few.clock.ms + HealthChecks::kStepMs);

    ManyChecks many(1000, SIZE_MAX);
    many.checks.turn();
    EXPECT_EQ(many.upstreams.count(), 1U);
    EXPECT_EQ(many.checks.next_deadline_ms(), many.clock.ms + ManyChecks::kIntervalMs / 1000);
}

TEST(ManyHealthChecks, EachIsMadeAlthoughThereIsHardlyAnyRoom) {
    ManyChecks many(100, 2);
    many.pass(3 * ManyChecks::kIntervalMs);
    EXPECT_EQ(many.routes_asked().size(), 100U);
}

TEST(ManyHealthChecks, WithoutRoomTheyWaitInTheirOrder) {
    ManyChecks two(2, 1);
    two.clock.ms += HealthChecks::kStepMs;  // both are due
    Recorder recorder;
    UpstreamExchange* other = two.occupy(recorder);
    two.checks.turn();
    EXPECT_EQ(two.checks.next_deadline_ms(), two.clock.ms + HealthChecks::kStepMs);
    two.clock.ms += 2 * ManyChecks::kIntervalMs;
    two.checks.turn();
    EXPECT_EQ(two.checks.next_deadline_ms(), two.clock.ms + HealthChecks::kStepMs);
    other->abandon();
    two.pass(10 * HealthChecks::kStepMs);
    ASSERT_GE(two.asked.size(), 2U);
    EXPECT_EQ(two.asked[0], "host: r0.example");
    EXPECT_EQ(two.asked[1], "host: r1.example");
}

TEST(ManyHealthChecks, OneWhoseAnswerTakesLongHoldsUpNoOther) {
    ManyChecks two(2, SIZE_MAX);
    for (int i = 0; i < 3; ++i) two.turn();
    EXPECT_EQ(two.upstreams.count(), 1U);  // and nobody answers
    two.clock.ms += HealthChecks::kStepMs;
    two.turn();
    EXPECT_EQ(two.upstreams.count(), 2U);
}

}  // namespace
}  // namespace eos::cvm::proxy
