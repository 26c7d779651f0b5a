// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/virtual/config/trees.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "common/oid/registry.h"

namespace eos::cvm {
namespace {

using config_tree::Name;
using config_tree::Tree;

Config config() {
    Config out;
    out.version = 1;
    out.platform.name = "vm.example.test";
    out.platform.listen.push_back({.address = "0.0.0.0:443"});
    RouteConfig shop;
    shop.name = "shop";
    shop.hostname = "shop.example.test";
    shop.upstream.tcp = "127.0.0.1:8080";
    shop.executable_sha256 = std::string(63, '0') + "7";
    RouteConfig chat = shop;
    chat.name = "chat";
    chat.hostname = "chat.example.test";
    chat.executable_sha256.clear();
    out.routes = {shop, chat};
    return out;
}

struct World {
    Config config = eos::cvm::config();
    std::optional<runtime::Ownership> owned;
    AppIds ids{{"shop", {std::byte{1}}}, {"chat", {std::byte{2}}}};

    Attested state() const { return {config, owned, ids}; }
    Tree platform() const { return *platform_tree(state()); }
    Tree policy() const { return *policy_tree(state()); }
    Tree workload() const { return *workload_tree(config.routes[0], ids.at("shop")); }
};

/// Changes one field after the other, wherever it stands, and tells which it was; a visitor.
class Changer {
  public:
    explicit Changer(int which) : left_(which) {}
    const std::string& changed() const { return changed_; }

    Result<void> number(const NumberRow& row, std::uint64_t& value) {
        if (is_it(row)) value += 1;
        return {};
    }
    template <typename Choice>
    Result<void> choice(const ChoiceRow& row, Choice& value) {
        const auto next = (static_cast<std::size_t>(value) + 1) % row.words.size();
        if (is_it(row)) value = static_cast<Choice>(next);
        return {};
    }
    Result<void> text(const TextRow& row, std::string& value) {
        if (is_it(row)) value += "0";
        return {};
    }
    Result<void> texts(const ListRow& row, std::vector<std::string>& values) {
        if (is_it(row)) values.emplace_back("10.0.0.1");
        return {};
    }
    template <typename Section>
    Result<void> section(const Row&, Section& section) {
        return Section::visit(section, *this);
    }
    template <typename Section>
    Result<void> list(const ListRow& row, std::vector<Section>& sections) {
        for (Section& section : sections) EOS_TRY(Section::visit(section, *this));
        if (is_it(row)) sections.emplace_back();
        return {};
    }

