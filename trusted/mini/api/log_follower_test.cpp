// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/mini/api/log_follower.h"

#include <gtest/gtest.h>

#include "trusted/mini/api/testing.h"

namespace eos::mini {
namespace {

using testing::Caller;

class LogFollowing : public ::testing::Test, protected testing::ApiRig {
  protected:
    void SetUp() override {
        start_owned();
        ASSERT_EQ(load_app("one", testing::idle_module()).status, 201);
    }
    void say(std::string_view text) {
        logs.open({"one", {}});
        logs.append({"one", {}}, clock.now(), as_bytes(text));
    }
    std::unique_ptr<testing::ApiPeer> follow(std::string_view query = "?follow=1") {
        auto peer = connect(to_platform(Caller::kOwner));
        peer->send("GET /api/v1/apps/one/logs" + std::string(query));
        settle(*peer);
        return peer;
    }
    /// What came since it was asked last.
    std::string heard(testing::ApiPeer& peer) {
        settle(peer);
        return std::exchange(peer.sink.written, {});
    }
};

TEST_F(LogFollowing, LinesComeAsTheyAreWritten) {
    say("before\n");
    auto peer = follow();
    std::string start = heard(*peer);
    EXPECT_NE(start.find("HTTP/1.1 200"), std::string::npos);
    EXPECT_NE(start.find("application/x-ndjson"), std::string::npos);
    EXPECT_NE(start.find(R"("text":"before")"), std::string::npos) << start;
    EXPECT_EQ(heard(*peer), "");
    say("after \xff\n");
    std::string line = heard(*peer);
    EXPECT_NE(line.find("{\"sequence\":2,\"text\":\"after \xEF\xBF\xBD\""), std::string::npos)
        << line;
    EXPECT_FALSE(peer->is_over());
}

TEST_F(LogFollowing, ItBeginsBehindTheLineThatWasSeen) {
    say("1\n2\n3\n");
    auto peer = follow("?after=2&follow=1");
    std::string start = heard(*peer);
    EXPECT_EQ(start.find(R"("sequence":2)"), std::string::npos) << start;
    EXPECT_NE(start.find(R"("sequence":3)"), std::string::npos) << start;
}

// However much an app writes, a peer that does not read costs one buffer; then it is told.
TEST_F(LogFollowing, ASlowReaderCostsConstantMemoryAndIsToldWhatItMissed) {
    auto peer = follow();
    heard(*peer);
    peer->sink.window = 0;
    constexpr int kLines = 5000;
    for (int i = 0; i < kLines; ++i) {
        say(std::string(1000, 'x') + "\n");
        settle(*peer);
    }
    EXPECT_EQ(heard(*peer), "");
    std::string all;
    for (int i = 0; i < 1000 && all.find("\"sequence\":5000") == std::string::npos; ++i) {
        peer->sink.window = 8192;
        peer->connection().writable();
        all += heard(*peer);
    }
    EXPECT_NE(all.find(R"({"missed":)"), std::string::npos);
    EXPECT_NE(all.find("\"sequence\":5000"), std::string::npos);
    // The output buffer, the ring, and nothing of what lay between.
    EXPECT_LT(all.size(), (64 + 256 + 64) * 1024u * 5 / 4);
}

TEST_F(LogFollowing, WhoHangsUpIsForgotten) {
    for (std::size_t i = 0; i < 3 * kMaxLogReadersPerApp; ++i) {
        auto peer = follow();
        EXPECT_NE(heard(*peer).find("HTTP/1.1 200"), std::string::npos);
        say("something\n");
        peer->hang_up();  // with a wake-up under way
        port.run();
    }
}

TEST_F(LogFollowing, FollowersAreCounted) {
    std::vector<std::unique_ptr<testing::ApiPeer>> peers;
    for (std::size_t i = 0; i < kMaxLogReadersPerApp; ++i) peers.push_back(follow());
    auto beyond = follow();
    EXPECT_EQ(runtime::read_response(heard(*beyond)).status, 503);
    peers.pop_back();
    EXPECT_NE(heard(*follow()).find("HTTP/1.1 200"), std::string::npos);
}

TEST_F(LogFollowing, OnlyTheOwnerMay) {
    EXPECT_EQ(ask(to_platform(Caller::kNobody), "GET /api/v1/apps/one/logs?follow=1").status, 401);
    EXPECT_EQ(ask(to_platform(Caller::kStranger), "GET /api/v1/apps/one/logs?follow=1").status,
              403);
    EXPECT_EQ(own("GET /api/v1/apps/none/logs?follow=1").status, 404);
}

// Else nobody would ever learn that there is nothing more to come.
TEST_F(LogFollowing, AHeadIsAnsweredAtOnce) {
    auto peer = connect(to_platform(Caller::kOwner));
    peer->send("HEAD /api/v1/apps/one/logs?follow=1");
    settle(*peer);
    EXPECT_EQ(runtime::read_response(peer->sink.written, http::Method::kHead).status, 200);
}

}  // namespace
}  // namespace eos::mini
