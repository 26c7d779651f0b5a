// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/mini/host_services/host_calls.h"

#include <gtest/gtest.h>

#include "boundary/test_block.h"
#include "trusted/mini/host_services/services.h"
#include "trusted/runtime/sealed_store.h"

namespace eos::mini {
namespace {

using namespace boundary;

class HostCallsTest : public ::testing::Test {
  protected:
    // Asks for a blob; the outcome's code, or "" while there is none, stands in the returned place.
    std::string& ask() {
        std::string& outcome = outcomes_.emplace_back();
        calls_.call(BlobGet{{}, "key"}, kDeadlineMs, [&outcome](Result<HostCalls::Body> body) {
            auto value = expect_answer<BlobValue>(std::move(body));
            outcome = value ? "ok" : std::string(value.error().code().name);
        });
        return outcome;
    }
    void answer(std::uint64_t id, decltype(Reply::body) body) {
        calls_.answered(FromHost(Reply{.request_id = id, .body = std::move(body)}));
    }

    static constexpr std::uint32_t kDeadlineMs = 1000;
    TestBlock block_{{.rpc_ring_bytes = kMinRingBytes}};
    NoSignals signals_;
    TrustedWorkerEndpoint trusted_{block_.layout(), 0, signals_};
    HostWorkerEndpoint host_{block_.layout(), 0, signals_};
    HostCalls calls_{trusted_};
    std::deque<std::string> outcomes_;
};

TEST_F(HostCallsTest, OnlyTheFirstFittingAnswerCounts) {
    std::string& first = ask();
    std::string& second = ask();
    answer(0, Done{});
    answer(3, BlobValue{});
    answer(2, Done{});
    EXPECT_EQ(first, "");
    EXPECT_EQ(second, "host_misbehaved");
    answer(2, BlobValue{});
    EXPECT_EQ(second, "host_misbehaved");
    answer(1, BlobValue{});
    EXPECT_EQ(first, "ok");
    answer(1, Failed{Failed::Why::kStorage});
    EXPECT_EQ(first, "ok");
}

TEST_F(HostCallsTest, AnAnswerAfterTheDeadlineIsNone) {
    std::string& outcome = ask();
    calls_.turn(kDeadlineMs);
    EXPECT_EQ(outcome, "host_timed_out");
    answer(1, BlobValue{});
    EXPECT_EQ(outcome, "host_timed_out");
    EXPECT_EQ(calls_.next_deadline_ms(), std::nullopt);
}

// Named after what it stops: calls end by their deadline and leave their request behind, so that a
// host which takes none could make the enclave hold ever more of them.
TEST_F(HostCallsTest, AHostThatTakesNoRequestIsAskedNoMore) {
    std::uint64_t now_ms = 0;
    std::size_t timed_out = 0;
    while (timed_out < 100'000) {
        std::string& outcome = ask();
        calls_.turn(now_ms += kDeadlineMs);
        if (outcome == "host_overloaded") break;
        ASSERT_EQ(outcome, "host_timed_out");
        ++timed_out;
    }
    EXPECT_LE(timed_out, kMaxHostCalls + kMinRingBytes / frame_bytes(17));
    // It takes them after all: calls go through again.
    for (int turn = 0; turn < 100; ++turn) {
        trusted_.flush();
        while (host_.receive_rpc().value()) continue;
        host_.flush();
        calls_.turn(now_ms);
    }
    std::string& outcome = ask();
    answer(timed_out + 1, BlobValue{});
    EXPECT_EQ(outcome, "ok");
}

TEST_F(HostCallsTest, StorageSaysWhetherAskingAgainHelps) {
    HostBlobStore store(calls_);
    std::vector<Code> codes;
    auto note = [&codes](const auto& outcome) { codes.push_back(outcome.error().code()); };
    store.get("key", note);
    store.list({}, note);
    store.write({{"key", std::nullopt}}, runtime::Durability::kSynced, note);
    answer(1, Failed{Failed::Why::kStorage});
    answer(2, BlobValue{});
    calls_.turn(60'000);
    EXPECT_EQ(codes, (std::vector<Code>{runtime::storage_unavailable, runtime::storage_misbehaved,
                                        runtime::storage_unavailable}));
}

}  // namespace
}  // namespace eos::mini
