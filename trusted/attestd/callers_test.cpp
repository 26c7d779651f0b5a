// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/attestd/callers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/encoding.h"
#include "trusted/attestd/testing.h"

namespace eos::attestd {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::kTokenTime;
using testing::Provider;

class Source final : public KeySource {
  public:
    bool ask(std::size_t issuer) override {
        asked.push_back(issuer);
        return answer;
    }
    std::vector<std::size_t> asked;
    bool answer = true;
};

http::RequestHead with(const std::string& field) {
    http::RequestHead head;
    EXPECT_TRUE(head.headers.add("authorization", field).has_value());
    return head;
}

class TokensTest : public ::testing::Test {
  protected:
    TokensTest() {
        verifier.set_keys(0, one.keys("a"));
        verifier.set_keys(1, two.keys("a"));
    }
    Code refusal(const http::RequestHead& head, Role role = Role::client) {
        Result<Caller> caller = verifier.identify(head, role, kTokenTime);
        EXPECT_FALSE(caller.has_value());
        return caller ? Code{} : caller.error().code();
    }
    CallerId caller(const std::string& token, Role role = Role::client) {
        Result<Caller> id = verifier.identify(with("Bearer " + token), role, kTokenTime);
        EXPECT_TRUE(id.has_value()) << id.error().message();
        return id.value_or(Caller{}).id;
    }

