// SPDX-License-Identifier: AGPL-3.0-only
// Every field that governs anything has a leaf: a changed field changes a root, and a field that
// somebody adds without saying how fails to compile here.
#include <gtest/gtest.h>

#include "common/config_tree/manifest.h"
#include "trusted/runtime/testing.h"
#include "trusted/runtime/testing_state.h"

namespace eos::runtime {

// The number of fields of an aggregate: how many initialisers it takes. The conversion is never
// called, so it needs no body, but then it may not be in an unnamed namespace.
struct AnyValue {
    template <typename T>
    operator T() const;
};

namespace {

using config_tree::Difference;
using config_tree::Name;
using config_tree::Tree;
using testing::kFacts;
using testing::state_with_app;

template <typename T, typename... A>
consteval std::size_t field_count() {
    if constexpr (requires { T{A{}..., AnyValue{}}; }) {
        return field_count<T, A..., AnyValue>();
    } else {
        return sizeof...(A);
    }
}

// A change of one field, and the leaves that must differ by it.
template <typename T>
struct FieldCase {
    void (*change)(T&);
    std::vector<std::string> leaves;
};

std::vector<std::string> names(const std::vector<Difference>& differences) {
    std::vector<std::string> out;
    for (const Difference& d : differences) out.push_back(d.name.text());
    return out;
}

Tree policy(const PlatformState& state) {
    return *policy_tree(state, kFacts);
}
Tree platform(const PlatformState& state) {
    return *platform_tree(state, kFacts);
}

TEST(PlatformLeaves, EveryFieldOfAnAppIsInItsTree) {
    static const std::vector<FieldCase<App>> cases{
        {[](App& a) { a.hostname = "other.example.test"; }, {"hostname"}},
        {[](App& a) { a.code_digest[0] ^= std::byte{1}; }, {"digest"}},
        {[](App& a) { a.module_bytes += 1; }, {"module_bytes"}},
        {[](App& a) { a.app_id[15] ^= std::byte{1}; }, {"app_id"}},
        {[](App& a) { a.limits = {1, 2}; }, {"limits.max_fuel", "limits.max_memory_bytes"}},
        {[](App& a) { a.arguments.push_back("x"); }, {"arg_count", "args.2"}},
        {[](App& a) { a.environment[0].value = SecretBytes(to_bytes("y")); }, {"env.API_KEY"}},
        {[](App& a) { a.permissions.pop_back(); }, {"permissions"}},
        {[](App& a) { a.profile = ratls::Profile::kAuto; }, {"ratls_profile"}},
        {[](App& a) { a.loaded_at = UnixTime{5}; }, {}},  // when, not what
    };
    static_assert(field_count<App>() == 10, "a new field of App needs a leaf and a row above");
    EXPECT_EQ(cases.size(), field_count<App>());
    for (const FieldCase<App>& c : cases) {
        PlatformState before = state_with_app();
        PlatformState after = state_with_app();
        App& app = after.apps.at("hello");
        c.change(app);
        Tree old_tree = *workload_tree("hello", before.apps.at("hello"));
        Tree new_tree = *workload_tree("hello", app);
        EXPECT_EQ(names(config_tree::diff(old_tree, new_tree)), c.leaves);
        // The platform tree has the workload's root, so it changes with it.
        EXPECT_EQ(platform(before).root() == platform(after).root(), c.leaves.empty());
        EXPECT_EQ(policy(before).root(), policy(after).root());
    }
}

TEST(PlatformLeaves, EveryFieldOfAVariableAndOfTheLimits) {
    static const std::vector<FieldCase<AppVariable>> cases{
        {[](AppVariable& v) { v.name = "API_KEZ"; }, {"env.API_KEY", "env.API_KEZ"}},
        {[](AppVariable& v) { v.value = SecretBytes(to_bytes("x")); }, {"env.API_KEY"}},
        {[](AppVariable& v) { v.visibility = Visibility::kPublic; }, {"env.API_KEY"}},
        {[](AppVariable& v) { v.salt[3] ^= std::byte{1}; }, {"env.API_KEY"}},
    };
    static_assert(field_count<AppVariable>() == 4);
    EXPECT_EQ(cases.size(), field_count<AppVariable>());
    for (const FieldCase<AppVariable>& c : cases) {
        App before = testing::sample_app();
        App after = testing::sample_app();
        c.change(after.environment[0]);
        EXPECT_EQ(names(config_tree::diff(*workload_tree("a", before), *workload_tree("a", after))),
                  c.leaves);
    }
    static_assert(field_count<AppLimits>() == 2, "a new limit needs a leaf");
}

TEST(PlatformLeaves, EveryFieldOfOwnershipIsInThePolicyTree) {
    static const std::vector<FieldCase<Ownership>> cases{
        {[](Ownership& o) { o.owner_spki_hash[9] ^= std::byte{1}; }, {"owner_key"}},
        {[](Ownership& o) { o.platform_name = "m.example.test"; }, {"platform_name"}},
        {[](Ownership& o) { o.authority.chain[0] = to_bytes("x"); }, {"ca_certificate"}},
        {[](Ownership& o) { o.provisioned_at = UnixTime{3}; }, {}},  // when, not what
    };
    static_assert(field_count<Ownership>() == 4);
    EXPECT_EQ(cases.size(), field_count<Ownership>());
    static const std::vector<FieldCase<Authority>> authority_cases{
        {[](Authority& a) { a.chain[0] = to_bytes("x"); }, {"ca_certificate"}},
        // The private key is secret; the certificate names its public half.
        {[](Authority& a) { a.key = SecretBytes(to_bytes("x")); }, {}},
        {[](Authority& a) { a.origin = CaKeyOrigin::kImported; }, {"ca_key_origin"}},
    };
    static_assert(field_count<Authority>() == 3);
    EXPECT_EQ(authority_cases.size(), field_count<Authority>());
    auto check = [](auto change, const std::vector<std::string>& leaves) {
        PlatformState before = state_with_app();
        PlatformState after = state_with_app();
        change(*after.ownership);
        EXPECT_EQ(names(config_tree::diff(policy(before), policy(after))), leaves);
        EXPECT_EQ(names(config_tree::diff(platform(before), platform(after))), leaves);
    };
    for (const auto& c : cases) check(c.change, c.leaves);
    for (const auto& c : authority_cases) {
        check([&](Ownership& o) { c.change(o.authority); }, c.leaves);
    }
}

// Vendors sign it, and nothing that is served depends on it.
TEST(PlatformLeaves, StapledCollateralIsNoConfiguration) {
    PlatformState before = state_with_app();
    PlatformState after = state_with_app();
    after.stapled = std::make_shared<const Bytes>(to_bytes("a bundle"));
    EXPECT_EQ(policy(before).root(), policy(after).root());
    EXPECT_EQ(platform(before).root(), platform(after).root());
}

TEST(PlatformLeaves, EverySettingIsOneLeafOfItsTree) {
    static_assert(field_count<PlatformState>() == 6, "a new part of the state needs leaves");
    EXPECT_EQ(all_settings().size(), field_count<Settings>());
    for (const SettingInfo& info : all_settings()) {
        PlatformState before = state_with_app();
        PlatformState after = state_with_app();
        std::uint64_t value = info.get(before.settings) == info.least ? info.greatest : info.least;
        ASSERT_TRUE(set_setting(after.settings, info, value).has_value());
        std::vector<std::string> leaf{std::string(info.name)};
        bool governs_all = info.tree == config_tree::Scope::Kind::kPolicy;
        EXPECT_EQ(names(config_tree::diff(policy(before), policy(after))),
                  governs_all ? leaf : std::vector<std::string>{});
        EXPECT_EQ(names(config_tree::diff(platform(before), platform(after))), leaf);
    }
}

TEST(PlatformLeaves, SettingsKeepToTheirRange) {
    for (const SettingInfo& info : all_settings()) {
        Settings settings;
        EXPECT_TRUE(set_setting(settings, info, info.get(settings)).has_value()) << info.name;
        EXPECT_TRUE(set_setting(settings, info, info.greatest).has_value());
        EXPECT_EQ(info.get(settings), info.greatest);
        EXPECT_EQ(testing::outcome(set_setting(settings, info, info.greatest + 1)), "bad_setting");
        if (info.least > 0) {
            EXPECT_EQ(testing::outcome(set_setting(settings, info, info.least - 1)), "bad_setting");
        }
        EXPECT_EQ(info.get(settings), info.greatest);
    }
}

TEST(PlatformLeaves, AnUnownedPlatformSaysSo) {
    Tree tree = policy({});
    EXPECT_EQ(tree.find(Name::of({"ca_key_origin"}))->value, config_tree::Value::constant("none"));
    EXPECT_EQ(tree.find(Name::of({"owner_key"}))->value,
              config_tree::Value::sha256(crypto::Digest32{}));
    EXPECT_EQ(tree.leaves().size(), policy(state_with_app()).leaves().size());
}

// Settings of later issues have no leaf: absence is provable, and means "this build has none".
TEST(PlatformLeaves, WhatIsNotBuiltIsAbsent) {
    PlatformState state = state_with_app();
    Tree tree = policy(state);
    for (std::string_view name : {"issuers", "roles", "approved_releases", "egress_store"}) {
        Result<config_tree::AbsenceProof> proof = tree.prove_absence(Name::of({name}));
        ASSERT_TRUE(proof.has_value()) << name;
        EXPECT_TRUE(
            config_tree::verify_absence(*proof, {tree.scope(), tree.root()}, Name::of({name}))
                .has_value());
    }
}

TEST(PlatformLeaves, TheFactsOfTheBuildAreLeaves) {
    PlatformState state = state_with_app();
    Tree other = *policy_tree(state, {"another engine", "flag-a"});
    EXPECT_EQ(names(config_tree::diff(policy(state), other)),
              (std::vector<std::string>{"engine", "engine_flags"}));
    static_assert(field_count<BuildFacts>() == 2);
}

TEST(PlatformLeaves, SecretValuesAreNotInTheManifest) {
    PlatformState state = state_with_app();
    std::string manifest =
        config_tree::encode_manifest(*workload_tree("hello", state.apps.at("hello")));
    EXPECT_EQ(manifest.find("hunter2"), manifest.npos);
    EXPECT_NE(manifest.find("\"hi\""), manifest.npos);
}

TEST(PlatformLeaves, AnImportedCaKeyStaysVisible) {
    PlatformState state = testing::owned_state();
    auto next = [](CaKeyOrigin origin) {
        return Authority{{to_bytes("next")}, SecretBytes(to_bytes("key")), origin};
    };
    rotate_authority(*state.ownership, next(CaKeyOrigin::kBornInside));
    EXPECT_EQ(state.ownership->authority.origin, CaKeyOrigin::kBornInside);
    rotate_authority(*state.ownership, next(CaKeyOrigin::kImported));
    rotate_authority(*state.ownership, next(CaKeyOrigin::kBornInside));
    EXPECT_EQ(state.ownership->authority.origin, CaKeyOrigin::kImported);
    EXPECT_EQ(policy(state).find(Name::of({"ca_key_origin"}))->value,
              config_tree::Value::constant("imported"));
}

}  // namespace
}  // namespace eos::runtime
