// SPDX-License-Identifier: AGPL-3.0-only
#include <gtest/gtest.h>

#include "common/base/encoding.h"
#include "common/config_tree/history.h"
#include "common/config_tree/tree.h"

namespace eos::config_tree {
namespace {

Name name(std::initializer_list<std::string_view> components) {
    return Name::of(components);
}

TEST(ConfigTreeName, BoundsOfComponents) {
    EXPECT_TRUE(Name::from({std::string(255, 'x')}).has_value());
    EXPECT_TRUE(Name::from(std::vector<std::string>(8, "x")).has_value());
    for (const auto& bad : std::vector<std::vector<std::string>>{
             {}, {""}, {"a", ""}, {std::string(256, 'x')}, std::vector<std::string>(9, "x")}) {
        Result<Name> result = Name::from(bad);
        ASSERT_FALSE(result.has_value());
        EXPECT_EQ(result.error().code(), bad_name);
    }
}

TEST(ConfigTreeName, OrderIsByteByByteAndShorterFirst) {
    std::vector<Name> sorted{
        name({"A"}),   name({"a"}), name({"a", "a"}), name({"a", "b"}), name({"a!"}),
        name({"aa"}),  name({"b"}), name({"z"}),      name({"\x7f"}),   name({"\x80", "\x01"}),
        name({"\xff"})};
    for (std::size_t i = 0; i < sorted.size(); ++i) {
        for (std::size_t j = 0; j < sorted.size(); ++j) {
            EXPECT_EQ(sorted[i] < sorted[j], i < j) << sorted[i].text() << " " << sorted[j].text();
        }
    }
}

TEST(ConfigTreeName, TextIsOneToOne) {
    Name dotted = name({"apps", "a.b", std::string_view("\0%\xc3\xa9", 4)});
    EXPECT_EQ(dotted.text(), "apps.a%2Eb.%00%25%C3%A9");
    Result<Name> back = parse_name(dotted.text());
    ASSERT_TRUE(back.has_value());
    EXPECT_EQ(*back, dotted);
}

TEST(ConfigTreeName, OtherTextIsRefused) {
    for (std::string_view bad : {"", ".", "a.", ".a", "a..b", "a b", "%2e", "%61", "%", "%2", "%g0",
                                 "a.b.c.d.e.f.g.h.i", "\xc3\xa9", "a%2E%"}) {
        Result<Name> result = parse_name(bad);
        ASSERT_FALSE(result.has_value()) << bad;
        EXPECT_EQ(result.error().code(), bad_name) << bad;
    }
    EXPECT_FALSE(parse_name(std::string(256, 'a')).has_value());
}

TEST(ConfigTreeValue, HostileContentIsRefused) {
    EXPECT_EQ(Value::text("\xff").error().code(), bad_value);
    EXPECT_EQ(Value::bytes(Bytes(kMaxValueBytes + 1)).error().code(), bad_value);
    EXPECT_TRUE(Value::bytes(Bytes(kMaxValueBytes)).has_value());
}

TEST(ConfigTreeValue, SaltHidesAndBindsTheValue) {
    ByteArray<32> salt{std::byte{1}};
    ByteArray<32> other{std::byte{2}};
    Value a = Value::salted(salt, as_bytes("secret"));
    EXPECT_TRUE(a.content().empty());
    EXPECT_EQ(a, Value::salted(salt, as_bytes("secret")));
    EXPECT_NE(a, Value::salted(other, as_bytes("secret")));
    EXPECT_NE(a, Value::salted(salt, as_bytes("Secret")));
    EXPECT_EQ(a, Value::salted(a.hash()));
}

TEST(ConfigTreeValue, KindIsPartOfTheLeaf) {
    auto root = [](Value value) {
        TreeBuilder builder(Scope::policy());
        builder.add(Name::of({"x"}), std::move(value));
        return std::move(builder).build()->root();
    };
    Digest32 digest{std::byte{7}};
    EXPECT_NE(root(Value::constant("x")), root(*Value::bytes(as_bytes("x"))));
    EXPECT_NE(root(Value::sha256(digest)), root(Value::salted(digest)));
}

TEST(ConfigTreeScope, WorkloadNames) {
    for (std::string_view good : {"a", "hello", "x-1", "0", "a--b"}) {
        EXPECT_TRUE(Scope::workload(good).has_value()) << good;
    }
    for (std::string_view bad :
         {"", "-a", "a-", "A", "a.b", "a_b", "manager", "platform", "localhost", "\xc3\xa9"}) {
        Result<Scope> result = Scope::workload(bad);
        ASSERT_FALSE(result.has_value()) << bad;
        EXPECT_EQ(result.error().code(), bad_scope);
    }
    EXPECT_TRUE(Scope::workload(std::string(63, 'a')).has_value());
    EXPECT_FALSE(Scope::workload(std::string(64, 'a')).has_value());
}

TEST(ConfigTreeTree, ScopesGiveDifferentRoots) {
    auto root = [](Scope scope) { return TreeBuilder(std::move(scope)).build()->root(); };
    EXPECT_NE(root(Scope::platform()), root(Scope::policy()));
    EXPECT_NE(root(*Scope::workload("a")), root(*Scope::workload("b")));
}

TEST(ConfigTreeTree, DuplicateNamesAreRefused) {
    TreeBuilder builder(Scope::policy());
    builder.add(name({"a"}), Value::u64(1)).add(name({"b"}), Value::u64(1));
    builder.add(name({"a"}), Value::u64(2));
    Result<Tree> tree = std::move(builder).build();
    ASSERT_FALSE(tree.has_value());
    EXPECT_EQ(tree.error().code(), duplicate_name);
    EXPECT_EQ(tree.error().detail(), "a");
}

TEST(ConfigTreeTree, TooManyLeavesAreRefused) {
    TreeBuilder builder(Scope::policy());
    for (std::uint32_t i = 0; i < kMaxLeaves; ++i) {
        builder.add(*Name::from({std::to_string(i)}), Value::boolean(true));
    }
    TreeBuilder more = builder;
    EXPECT_TRUE(std::move(builder).build().has_value());
    more.add(name({"one more"}), Value::boolean(true));
    EXPECT_EQ(std::move(more).build().error().code(), too_many_leaves);
}

TEST(ConfigTreeTree, OrderOfAddingDoesNotMatter) {
    TreeBuilder up(Scope::policy());
    TreeBuilder down(Scope::policy());
    for (int i = 0; i < 100; ++i) {
        up.add(*Name::from({std::to_string(i)}), Value::u64(5));
        down.add(*Name::from({std::to_string(99 - i)}), Value::u64(5));
    }
    EXPECT_EQ(std::move(up).build()->root(), std::move(down).build()->root());
}

TEST(ConfigTreeDiff, NamesWhatChanged) {
    TreeBuilder before(Scope::platform());
    before.add(name({"drain_time_s"}), Value::u64(30)).add(name({"gone"}), Value::boolean(true));
    before.add(name({"same"}), Value::constant("x"));
    TreeBuilder after(Scope::platform());
    after.add(name({"drain_time_s"}), Value::u64(60)).add(name({"same"}), Value::constant("x"));
    after.add(name({"z", "new.er"}), Value::constant("y\n"));
    std::vector<Difference> found = diff(*std::move(before).build(), *std::move(after).build());
    ASSERT_EQ(found.size(), 3u);
    EXPECT_EQ(found[0].display(), "drain_time_s: 30 -> 60");
    EXPECT_EQ(found[1].display(), "- gone: true");
    EXPECT_EQ(found[2].display(), "+ z.new%2Eer: \"y\\x0a\"");
}

TEST(ConfigTreeDiff, EqualTreesDoNotDiffer) {
    TreeBuilder builder(Scope::platform());
    builder.add(name({"a"}), Value::u64(30));
    Tree tree = *std::move(builder).build();
    EXPECT_TRUE(diff(tree, tree).empty());
}

History three_changes() {
    History history;
    for (std::uint64_t i = 1; i <= 3; ++i) {
        history.append({i, Digest32{std::byte(i)}, UnixTime{1000 + static_cast<int>(i)}});
    }
    return history;
}

TEST(ConfigTreeHistory, EveryFieldIsBound) {
    EXPECT_TRUE(verify_history(three_changes()).has_value());
    std::vector<void (*)(History&)> mutations{
        [](History& h) { h.changes[1].time.seconds += 1; },
        [](History& h) { h.changes[1].policy_root[31] ^= std::byte{1}; },
        [](History& h) { h.changes[2].generation += 1; },
        [](History& h) { h.changes.pop_front(); },
        [](History& h) { h.changes.pop_back(); },
        [](History& h) { h.base[0] ^= std::byte{1}; },
        [](History& h) { h.head[0] ^= std::byte{1}; },
    };
    for (auto mutate : mutations) {
        History history = three_changes();
        mutate(history);
        Result<void> result = verify_history(history);
        ASSERT_FALSE(result.has_value());
        EXPECT_EQ(result.error().code(), history_mismatch);
    }
}

TEST(ConfigTreeHistory, GenerationsMustRise) {
    History history;
    history.append({2, {}, UnixTime{1}});
    history.append({2, {}, UnixTime{2}});
    EXPECT_EQ(verify_history(history).error().code(), history_disorder);
}

TEST(ConfigTreeHistory, KeepsTheLastThousand) {
    History history;
    for (std::uint64_t i = 1; i <= 1500; ++i) history.append({i, {}, UnixTime{5}});
    EXPECT_EQ(history.changes.size(), kMaxHistoryEntries);
    EXPECT_EQ(history.changes.front().generation, 501u);
    EXPECT_TRUE(verify_history(history).has_value());
}

}  // namespace
}  // namespace eos::config_tree