  private:
    bool is_it(const Row& row) {
        if (left_-- != 0) return false;
        changed_ = row.name;
        return true;
    }
    int left_;
    std::string changed_;
};

TEST(Trees, EveryFieldOfAPlatformIsALeaf) {
    const World before;
    int fields = 0;
    for (;; ++fields) {
        World after;
        Changer changer(fields);
        ASSERT_TRUE(PlatformConfig::visit(after.config.platform, changer));
        if (changer.changed().empty()) break;
        EXPECT_NE(after.platform().root(), before.platform().root()) << changer.changed();
        EXPECT_EQ(after.workload().root(), before.workload().root());
    }
    EXPECT_GT(fields, 10);
}

TEST(Trees, EveryFieldOfARouteIsALeaf) {
    const World before;
    int fields = 0;
    for (;; ++fields) {
        World after;
        RouteConfig route = after.config.routes[0];
        Changer changer(fields);
        ASSERT_TRUE(RouteConfig::visit(route, changer));
        if (changer.changed().empty()) break;
        // One that is no workload name has no tree.
        const Result<Tree> tree = workload_tree(route, after.ids.at("shop"));
        ASSERT_TRUE(tree) << changer.changed();
        EXPECT_NE(tree->root(), before.workload().root()) << changer.changed();
    }
    EXPECT_GT(fields, 15);
}

TEST(Trees, ThePolicyTreeHoldsWhatGovernsEveryTenantAndNothingElse) {
    const World before;
    World after;
    after.config.platform.policy.drain_time_s = 5;
    EXPECT_NE(after.policy().root(), before.policy().root());
    World routed;
    routed.config.routes.pop_back();
    routed.config.platform.log.level = LogLevel::kError;
    EXPECT_EQ(routed.policy().root(), before.policy().root());
    for (const char* name : {"ca_certificate", "ca_key_origin", "drain_time_s", "owner_key",
                             "management_authentication", "platform_name", "state_freshness"}) {
        EXPECT_NE(before.policy().find(Name::of({name})), nullptr) << name;
        EXPECT_NE(before.platform().find(Name::of({name})), nullptr) << name;
    }
}

TEST(Trees, AnOwnerShowsInThePolicy) {
    const World before;
    World after;
    after.owned.emplace();
    after.owned->authority.chain.push_back(Bytes(8, std::byte{1}));
    EXPECT_NE(after.policy().root(), before.policy().root());
    EXPECT_EQ(after.policy().find(Name::of({"ca_key_origin"}))->value.content().size(), 11u);
}

const ratls::ExtensionValue* value_of(const runtime::ServedName& row, const oid::Oid& oid) {
    auto found = std::ranges::find(row.values, oid, &ratls::ExtensionValue::oid);
    return found == row.values.end() ? nullptr : &*found;
}

TEST(Trees, EachNameCarriesItsValuesInTheOrderOfTheirNumbers) {
    const World world;
    auto served = served_of(world.state(), {"enclave-os-minter 0.1.0", "debug"});
    ASSERT_TRUE(served);
    const runtime::ServedName* platform = (*served)->find("");
    ASSERT_NE(platform, nullptr);
    EXPECT_EQ(platform->name, "vm.example.test");
    for (const oid::Oid& oid :
         {oid::kPlatformConfigRoot, oid::kRuntimeVersionHash, oid::kCombinedWorkloadsHash,
          oid::kAttestationServersHash, oid::kImageProfile})
        EXPECT_NE(value_of(*platform, oid), nullptr);
    EXPECT_EQ(value_of(*platform, oid::kPlatformConfigRoot)->value,
              to_bytes(world.platform().root()));
    const runtime::ServedName* shop = (*served)->find("shop.example.test");
    ASSERT_NE(shop, nullptr);
    EXPECT_EQ(shop->app, "shop");
    EXPECT_EQ(value_of(*shop, oid::kWorkloadConfigRoot)->value, to_bytes(world.workload().root()));
    EXPECT_EQ(value_of(*shop, oid::kWorkloadDigest)->value.back(), std::byte{7});
    EXPECT_EQ(value_of(*shop, oid::kKeySource), nullptr);
    const runtime::ServedName* chat = (*served)->find("chat.example.test");
    EXPECT_EQ(value_of(*chat, oid::kWorkloadDigest), nullptr) << "none is declared";
    EXPECT_EQ(value_of(*chat, oid::kAppId)->value.front(), std::byte{2});
    for (const auto& [name, row] : (*served)->names)
        EXPECT_TRUE(std::ranges::is_sorted(row.values, {}, &ratls::ExtensionValue::oid)) << name;
}

TEST(Trees, ARouteThatChangesLeavesTheTagsOfTheOthers) {
    const World before;
    World after;
    after.config.routes[1].upstream.connections = 7;
    auto one = *served_of(before.state(), {"v", "debug"});
    auto two = *served_of(after.state(), {"v", "debug"});
    EXPECT_EQ(one->find("shop.example.test")->tag, two->find("shop.example.test")->tag);
    EXPECT_NE(one->find("chat.example.test")->tag, two->find("chat.example.test")->tag);
    EXPECT_NE(one->find("")->tag, two->find("")->tag) << "its platform tree changed";
}

}  // namespace
}  // namespace eos::cvm
