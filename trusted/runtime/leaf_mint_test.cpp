// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/runtime/leaf_mint.h"

#include <gtest/gtest.h>

#include <deque>

#include "common/crypto/random.h"

namespace eos::runtime {
namespace {

inline constexpr Code quoting_down{"test", "quoting_down", "no quotes today"};

class FakeClock : public Clock {
  public:
    UnixTime now() const override { return time; }
    std::uint64_t monotonic_ms() const override { return ms; }
    UnixTime time{1'788'516'930};
    std::uint64_t ms = 1000;
};

// Keeps requests until the test answers them.
class HeldEvidence : public EvidenceSource {
  public:
    void request(const ratls::ReportData& report_data, Done<Bytes> done) override {
        asked.push_back(report_data);
        waiting.push_back(std::move(done));
    }
    void answer(Result<Bytes> quote) {
        Done<Bytes> done = std::move(waiting.front());
        waiting.pop_front();
        done(std::move(quote));
    }
    std::vector<ratls::ReportData> asked;
    std::deque<Done<Bytes>> waiting;
};

class LeafMintTest : public ::testing::Test {
  protected:
    std::shared_ptr<const KeyEpoch> epoch() {
        std::shared_ptr<const KeyEpoch> out;
        make_epoch(evidence, clock, [&](auto result) { out = *result; });
        evidence.answer(Bytes(100));
        return out;
    }
    std::shared_ptr<Served> unowned(std::shared_ptr<const KeyEpoch> with) {
        auto out = std::make_shared<Served>();
        out->assurance = "process";
        out->names[""] = ServedName{.epoch = std::move(with)};
        out->names[""].tag = name_tag(out->names[""], *out);
        return out;
    }
    ratls::HandshakeOffer challenge() { return {"", Bytes(32, std::byte{7}), ratls::Binder{}}; }
    void mint(BoundMinter& minter, std::uint8_t peer = 1) {
        ByteArray<16> address{std::byte{peer}};
        minter.mint(served, challenge(), address, [this](Result<CredentialPtr> result) {
            outcomes.push_back(std::move(result));
        });
    }

