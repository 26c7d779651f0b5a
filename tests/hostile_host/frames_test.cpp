// SPDX-License-Identifier: AGPL-3.0-only
// Frames and positions that no honest host writes. Each ends the program, which says why: a host
// that breaks the rules of the rings is broken or hostile, and nothing it says later can be used.
#include <gtest/gtest.h>

#include <atomic>
#include <cstring>

#include "common/base/codec.h"
#include "tests/hostile_host/client.h"

namespace eos::hostile {
namespace {

using namespace boundary;

TEST(HonestHost, IsServedAndOwned) {
    Machine machine;
    Blobs blobs;
    HostileHost host(machine, blobs, 2);
    ASSERT_TRUE(host.serve_until_logged(LogCode::kUnowned));
    EXPECT_EQ(visit(host), "served");
    EXPECT_EQ(visit(host, {.worker = 1}), "served");
    Owner owner(machine);
    ASSERT_EQ(owner.provision(host), "owned");
    EXPECT_EQ(visit(host, {.server_name = kPlatformName}), "served");
    Answer loaded = owner.load(host, "hello", 300'000);
    EXPECT_EQ(loaded.status, 201) << loaded.body << loaded.trouble;
    EXPECT_EQ(owner.apps(host), "hello");
    EXPECT_EQ(host.stop(), "exited with code 0: it was asked to end");
}

/// Something a hostile host does once.
struct Attack {
    const char* name;
    void (*act)(HostileHost&);
};
void PrintTo(const Attack& attack, std::ostream* out) {
    *out << attack.name;
}
std::string name_of(const testing::TestParamInfo<Attack>& info) {
    return info.param.name;
}

// A frame as it lies in a ring; the header may lie about the payload's size.
void push(HostileHost& host, RingId ring, std::uint32_t type, ByteView payload,
          std::optional<std::uint32_t> claimed_bytes = {}) {
    auto size = static_cast<std::uint32_t>(payload.size());
    std::vector<std::uint64_t> words((payload.size() + 7) / 8 + 1);
    words[0] = claimed_bytes.value_or(size) | std::uint64_t{type} << 32;
    if (!payload.empty()) std::memcpy(&words[1], payload.data(), payload.size());
    host.push_raw(ring, words, frame_bytes(size));
}
void push_type(HostileHost& host, RingId ring, MessageType type, ByteView payload) {
    push(host, ring, static_cast<std::uint32_t>(type), payload);
}
Bytes zeros(std::size_t count) {
    return Bytes(count);
}
Bytes ones(std::size_t count) {
    return Bytes(count, std::byte{1});
}

class EndsTheProgram : public testing::TestWithParam<Attack> {};

TEST_P(EndsTheProgram, AndItSaysWhy) {
    Machine machine;
    Blobs blobs;
    HostileHost host(machine, blobs);
    ASSERT_TRUE(host.serve_until_logged(LogCode::kUnowned));
    ASSERT_EQ(visit(host), "served");
    GetParam().act(host);
    EXPECT_EQ(host.wait_for_end(), ended_by_violation());
    EXPECT_TRUE(host.has_logged(LogCode::kBoundaryViolated));
    EXPECT_EQ(host.violation(), "");
    // The next start, on the same storage, is none the worse for it.
    HostileHost next(machine, blobs);
    ASSERT_TRUE(next.serve_until_logged(LogCode::kUnowned));
    EXPECT_EQ(visit(next), "served");
}

constexpr auto kDataIn = RingId::kDataIn;
constexpr auto kRpcIn = RingId::kRpcIn;

const Attack kPositions[] = {
    {"PublishedPastTheCapacity",
     [](HostileHost& h) { h.push_raw(kDataIn, {}, h.layout().options().data_ring_bytes + 8); }},
    {"PublishedRunsBackwards", [](HostileHost& h) { h.push_raw(kDataIn, {}, ~std::uint64_t{7}); }},
    {"PublishedHalfAWord", [](HostileHost& h) { h.push_raw(kDataIn, {0, 0}, 12); }},
    {"PublishedIsTheLastNumber",
     [](HostileHost& h) {
         std::atomic_ref(*h.layout().ring(0, kRpcIn).produced).store(~std::uint64_t{0});
         h.ring_bell();
     }},
    {"PublishedAFullRingOfNothing",
     [](HostileHost& h) {
         std::vector<std::uint64_t> nothing(h.layout().options().rpc_ring_bytes / 8);
         h.push_raw(kRpcIn, nothing, h.layout().options().rpc_ring_bytes);
     }},
};
INSTANTIATE_TEST_SUITE_P(Positions, EndsTheProgram, testing::ValuesIn(kPositions), name_of);

const Attack kFrames[] = {
    {"TruncatedFrame", [](HostileHost& h) { push(h, kDataIn, 1, zeros(8), 26); }},
    {"TruncatedAnswer", [](HostileHost& h) { push(h, kRpcIn, 35, zeros(64), 520); }},
    {"OversizedFrame",
     [](HostileHost& h) { push(h, kDataIn, 2, zeros(64), kMaxFramePayloadBytes + 1); }},
    {"FrameOfTheLargestNumber",
     [](HostileHost& h) { push(h, kRpcIn, 33, zeros(64), ~std::uint32_t{0}); }},
    {"EmptyFrame", [](HostileHost& h) { push(h, kDataIn, 1, {}); }},
    {"UnknownType", [](HostileHost& h) { push(h, kDataIn, 99, zeros(16)); }},
    {"TypeOfTheOtherDirection",
     [](HostileHost& h) { push_type(h, kDataIn, MessageType::kConnClose, ones(9)); }},
    {"AnswerOnTheDataRing",
     [](HostileHost& h) { push_type(h, kDataIn, MessageType::kReplyDone, ones(8)); }},
    {"DataOnTheAnswersRing",
     [](HostileHost& h) { push_type(h, kRpcIn, MessageType::kConnData, ones(9)); }},
    {"RequestOnTheAnswersRing",
     [](HostileHost& h) { push_type(h, kRpcIn, MessageType::kTargetInfo, ones(12)); }},
};
INSTANTIATE_TEST_SUITE_P(Frames, EndsTheProgram, testing::ValuesIn(kFrames), name_of);

const Attack kMessages[] = {
    {"OpenedOneByteShort",
     [](HostileHost& h) { push_type(h, kDataIn, MessageType::kConnOpened, ones(25)); }},
    {"OpenedOneByteLong",
     [](HostileHost& h) { push_type(h, kDataIn, MessageType::kConnOpened, ones(27)); }},
    {"DataWithoutBytes",
     [](HostileHost& h) { push_type(h, kDataIn, MessageType::kConnData, ones(8)); }},
    {"MoreDataThanAMessageHolds",
     [](HostileHost& h) {
         push_type(h, kDataIn, MessageType::kConnData, ones(8 + kMaxConnDataBytes + 1));
     }},
    {"CreditOfNothing",
     [](HostileHost& h) { push_type(h, kDataIn, MessageType::kConnCredit, zeros(12)); }},
    {"CreditBeyondEveryWindow",
     [](HostileHost& h) { push_type(h, kDataIn, MessageType::kConnCredit, ones(12)); }},
    {"EndedForNoKnownReason",
     [](HostileHost& h) { push_type(h, kDataIn, MessageType::kConnEnded, zeros(9)); }},
    {"AnswerWithBytesLeftOver",
     [](HostileHost& h) { push_type(h, kRpcIn, MessageType::kReplyDone, ones(9)); }},
    {"BlobLongerThanItsFrame",
     [](HostileHost& h) {
         Bytes lie = std::move(Writer().u64le(1).u8(1).u32le(4096).bytes(zeros(64))).take();
         push_type(h, kRpcIn, MessageType::kReplyBlobValue, lie);
     }},
    {"KeysThatDoNotRise",
     [](HostileHost& h) {
         Writer keys;
         keys.u64le(1).u16le(2);
         for (const char* key : {"b", "a"}) keys.u16le(1).bytes(as_bytes(key));
         push_type(h, kRpcIn, MessageType::kReplyBlobKeys, std::move(keys).take());
     }},
    {"QuoteWithoutBytes",
     [](HostileHost& h) { push_type(h, kRpcIn, MessageType::kReplyQuote, ones(8)); }},
    {"QuoteOverItsBound",
     [](HostileHost& h) {
         push_type(h, kRpcIn, MessageType::kReplyQuote, ones(8 + kMaxQuoteBytes + 1));
     }},
    {"FailedForNoKnownReason",
     [](HostileHost& h) { push_type(h, kRpcIn, MessageType::kReplyFailed, zeros(10)); }},
    {"ShutdownCutShort",
     [](HostileHost& h) { push_type(h, kRpcIn, MessageType::kShutdown, zeros(3)); }},
};
INSTANTIATE_TEST_SUITE_P(Messages, EndsTheProgram, testing::ValuesIn(kMessages), name_of);

/// A host that takes nothing, so that the enclave's rings fill.
class FullRings : public testing::Test {
  protected:
    void SetUp() override {
        ASSERT_TRUE(host_.serve_until_logged(LogCode::kUnowned));
        // However long the machine takes for so many handshakes, none takes too long.
        host_.tell_time([now = host_.real_time()] { return std::optional(now); });
        host_.take_messages(false);
        // Each ClientHello makes the enclave send its flight, of several KiB.
        for (int i = 0; i < 120; ++i) waiting_.push_back(std::make_unique<Client>(host_));
    }
    Machine machine_;
    Blobs blobs_;
    HostileHost host_{machine_, blobs_};
    std::vector<std::unique_ptr<Client>> waiting_;
};

TEST_F(FullRings, WhatFoundNoRoomIsSentWhenThereIs) {
    ASSERT_TRUE(host_.settle());
    const RingMemory ring = host_.layout().ring(0, RingId::kDataOut);
    ASSERT_GT(std::atomic_ref(*ring.produced).load() - std::atomic_ref(*ring.consumed).load(),
              ring.words.size_bytes() * 9 / 10);
    host_.take_messages(true);
    for (auto& client : waiting_) ASSERT_EQ(client->ask("GET", "/healthz").status, 200);
    EXPECT_EQ(host_.violation(), "");
}

TEST_F(FullRings, MoreConsumedThanThereWasEndsTheProgram) {
    std::atomic_ref(*host_.layout().ring(0, RingId::kDataOut).consumed).store(1 << 30);
    EXPECT_EQ(host_.wait_for_end(), ended_by_violation());
}

TEST_F(FullRings, ConsumedHalfAWordEndsTheProgram) {
    std::atomic_ref(*host_.layout().ring(0, RingId::kDataOut).consumed).store(4);
    EXPECT_EQ(host_.wait_for_end(), ended_by_violation());
}

}  // namespace
}  // namespace eos::hostile
