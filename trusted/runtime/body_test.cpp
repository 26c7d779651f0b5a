// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/runtime/body.h"

#include <gtest/gtest.h>

#include "trusted/runtime/http_test_peer.h"
#include "trusted/runtime/responses.h"

namespace eos::runtime {
namespace {

constexpr std::size_t kLimit = 300'000;

/// Collects every body and answers with its size.
class BodyWorld {
  public:
    explicit BodyWorld(std::size_t budget_bytes, Lending lending = Lending::kAtOnce)
        : budget(budget_bytes) {
        peer.dispatcher.serve = [this, lending](http::RequestHead head, const ConnectionInfo&,
                                                Exchange exchange) {
            return collect_body(
                head.body, kLimit, budget, std::move(exchange),
                [this](Exchange answer, CollectedBody body) {
                    ++calls;
                    last_body = std::move(body.bytes);
                    free_at_call = budget.free_bytes();
                    EXPECT_TRUE(answer.respond(ok_head(), to_bytes("ok")));
                },
                lending);
        };
    }

    MemoryBudget budget;
    TestPeer peer;
    int calls = 0;
    Bytes last_body;
    std::size_t free_at_call = 0;
};

std::string chunks(std::size_t count, std::size_t size) {
    std::string out;
    for (std::size_t i = 0; i < count; ++i) {
        Bytes chunk;
        http::append_chunk(chunk, Bytes(size, std::byte{'x'}));
        out += as_chars(chunk);
    }
    return out + "0\r\n\r\n";
}

TEST(MemoryBudget, AShareLendsWhatBothHave) {
    MemoryBudget whole(100);
    MemoryBudget share(whole, 80);
    {
        MemoryBudget::Loan loan(share);
        EXPECT_FALSE(loan.grow_to(81));
        EXPECT_TRUE(loan.grow_to(70));
        MemoryBudget::Loan other(whole);
        EXPECT_TRUE(other.grow_to(25));
        EXPECT_FALSE(loan.grow_to(76)) << "the whole has less left than the share";
        EXPECT_EQ(share.free_bytes(), 10U);
        EXPECT_EQ(whole.free_bytes(), 5U);
    }
    EXPECT_EQ(share.free_bytes(), 80U);
    EXPECT_EQ(whole.free_bytes(), 100U);
}

TEST(CollectBody, OfKnownSizeIsLentBeforeTheFirstByte) {
    BodyWorld world(1000);
    world.peer.send(post("Content-Length: 600", std::string(100, 'x')));
    EXPECT_EQ(world.budget.free_bytes(), 400u);
    world.peer.send(std::string(500, 'x'));
    EXPECT_EQ(world.calls, 1);
    EXPECT_EQ(world.last_body.size(), 600u);
    EXPECT_EQ(world.free_at_call, 400u);
    EXPECT_EQ(world.budget.free_bytes(), 1000u);
    EXPECT_EQ(read_response(world.peer.sink.written).status, 200);
}

TEST(CollectBody, WhatIsAnnouncedIsNotLentWhereItIsLentAsItComes) {
    BodyWorld world(500'000, Lending::kAsItComes);
    world.peer.send(post("Content-Length: 250000", "x"));
    EXPECT_EQ(world.budget.free_bytes(), 500'000U - 64 * 1024);
    world.peer.send(std::string(249'999, 'x'));
    EXPECT_EQ(world.last_body.size(), 250'000U);
    EXPECT_GE(world.free_at_call, 500'000U - 2 * 250'000);
    EXPECT_EQ(world.budget.free_bytes(), 500'000U);
    EXPECT_EQ(read_response(world.peer.sink.written).status, 200);
    // A small one takes no more than it announces.
    BodyWorld small(600, Lending::kAsItComes);
    small.peer.send(post("Content-Length: 600", std::string(600, 'x')));
    EXPECT_EQ(small.last_body.size(), 600U);
    BodyWorld poor(200'000, Lending::kAsItComes);
    poor.peer.send(post("Content-Length: 250000", std::string(250'000, 'x')));
    EXPECT_EQ(read_response(poor.peer.sink.written).status, 503);
    EXPECT_EQ(poor.calls, 0);
}

TEST(CollectBody, WithoutABodyThereIsAnEmptyOne) {
    BodyWorld world(0);
    world.peer.send(kGet);
    EXPECT_EQ(world.calls, 1);
    EXPECT_TRUE(world.last_body.empty());
}

TEST(CollectBody, AnExhaustedBudgetIsAnswered503) {
    BodyWorld world(1000);
    world.peer.send(post("Content-Length: 1001", ""));
    const ReadResponse response = read_response(world.peer.sink.written);
    EXPECT_EQ(response.status, 503);
    EXPECT_TRUE(response.headers.first("retry-after"));
    EXPECT_EQ(world.budget.free_bytes(), 1000u);

    BodyWorld chunked(200'000);
    chunked.peer.send(post("Transfer-Encoding: chunked", chunks(200, 1000)));
    EXPECT_EQ(read_response(chunked.peer.sink.written).status, 503);
    EXPECT_EQ(chunked.budget.free_bytes(), 200'000u);
    EXPECT_EQ(chunked.calls, 0);
}

TEST(CollectBody, OfUnknownSizeGrows) {
    BodyWorld world(10'000'000);
    world.peer.send(post("Transfer-Encoding: chunked", chunks(250, 1000)));
    EXPECT_EQ(world.last_body, Bytes(250'000, std::byte{'x'}));
    EXPECT_EQ(world.budget.free_bytes(), 10'000'000u);
}

TEST(CollectBody, OverTheLimitIs413) {
    BodyWorld known(10'000'000);
    known.peer.send(post("Content-Length: 300001", ""));
    EXPECT_EQ(read_response(known.peer.sink.written).status, 413);

    BodyWorld chunked(10'000'000);
    chunked.peer.send(post("Transfer-Encoding: chunked", chunks(301, 1000)));
    EXPECT_EQ(read_response(chunked.peer.sink.written).status, 413);
    EXPECT_EQ(chunked.calls, 0);
    EXPECT_EQ(chunked.budget.free_bytes(), 10'000'000u);
}

TEST(CollectBody, ADeadConnectionGivesBackItsLoan) {
    MemoryBudget budget(1000);
    {
        TestPeer peer;
        peer.dispatcher.serve = [&](http::RequestHead head, const ConnectionInfo&,
                                    Exchange exchange) {
            return collect_body(head.body, kLimit, budget, std::move(exchange),
                                [](Exchange, CollectedBody) { ADD_FAILURE(); });
        };
        peer.send(post("Content-Length: 600", "x"));
        EXPECT_EQ(budget.free_bytes(), 400u);
    }
    EXPECT_EQ(budget.free_bytes(), 1000u);
}

TEST(Responses, ErrorTextIsAlwaysValidJson) {
    EXPECT_EQ(as_chars(error_body("a \"b\"\n\x01")), R"({"error":"a \"b\"\n\u0001"})");
    EXPECT_EQ(as_chars(error_body("\xff")), "{\"error\":\"\xef\xbf\xbd\"}");
}

}  // namespace
}  // namespace eos::runtime
