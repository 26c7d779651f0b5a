// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/attestd/callers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/encoding.h"

namespace eos::attestd {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr UnixTime kNow{1'780'000'000};

/// An identity provider.
struct Provider {
    explicit Provider(std::string name) : issuer(std::move(name)) {}

    std::string token(const char* kid, const json::Value& changes = json::Value::object()) const {
        json::Value claims = {{"iss", issuer},
                              {"sub", "alice"},
                              {"aud", "attestation-server"},
                              {"exp", kNow.seconds + 60},
                              {"roles", {"attestation-server:client"}}};
        claims.update(changes);
        std::string text = base64url(as_bytes(json::compact({{"alg", "ES256"}, {"kid", kid}}))) +
                           "." + base64url(as_bytes(json::compact(claims)));
        return text + "." + base64url(key.sign_raw(as_bytes(text)));
    }
    KeySetPtr keys(const char* kid) const {
        return std::make_shared<const std::vector<jose::IssuerKey>>(
            std::vector<jose::IssuerKey>{{kid, key.public_key()}});
    }

    std::string issuer;
    crypto::P256PrivateKey key = crypto::P256PrivateKey::generate();
};

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
        Result<CallerId> caller = verifier.identify(head, role, kNow);
        EXPECT_FALSE(caller.has_value());
        return caller ? Code{} : caller.error().code();
    }
    CallerId caller(const std::string& token, Role role = Role::client) {
        Result<CallerId> id = verifier.identify(with("Bearer " + token), role, kNow);
        EXPECT_TRUE(id.has_value()) << id.error().message();
        return id.value_or(CallerId{});
    }

    Provider one{"https://one.example"};
    Provider two{"https://two.example"};
    Source source;
    TokenVerifier verifier{
        {{.issuer = "https://one.example"}, {.issuer = "https://two.example"}}, 30, &source};
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
    EXPECT_EQ(caller(one.token("a")),
              verifier.identify(with("bearer " + one.token("a")), Role::client, kNow).value());
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
    EXPECT_THAT(verifier.without_keys(), IsEmpty());
    verifier.set_keys(0, nullptr);
    EXPECT_THAT(verifier.without_keys(), ElementsAre("https://one.example"));
    source.answer = false;
    EXPECT_EQ(refusal(with("Bearer " + one.token("a"))), jose::unknown_key);
}

CallerId id(std::uint8_t n) {
    return {std::byte{n}};
}

TEST(CallLimiter, BoundsCallsAtOnceAndAMinute) {
    runtime::MemoryBudget memory(0);
    CallLimiter limiter({{.burst = 3, .per_minute = 60, .max_peers = 8}, 2}, memory);
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
        CallLimiter limiter({{}, 2}, memory);
        Result<CallLimiter::Slot> made = limiter.admit(id(1), 0);
        slot.emplace(*std::move(made));
    }
    slot.reset();
}

TEST(CallLimiter, ACallerHoldsNoMoreThanItsShareOfTheMemory) {
    runtime::MemoryBudget memory(100);
    CallLimiter limiter({.rate = {}, .in_flight = 2, .share_bytes = 60}, memory);
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

}  // namespace
}  // namespace eos::attestd
