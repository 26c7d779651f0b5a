// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/virtual/minter/owner_challenge.h"

#include <gtest/gtest.h>

#include "common/crypto/random.h"

namespace eos::cvm {
namespace {

class SystemRandom final : public runtime::Random {
  public:
    void fill(MutableByteView out) override { crypto::fill_random(out); }
};

class OwnerChallengeTest : public ::testing::Test {
  protected:
    std::string signed_for(const ByteArray<32>& answered) const {
        owner::Audience audience = here;
        audience.challenge = answered;
        return owner::sign(audience, {{"time", "now"}}, key);
    }
    std::string_view code_of(const std::string& statement, std::uint64_t now_ms) const {
        const auto asked = challenge.verify(statement, here, key.public_key(), now_ms);
        return asked ? "" : asked.error().code().name;
    }

    SystemRandom random;
    OwnerChallenge challenge{random};
    crypto::P256PrivateKey key = crypto::P256PrivateKey::generate();
    owner::Audience here{owner::Purpose::kConfirmTime, {std::byte{1}}, {}};
};

TEST_F(OwnerChallengeTest, IsAnsweredOnce) {
    const std::string statement = signed_for(challenge.open(5));
    EXPECT_EQ(code_of(statement, 6), "");
    EXPECT_EQ(code_of(statement, 6), "") << "until somebody who is believed has answered";
    challenge.close();
    EXPECT_EQ(code_of(statement, 6), "stale_statement");
    const ByteArray<32> next = challenge.open(7);
    EXPECT_EQ(code_of(statement, 7), "stale_statement");
    EXPECT_EQ(code_of(signed_for(next), 7), "");
}

TEST_F(OwnerChallengeTest, NobodyAnswersBeforeItIsOpenOrLate) {
    EXPECT_EQ(code_of(signed_for({}), 0), "stale_statement");
    const std::string statement = signed_for(challenge.open(5));
    EXPECT_EQ(code_of(statement, 5 + OwnerChallenge::kLifeMs), "");
    EXPECT_EQ(code_of(statement, 6 + OwnerChallenge::kLifeMs), "stale_statement");
}

TEST_F(OwnerChallengeTest, WhoAsksTakesItFromNobodyAndHasTimeToAnswer) {
    const ByteArray<32> first = challenge.open(5);
    EXPECT_EQ(challenge.open(5 + OwnerChallenge::kLifeMs / 2), first);
    EXPECT_NE(challenge.open(6 + OwnerChallenge::kLifeMs / 2), first);
    EXPECT_EQ(code_of(signed_for(first), 5 + OwnerChallenge::kLifeMs), "") << "another has asked";
    EXPECT_EQ(code_of(signed_for(first), 6 + OwnerChallenge::kLifeMs), "stale_statement");
}

TEST_F(OwnerChallengeTest, WhoIsBelievedClosesTheOneBefore) {
    const std::string before = signed_for(challenge.open(5));
    challenge.open(6 + OwnerChallenge::kLifeMs / 2);
    EXPECT_EQ(code_of(before, 6 + OwnerChallenge::kLifeMs / 2), "");
    challenge.close();
    EXPECT_EQ(code_of(before, 6 + OwnerChallenge::kLifeMs / 2), "stale_statement");
}

}  // namespace
}  // namespace eos::cvm