    FakeClock clock;
    HeldEvidence evidence;
    std::atomic<int> in_all{0};
    std::shared_ptr<Served> served = unowned(epoch());
    std::vector<Result<CredentialPtr>> outcomes;
};

TEST_F(LeafMintTest, EpochBindsKeyAndWholeMinute) {
    std::shared_ptr<const KeyEpoch> made = epoch();
    EXPECT_EQ(made->not_before.seconds % 60, 0);
    EXPECT_EQ(evidence.asked.back(),
              ratls::ReportData::v1_deterministic(made->key.public_key(), made->not_before));
}

TEST_F(LeafMintTest, CachedUntilValuesOrEpochChange) {
    LeafCache cache;
    ServedName& name = served->names[""];
    CredentialPtr first = *cache.get(*served, name, ratls::LeafScheme::kV1, clock.now());
    EXPECT_EQ(*cache.get(*served, name, ratls::LeafScheme::kV1, clock.now()), first);
    name.values.push_back({oid::Oid::literal("1.3.6.1.4.1.65230.3.2"), Bytes(32)});
    name.tag = name_tag(name, *served);
    CredentialPtr second = *cache.get(*served, name, ratls::LeafScheme::kV1, clock.now());
    EXPECT_NE(second, first);
    name.epoch = epoch();
    EXPECT_NE(*cache.get(*served, name, ratls::LeafScheme::kV1, clock.now()), second);
}

TEST_F(LeafMintTest, TheLeafOfModeCHasTheKeyOfModeAAndNoEvidence) {
    LeafCache cache;
    const ServedName& name = served->names[""];
    CredentialPtr first = *cache.get(*served, name, ratls::LeafScheme::kV1, clock.now());
    CredentialPtr second = *cache.get(*served, name, ratls::LeafScheme::kV2, clock.now());
    EXPECT_EQ(*cache.get(*served, name, ratls::LeafScheme::kV2, clock.now()), second);
    auto v1 = x509::Certificate::parse(first->leaf_der());
    auto v2 = x509::Certificate::parse(second->leaf_der());
    ASSERT_TRUE(v1 && v2);
    EXPECT_TRUE(equal(v1->spki(), v2->spki()));
    EXPECT_TRUE(ratls::read_leaf(*v1, ratls::LeafScheme::kV1)->evidence.has_value());
    EXPECT_TRUE(ratls::read_leaf(*v2, ratls::LeafScheme::kV2).has_value());
    EXPECT_TRUE(ratls::check_leaf_binding(*v2).has_value());
    cache.retain(Served{});
    CredentialPtr third = *cache.get(*served, name, ratls::LeafScheme::kV2, clock.now());
    EXPECT_NE(third, second);
    // Dated anew in time, and also when the quote of mode A is too old.
    UnixTime half = clock.now() + ratls::kChannelLeafLifeSeconds / 2;
    EXPECT_EQ(*cache.get(*served, name, ratls::LeafScheme::kV2, half - 1), third);
    EXPECT_NE(*cache.get(*served, name, ratls::LeafScheme::kV2, half), third);
    UnixTime late = clock.now() + 2 * ratls::kDeterministicLifeSeconds;
    EXPECT_TRUE(cache.get(*served, name, ratls::LeafScheme::kV2, late));
    EXPECT_EQ(cache.get(*served, name, ratls::LeafScheme::kV1, late).error().code(), leaf_expired);
}

TEST_F(LeafMintTest, AnExpiredLeafIsNeverServed) {
    LeafCache cache;
    const ServedName& name = served->names[""];
    ASSERT_TRUE(cache.get(*served, name, ratls::LeafScheme::kV1, clock.now()).has_value());
    UnixTime end = name.epoch->not_before + ratls::kDeterministicLifeSeconds;
    EXPECT_TRUE(cache.get(*served, name, ratls::LeafScheme::kV1, end - 1).has_value());
    EXPECT_EQ(cache.get(*served, name, ratls::LeafScheme::kV1, end).error().code(), leaf_expired);
}

TEST_F(LeafMintTest, BoundLeafUsesAFreshKeyForEachHandshake) {
    BoundMinter minter(evidence, clock, in_all);
    mint(minter);
    mint(minter);
    ASSERT_EQ(evidence.waiting.size(), 2u);
    EXPECT_NE(evidence.asked[1], evidence.asked[2]);
    evidence.answer(Bytes(100));
    evidence.answer(Bytes(100));
    ASSERT_EQ(outcomes.size(), 2u);
    ASSERT_TRUE(outcomes[0].has_value() && outcomes[1].has_value());
    EXPECT_FALSE(equal((*outcomes[0])->leaf_der(), (*outcomes[1])->leaf_der()));
    EXPECT_EQ(in_all, 0);
}

TEST_F(LeafMintTest, NoQuoteNoLeaf) {
    BoundMinter minter(evidence, clock, in_all);
    mint(minter);
    evidence.answer(fail(quoting_down));
    EXPECT_EQ(outcomes.at(0).error().code(), quoting_down);
    EXPECT_EQ(minter.pending(), 0);
}

TEST_F(LeafMintTest, PendingMintsAreBoundedPerWorkerAndInAll) {
    BoundMinter minter(evidence, clock, in_all);
    for (std::uint8_t i = 0; i <= BoundMinter::kMaxPendingPerWorker; ++i) mint(minter, i);
    ASSERT_EQ(outcomes.size(), 1u);
    EXPECT_EQ(outcomes[0].error().code(), mint_busy);
    in_all = BoundMinter::kMaxPendingInAll;
    BoundMinter other(evidence, clock, in_all);
    mint(other);
    EXPECT_EQ(outcomes.at(1).error().code(), mint_busy);
    EXPECT_EQ(in_all, BoundMinter::kMaxPendingInAll);
}

TEST_F(LeafMintTest, BothKindsOfChallengeShareTheLimits) {
    BoundMinter minter(evidence, clock, in_all);
    const crypto::P256PublicKey& key = served->names[""].epoch->key.public_key();
    ratls::ChannelBinding channel;
    channel.exporter.fill(std::byte{9});
    std::vector<Result<Bytes>> answers;
    auto attest = [&](std::uint8_t peer) {
        minter.attest(key, channel, ByteArray<16>{std::byte{peer}},
                      [&](Result<Bytes> quote) { answers.push_back(std::move(quote)); });
    };
    attest(1);
    EXPECT_EQ(evidence.asked.back(), ratls::ReportData::v2_challenge(key, channel));
    for (std::uint8_t i = 1; i < BoundMinter::kMaxPendingPerWorker; ++i) mint(minter, i);
    attest(2);
    ASSERT_EQ(answers.size(), 1u);
    EXPECT_EQ(answers[0].error().code(), mint_busy);
    evidence.answer(Bytes(100));
    evidence.answer(fail(quoting_down));
    EXPECT_EQ(answers.at(1)->size(), 100u);
    EXPECT_EQ(minter.pending(), BoundMinter::kMaxPendingPerWorker - 2);
    EXPECT_EQ(in_all, BoundMinter::kMaxPendingPerWorker - 2);
    for (int i = 0; i < 100; ++i) {
        attest(200);
        if (evidence.waiting.size() > 6) evidence.answer(Bytes(1));
    }
    EXPECT_EQ(answers.back().error().code(), mint_rate);
}

TEST_F(LeafMintTest, OnePeerCannotTakeAllAndRecoversWithTime) {
    PeerRateLimiter limiter({.burst = 2, .per_minute = 60, .max_peers = 4});
    ByteArray<16> greedy{std::byte{1}};
    EXPECT_TRUE(limiter.take(greedy, 0).has_value());
    EXPECT_TRUE(limiter.take(greedy, 0).has_value());
    EXPECT_EQ(limiter.take(greedy, 0).error().code(), mint_rate);
    EXPECT_TRUE(limiter.take(ByteArray<16>{std::byte{2}}, 0).has_value());
    EXPECT_EQ(limiter.take(greedy, 999).error().code(), mint_rate);
    EXPECT_TRUE(limiter.take(greedy, 2000).has_value());
}

TEST_F(LeafMintTest, TheNumberOfRememberedPeersIsBounded) {
    PeerRateLimiter limiter({.burst = 1, .per_minute = 1, .max_peers = 2});
    for (std::uint8_t i = 0; i < 10; ++i) {
        EXPECT_TRUE(limiter.take(ByteArray<16>{std::byte{i}}, i).has_value());
    }
    EXPECT_EQ(limiter.take(ByteArray<16>{std::byte{9}}, 10).error().code(), mint_rate);
}

}  // namespace
}  // namespace eos::runtime
