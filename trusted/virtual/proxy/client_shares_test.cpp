// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/virtual/proxy/client_shares.h"

#include <gtest/gtest.h>

namespace eos::cvm::proxy {
namespace {

ByteArray<16> network(int number) {
    ByteArray<16> out{};
    out[14] = static_cast<std::byte>(number >> 8);
    out[15] = static_cast<std::byte>(number);
    return out;
}

/// A capacity, and what is taken of it until the end.
struct Held {
    explicit Held(std::uint64_t percent, std::size_t all) : shares(percent), capacity(all) {}

    bool take(int who) {
        auto lease = shares.take(network(who), capacity);
        if (!lease) {
            EXPECT_EQ(lease.error().code(), share_taken);
            return false;
        }
        leases.push_back(std::move(*lease));
        return true;
    }
    /// As much as it gets, but no more than there is.
    std::size_t take_all(int who) {
        std::size_t count = 0;
        while (shares.taken() < capacity && take(who)) ++count;
        return count;
    }

    ClientShares shares;
    std::size_t capacity;
    std::vector<ClientShares::Lease> leases;
};

TEST(ClientShares, OneNetworkAloneHasItsPartOfTheWhole) {
    EXPECT_EQ(Held(75, 100).take_all(1), 75U);
    EXPECT_EQ(Held(50, 100).take_all(1), 50U);
    EXPECT_EQ(Held(1, 100).take_all(1), 1U);
    EXPECT_EQ(Held(99, 100).take_all(1), 99U);
    EXPECT_EQ(Held(75, 6'553'600).take_all(1), 4'915'200U);
}

TEST(ClientShares, OfLittleItIsOneAtLeastAndNotAllIfThereAreTwo) {
    EXPECT_EQ(Held(75, 1).take_all(1), 1U);
    EXPECT_EQ(Held(75, 2).take_all(1), 1U);
    EXPECT_EQ(Held(75, 3).take_all(1), 2U);
    EXPECT_EQ(Held(75, 4).take_all(1), 3U);
    EXPECT_EQ(Held(99, 2).take_all(1), 1U);
}

TEST(ClientShares, AHundredIsNoBound) {
    EXPECT_EQ(Held(100, 100).take_all(1), 100U);
}

TEST(ClientShares, TheMoreOthersHaveTheLessItIs) {
    Held held(75, 100);
    EXPECT_EQ(held.take_all(1), 75U);
    EXPECT_EQ(held.take_all(2), 18U);
    EXPECT_EQ(held.take_all(3), 5U);
    EXPECT_FALSE(held.take(1));
}

TEST(ClientShares, WhoHasNoneGetsTheLast) {
    Held held(75, 4);
    EXPECT_EQ(held.take_all(1), 3U);
    EXPECT_TRUE(held.take(2));
    // Then nothing is left for anybody, and whoever has nothing to give says so.
    EXPECT_TRUE(held.take(1));
    EXPECT_TRUE(held.take(3));
}

TEST(ClientShares, WhatIsGivenBackCanBeTakenAgain) {
    Held held(50, 10);
    EXPECT_EQ(held.take_all(1), 5U);
    EXPECT_FALSE(held.take(1));
    held.leases.pop_back();
    EXPECT_EQ(held.shares.taken(), 4U);
    EXPECT_TRUE(held.take(1));
    EXPECT_FALSE(held.take(1));
    held.leases.clear();
    EXPECT_EQ(held.shares.taken(), 0U);
    EXPECT_EQ(held.take_all(2), 5U) << "also by others";
}

TEST(ClientShares, ALeaseThatMovesIsGivenBackOnce) {
    ClientShares shares(50);
    ClientShares::Lease one = shares.take(network(1), 10).value();
    ClientShares::Lease other = std::move(one);
    EXPECT_EQ(shares.taken(), 1U);
    one = shares.take(network(2), 10).value();
    EXPECT_EQ(shares.taken(), 2U);
    one = std::move(other);
    EXPECT_EQ(shares.taken(), 1U) << "what it held before";
    one.give_back();
    one.give_back();
    EXPECT_EQ(shares.taken(), 0U);
}

TEST(ClientShares, NetworksComeAndGo) {
    Held held(75, 1'000'000);
    for (int round = 0; round < 3; ++round) {
        for (int who = 0; who < 1000; ++who) EXPECT_TRUE(held.take(who + round * 500));
        EXPECT_EQ(held.shares.taken(), 1000U);
        held.leases.clear();
    }
    held.capacity = 4;
    EXPECT_EQ(held.take_all(7), 3U) << "nothing of the past counts";
}

}  // namespace
}  // namespace eos::cvm::proxy
