// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/virtual/minter/quote_queue.h"

#include "trusted/virtual/minter/minter_rig_test.h"

namespace eos::cvm {
namespace {

using namespace testing;

using Peer = std::optional<ByteArray<16>>;

Peer peer(int number) {
    return ByteArray<16>{static_cast<std::byte>(number)};
}

class Quotes : public ::testing::Test {
  protected:
    void TearDown() override { tee.release(); }

    void ask(const Peer& of, std::string name) {
        const auto key = crypto::P256PrivateKey::generate();
        queue.request(ratls::ReportData::v1_deterministic(key.public_key(), UnixTime{60}), of,
                      [this, name](Result<FreshEvidence> evidence) {
                          answers.emplace_back(
                              name, evidence ? "made" : std::string(evidence.error().code().name));
                      });
    }
    void until(std::size_t count) {
        const auto end = std::chrono::steady_clock::now() + 10s;
        while (answers.size() < count && std::chrono::steady_clock::now() < end) loop.turn(10);
        ASSERT_EQ(answers.size(), count);
    }
    void until_asked(std::size_t count) {
        const auto end = std::chrono::steady_clock::now() + 10s;
        while (tee.asked().size() < count && std::chrono::steady_clock::now() < end) loop.turn(1);
        ASSERT_EQ(tee.asked().size(), count);
    }

    std::vector<std::pair<std::string, std::string>> answers;
    os::EventLoop loop;
    FakeTee tee;
    QuoteQueue queue{loop, tee};
};

using Answers = std::vector<std::pair<std::string, std::string>>;

TEST_F(Quotes, OneIsWithTheKernelAndSharedOnesComeBeforeChallenges) {
    tee.hold();
    ask(peer(1), "first");
    until_asked(1);
    ask(peer(1), "challenge 1");
    ask(peer(1), "challenge 2");
    ask({}, "shared 1");
    ask({}, "shared 2");
    EXPECT_EQ(queue.waiting(), 4u);
    EXPECT_EQ(tee.asked().size(), 1u) << "one request in flight";
    tee.release();
    until(5);
    EXPECT_EQ(answers, (Answers{{"first", "made"},
                                {"shared 1", "made"},
                                {"shared 2", "made"},
                                {"challenge 1", "made"},
                                {"challenge 2", "made"}}));
}

TEST_F(Quotes, ChallengesThatFillTheirPlacesLeaveTheSharedOnesTheirs) {
    tee.hold();
    ask(peer(1), "first");
    until_asked(1);
    for (std::size_t i = 0; i < kMaxWaitingChallenges; ++i) ask(peer(1), "challenge");
    EXPECT_TRUE(answers.empty());
    ask(peer(1), "one too many");
    EXPECT_EQ(answers, (Answers{{"one too many", "mint_busy"}}));
    for (std::size_t i = 0; i < kMaxWaitingShared; ++i) ask({}, "renewal");
    EXPECT_EQ(answers.size(), 1u) << "a renewal has a place of its own";
    ask({}, "too many of these, too");
    EXPECT_EQ(answers.size(), 2u);
    tee.release();
    until(2 + 1 + kMaxWaitingChallenges + kMaxWaitingShared);
    EXPECT_EQ(answers[3].first, "renewal");
}

TEST_F(Quotes, PeersTakeTurns) {
    tee.hold();
    ask(peer(1), "1a");
    until_asked(1);
    for (const char* name : {"1b", "1c", "1d"}) ask(peer(1), name);
    for (const char* name : {"2a", "2b"}) ask(peer(2), name);
    ask(peer(3), "3a");
    tee.release();
    until(7);
    std::string order;
    for (const auto& [name, outcome] : answers) order += name + " ";
    EXPECT_EQ(order, "1a 1b 2a 3a 1c 2b 1d ");
}

TEST_F(Quotes, WhoAsksAgainAtOnceTakesTurnsWithWhoWaits) {
    tee.hold();
    ask(peer(1), "1a");
    until_asked(1);
    for (const char* name : {"1b", "1c", "1d"}) ask(peer(1), name);
    const auto report_data = ratls::ReportData::v1_deterministic(
        crypto::P256PrivateKey::generate().public_key(), UnixTime{60});
    std::function<void()> ask_again = [&] {
        queue.request(report_data, peer(2), [&](const Result<FreshEvidence>&) {
            answers.emplace_back("2", "made");
            if (answers.size() < 7) ask_again();
        });
    };
    ask_again();
    tee.release();
    until(7);
    std::string order;
    for (const auto& [name, outcome] : answers) order += name + " ";
    EXPECT_EQ(order, "1a 1b 2 1c 2 1d 2 ");
}

TEST_F(Quotes, TwoPeersThatFillThePlacesKeepAThirdFromNothing) {
    tee.hold();
    ask(peer(1), "first");
    until_asked(1);
    for (std::size_t i = 0; i < kMaxWaitingChallenges / 2; ++i) {
        ask(peer(1), "1");
        ask(peer(2), "2");
    }
    EXPECT_TRUE(answers.empty());
    ask(peer(3), "third");
    EXPECT_EQ(answers, (Answers{{"2", "mint_busy"}})) << "whose turn was furthest away";
    ask(peer(2), "more");
    EXPECT_EQ(answers.back(), (Answers::value_type{"more", "mint_busy"}));
    EXPECT_EQ(queue.waiting(), kMaxWaitingChallenges);
    tee.release();
    until(2 + 1 + kMaxWaitingChallenges);
    const auto third = std::ranges::find(answers, "third", &Answers::value_type::first);
    EXPECT_LE(third - answers.begin(), 2 + 1 + 2) << "after the first round";
}

TEST_F(Quotes, WhoWaitedTooLongIsToldAndCostsTheKernelNothing) {
    QuoteQueue hasty(loop, tee, 0s);
    tee.hold();
    hasty.request(ratls::ReportData::v1_deterministic(
                      crypto::P256PrivateKey::generate().public_key(), UnixTime{60}),
                  std::nullopt, [this](Result<FreshEvidence> evidence) {
                      EXPECT_EQ(evidence.error().code(), evidence_deadline);
                      answers.emplace_back("hasty", "late");
                  });
    until(1);
    EXPECT_TRUE(tee.asked().empty());
}

TEST_F(Quotes, AnErrorIsItsRequestsAloneAndTheNextGoesOn) {
    tee.set_failure(wrong_report);
    ask({}, "of another");
    until(1);
    tee.clear_failure();
    ask({}, "next");
    until(2);
    EXPECT_EQ(answers, (Answers{{"of another", "wrong_report"}, {"next", "made"}}));
}

}  // namespace
}  // namespace eos::cvm