    Provider one{"https://one.example"};
    Provider two{"https://two.example"};
    Source source;
    TokenVerifier verifier{
        {{.issuer = "https://one.example", .monitoring_role = std::string(kMonitoringRole)},
         {.issuer = "https://two.example"}},
        30,
        &source};
};

TEST_F(TokensTest, EachIssuerHasItsOwnKeys) {
    EXPECT_EQ(caller(one.token("a")), caller(one.token("a")));
    // The same subject of two issuers is two callers.
    EXPECT_NE(caller(one.token("a")), caller(two.token("a")));
    EXPECT_NE(caller(one.token("a")), caller(one.token("a", {{"sub", "bob"}})));
    EXPECT_EQ(refusal(with("Bearer " + one.token("a", {{"iss", two.issuer}}))),
              jose::bad_token_signature);
    EXPECT_EQ(refusal(with("Bearer " + one.token("a", {{"iss", "https://three.example"}}))),
              no_caller);
}

TEST_F(TokensTest, WhatIsNoBearerTokenIsNoCaller) {
    EXPECT_EQ(refusal({}), no_caller);
    EXPECT_EQ(refusal(with("Basic YTpi")), no_caller);
    EXPECT_EQ(refusal(with("Bearer ")), no_caller);
    EXPECT_EQ(refusal(with("Bearer x")), jose::bad_token);
    http::RequestHead twice = with("Bearer " + one.token("a"));
    ASSERT_TRUE(twice.headers.add("authorization", "Bearer " + two.token("a")).has_value());
    EXPECT_EQ(refusal(twice), no_caller);
    EXPECT_EQ(
        caller(one.token("a")),
        verifier.identify(with("bearer " + one.token("a")), Role::client, kTokenTime).value().id);
}

TEST_F(TokensTest, RolesAreNeeded) {
    auto with_claims = [&](const json::Value& changes) {
        return with("Bearer " + one.token("a", changes));
    };
    EXPECT_EQ(refusal(with_claims({{"roles", json::Value::array()}})), role_missing);
    EXPECT_EQ(refusal(with_claims({{"roles", nullptr}})), role_missing);
    EXPECT_EQ(refusal(with_claims({{"roles", {"attestation-server:monitoring"}}})), role_missing);
    EXPECT_EQ(refusal(with_claims(json::Value::object()), Role::monitoring), role_missing);
    caller(one.token("a", {{"roles", {{"attestation-server:client", json::Value::object()}}}}));
    caller(one.token("a",
                     {{"roles", 7}, {"realm_access", {{"roles", {"attestation-server:client"}}}}}));
    caller(one.token("a", {{"roles", {"attestation-server:monitoring"}}}), Role::monitoring);
    // Two has no such role: whatever it calls one, nobody has it.
    for (const char* role : {"attestation-server:monitoring", ""})
        EXPECT_EQ(refusal(with("Bearer " + two.token("a", {{"roles", {role}}})), Role::monitoring),
                  role_missing);
}

TEST(Roles, AreFoundInTheConfiguredClaim) {
    EXPECT_TRUE(has_role({{"groups", {"x", "verify"}}}, "verify", "groups"));
    EXPECT_TRUE(has_role({{"groups", "verify"}}, "verify", "groups"));
    EXPECT_FALSE(has_role({{"groups", {"x", "verify"}}}, "verify", ""));
    EXPECT_FALSE(has_role({{"groups", {"x"}}}, "verify", "groups"));
    EXPECT_FALSE(has_role({{"groups", {""}}}, "", "groups"));
    EXPECT_FALSE(has_role(json::Value::array({"verify"}), "verify", ""));
}

// A key that nobody knows may be a new one: its issuer is asked, and a caller told to come again.
TEST_F(TokensTest, ANewKeyIsAskedFor) {
    EXPECT_EQ(refusal(with("Bearer " + two.token("b"))), keys_unknown);
    EXPECT_THAT(source.asked, ElementsAre(1U));
    source.answer = false;
    EXPECT_EQ(refusal(with("Bearer " + two.token("b"))), jose::unknown_key);
    verifier.set_keys(1, two.keys("b"));
    caller(two.token("b"));
    EXPECT_EQ(refusal(with("Bearer " + two.token("a"))), jose::unknown_key);
    // Whatever else is wrong asks nobody.
    source.asked.clear();
    EXPECT_EQ(refusal(with("Bearer " + one.token("a", {{"aud", "x"}}))), jose::wrong_audience);
    EXPECT_THAT(source.asked, IsEmpty());
}

TEST_F(TokensTest, WithoutKeysNobodyIsKnown) {
    verifier.set_keys(0, nullptr);
    EXPECT_EQ(verifier.key_count(0), 0U);
    EXPECT_EQ(verifier.key_count(1), 1U);
    EXPECT_TRUE(verifier.has_any_keys());
    source.answer = false;
    EXPECT_EQ(refusal(with("Bearer " + one.token("a"))), jose::unknown_key);
    verifier.set_keys(1, std::make_shared<const std::vector<jose::IssuerKey>>());
    EXPECT_FALSE(verifier.has_any_keys());
}

// However long a fetch takes that would bring newer ones.
TEST_F(TokensTest, KeysEndByTheirAge) {
    source.answer = false;
    verifier.set_keys(0, one.keys("a"), 1000);
    EXPECT_THAT(verifier.forget_old_keys(999), IsEmpty());
    caller(one.token("a"));
    EXPECT_THAT(verifier.forget_old_keys(1000), ElementsAre(0U));
    EXPECT_THAT(verifier.forget_old_keys(1001), IsEmpty()) << "it is said once";
    EXPECT_EQ(refusal(with("Bearer " + one.token("a"))), jose::unknown_key);
    // Those of a file have no age.
    caller(two.token("a"));
}

Caller id(std::uint8_t n, std::size_t issuer = 0) {
    return {{std::byte{n}}, issuer};
}

TEST(CallLimiter, BoundsCallsAtOnceAndAMinute) {
    runtime::MemoryBudget memory(0);
    CallLimiter limiter({.rate = {.burst = 3, .per_minute = 60, .max_peers = 8}, .in_flight = 2},
                        memory);
    {
        Result<CallLimiter::Slot> first = limiter.admit(id(1), 0);
        Result<CallLimiter::Slot> second = limiter.admit(id(1), 0);
        ASSERT_TRUE(first && second);
        EXPECT_FALSE(limiter.admit(id(1), 0).has_value());
        EXPECT_TRUE(limiter.admit(id(2), 0).has_value());
    }
    // The third of the burst, and then one a second.
    EXPECT_TRUE(limiter.admit(id(1), 0).has_value());
    EXPECT_FALSE(limiter.admit(id(1), 0).has_value());
    EXPECT_FALSE(limiter.admit(id(1), 900).has_value());
    EXPECT_TRUE(limiter.admit(id(1), 1900).has_value());
}

TEST(CallLimiter, SlotsMayOutliveIt) {
    runtime::MemoryBudget memory(0);
    std::optional<CallLimiter::Slot> slot;
    {
        CallLimiter limiter({.rate = {}, .in_flight = 2}, memory);
        Result<CallLimiter::Slot> made = limiter.admit(id(1), 0);
        slot.emplace(*std::move(made));
    }
    slot.reset();
}

TEST(CallLimiter, ACallerHoldsNoMoreThanItsShareOfTheMemory) {
    runtime::MemoryBudget memory(100);
    CallLimiter limiter({.rate = {}, .in_flight = 2, .share_bytes = 60, .issuer_share_bytes = 100},
                        memory);
    CallLimiter::Slot first = limiter.admit(id(1), 0).value();
    CallLimiter::Slot second = limiter.admit(id(1), 0).value();
    CallLimiter::Slot other = limiter.admit(id(2), 0).value();
    {
        runtime::MemoryBudget::Loan held(first.memory());
        ASSERT_TRUE(held.grow_to(40));
        EXPECT_EQ(memory.free_bytes(), 60U);
        EXPECT_FALSE(runtime::MemoryBudget::Loan(second.memory()).grow_to(21)) << "over its share";
        EXPECT_TRUE(runtime::MemoryBudget::Loan(second.memory()).grow_to(20));
        runtime::MemoryBudget::Loan others(other.memory());
        ASSERT_TRUE(others.grow_to(60));
        EXPECT_FALSE(runtime::MemoryBudget::Loan(second.memory()).grow_to(1)) << "nothing is left";
    }
    EXPECT_EQ(memory.free_bytes(), 100U);
    EXPECT_TRUE(runtime::MemoryBudget::Loan(second.memory()).grow_to(60));
}

// Whoever makes up callers has as many as he wants.
TEST(CallLimiter, TheCallersOfAnIssuerHoldNoMoreThanItsShareTogether) {
    runtime::MemoryBudget memory(100);
    CallLimiter limiter(
        {.rate = {}, .in_flight = 2, .share_bytes = 40, .issuers = 2, .issuer_share_bytes = 60},
        memory);
    CallLimiter::Slot first = limiter.admit(id(1), 0).value();
    CallLimiter::Slot second = limiter.admit(id(2), 0).value();
    CallLimiter::Slot other = limiter.admit(id(3, 1), 0).value();
    runtime::MemoryBudget::Loan of_first(first.memory());
    runtime::MemoryBudget::Loan of_second(second.memory());
    runtime::MemoryBudget::Loan of_other(other.memory());
    EXPECT_TRUE(of_first.grow_to(40));
    EXPECT_FALSE(of_second.grow_to(21));
    EXPECT_TRUE(of_second.grow_to(20));
    EXPECT_TRUE(of_other.grow_to(40)) << "the other issuer's are not concerned";
}

}  // namespace
}  // namespace eos::attestd
