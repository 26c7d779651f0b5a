// SPDX-License-Identifier: AGPL-3.0-only
// Answers to the enclave's requests that come twice, late, in another order, to no question, or
// are of another kind. None reaches a caller as the answer to its question.
#include <gtest/gtest.h>

#include "tests/hostile_host/client.h"

namespace eos::hostile {
namespace {

using namespace boundary;

class Calls : public testing::Test {
  protected:
    void expect_served() {
        EXPECT_TRUE(host_.serve_until_logged(LogCode::kUnowned));
        EXPECT_EQ(visit(host_), "served");
        EXPECT_EQ(visit(host_, {.challenges = true}), "served");
        EXPECT_EQ(host_.stop(), "exited with code 0: it was asked to end");
        EXPECT_EQ(host_.violation(), "");
    }
    Machine machine_;
    Blobs blobs_;
    HostileHost host_{machine_, blobs_};
};

TEST_F(Calls, EveryAnswerTwice) {
    host_.answer_with([](const RpcToHost&, const HostileHost::Honest& honest) {
        Reply reply = honest();
        return std::vector{reply, reply, reply};
    });
    expect_served();
}

TEST_F(Calls, AnswersToQuestionsThatWereNeverAsked) {
    host_.answer_with([](const RpcToHost&, const HostileHost::Honest& honest) {
        Reply reply = honest();
        std::vector<Reply> out;
        for (std::uint64_t id : {std::uint64_t{0}, reply.request_id + 1'000'000, ~std::uint64_t{0}})
            out.push_back({.request_id = id, .body = Failed{Failed::Why::kStorage}});
        out.push_back(std::move(reply));
        return out;
    });
    expect_served();
}

TEST_F(Calls, EveryOldAnswerAgain) {
    auto old = std::make_shared<std::vector<Reply>>();
    host_.answer_with([old](const RpcToHost&, const HostileHost::Honest& honest) {
        std::vector<Reply> out = *old;
        out.push_back(honest());
        old->push_back(out.back());
        return out;
    });
    expect_served();
}

TEST_F(Calls, AnswersInReverseOrder) {
    ASSERT_TRUE(host_.serve_until_logged(LogCode::kUnowned));
    auto held = std::make_shared<std::vector<Reply>>();
    host_.answer_with([held](const RpcToHost&, const HostileHost::Honest& honest) {
        held->insert(held->begin(), honest());
        return std::vector<Reply>();
    });
    std::vector<std::unique_ptr<Client>> clients;
    for (int i = 0; i < 6; ++i)
        clients.push_back(std::make_unique<Client>(host_, Client::Options{.challenges = true}));
    ASSERT_TRUE(host_.serve_until([&] { return held->size() == clients.size(); }));
    host_.answer_with({});
    for (const Reply& reply : *held) host_.send(reply);
    for (auto& client : clients) EXPECT_EQ(client->ask("GET", "/healthz").status, 200);
    expect_served();
}

// The answer to one question, sent as the answer to another that waits at the same time.
TEST_F(Calls, AnswersSwappedAmongQuestions) {
    ASSERT_TRUE(host_.serve_until_logged(LogCode::kUnowned));
    auto held = std::make_shared<std::vector<Reply>>();
    host_.answer_with([held](const RpcToHost&, const HostileHost::Honest& honest) {
        held->push_back(honest());
        return std::vector<Reply>();
    });
    Client one(host_, {.challenges = true});
    Client other(host_, {.challenges = true});
    ASSERT_TRUE(host_.serve_until([&] { return held->size() == 2; }));
    host_.answer_with({});
    std::swap((*held)[0].request_id, (*held)[1].request_id);
    for (const Reply& reply : *held) host_.send(reply);
    // Each quote is of another report: neither handshake gets it.
    EXPECT_FALSE(one.shake_hands());
    EXPECT_FALSE(other.shake_hands());
    expect_served();
}

TEST_F(Calls, AnAnswerOfAnotherKindIsNone) {
    host_.answer_with([](const RpcToHost& request, const HostileHost::Honest& honest) {
        Reply reply = honest();
        if (std::holds_alternative<TargetInfoRequest>(request)) reply.body = Done{};
        return std::vector{reply};
    });
    ASSERT_TRUE(host_.serve_until_logged(LogCode::kEvidenceFailed));
    host_.answer_with({});
    host_.skip(std::chrono::seconds(6));  // the next attempt
    expect_served();
}

TEST_F(Calls, NoAnswerAtAllHoldsUpNobodyElse) {
    ASSERT_TRUE(host_.serve_until_logged(LogCode::kUnowned));
    host_.answer_with(
        [](const RpcToHost&, const HostileHost::Honest&) { return std::vector<Reply>(); });
    Client waiting(host_, {.challenges = true});
    for (int i = 0; i < 3; ++i) EXPECT_EQ(visit(host_), "served");
    EXPECT_EQ(waiting.session().progress(), ratls::Progress::kNeedsInput);
    host_.skip(std::chrono::seconds(16));  // past the quote's deadline
    EXPECT_FALSE(waiting.shake_hands());
    EXPECT_TRUE(host_.wire(waiting.conn_id()).is_closed);
    host_.answer_with({});
    expect_served();
}

// Late: after its deadline, when the enclave has long given up on it.
TEST_F(Calls, ALateAnswerIsNone) {
    ASSERT_TRUE(host_.serve_until_logged(LogCode::kUnowned));
    std::vector<Reply> held;
    host_.answer_with([&held](const RpcToHost&, const HostileHost::Honest& honest) {
        held.push_back(honest());
        return std::vector<Reply>();
    });
    Client waiting(host_, {.challenges = true});
    ASSERT_TRUE(host_.serve_until([&] { return !held.empty(); }));
    host_.skip(std::chrono::seconds(16));
    EXPECT_FALSE(waiting.shake_hands());
    host_.answer_with({});
    for (const Reply& reply : held) host_.send(reply);
    expect_served();
}

TEST_F(Calls, OneWorkerToldToShutDownDoesNotStopTheOthers) {
    Blobs blobs;
    HostileHost host(machine_, blobs, 2);
    ASSERT_TRUE(host.serve_until_logged(LogCode::kUnowned));
    for (int i = 0; i < 3; ++i) host.send(Shutdown{.deadline_ms = 100'000}, 1);
    ASSERT_TRUE(host.settle());
    EXPECT_EQ(visit(host, {.worker = 0}), "served");
    EXPECT_NE(visit(host, {.worker = 1}), "served");
    host.send(Shutdown{.deadline_ms = 100'000}, 0);
    EXPECT_EQ(host.wait_for_end(), "exited with code 0: it was asked to end");
    EXPECT_EQ(host.exit_reason(), Exit::Why::kRequested);
}

}  // namespace
}  // namespace eos::hostile
