// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/virtual/minter/state_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "common/crypto/random.h"

namespace eos::cvm {
namespace {

namespace fs = std::filesystem;

MinterState state() {
    MinterState out;
    out.instance_id = crypto::random_array<16>();
    out.generation = 7;
    out.time_floor = {1'790'000'000};
    out.owned.emplace();
    out.owned->owner_spki_hash = crypto::random_array<32>();
    out.owned->platform_name = "vm.example.test";
    out.owned->authority.chain = {Bytes(700, std::byte{3})};
    out.owned->authority.key = SecretBytes(Bytes(121, std::byte{4}));
    out.owned->authority.origin = runtime::CaKeyOrigin::kBornInside;
    out.owned->provisioned_at = {1'789'000'000};
    out.app_ids = {{"chat", crypto::random_array<16>()}, {"shop", crypto::random_array<16>()}};
    out.served_hash = crypto::random_array<32>();
    out.history.append({6, crypto::random_array<32>(), {1'780'000'000}});
    out.history.append({7, crypto::random_array<32>(), {1'790'000'000}});
    return out;
}

class StateFile : public ::testing::Test {
  protected:
    void SetUp() override {
        std::string pattern = fs::temp_directory_path() / "minter-state-XXXXXX";
        ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
        path = pattern;
    }
    void TearDown() override { fs::remove_all(path); }
    fs::path path;
};

void expect_same(const MinterState& a, const MinterState& b) {
    EXPECT_TRUE(std::ranges::equal(encode_state(a).view(), encode_state(b).view()));
}

TEST(StateFormat, IsReadBackAsItWas) {
    const MinterState full = state();
    Result<MinterState> back = decode_state(encode_state(full).view());
    ASSERT_TRUE(back) << back.error().message();
    expect_same(*back, full);
    expect_same(full.duplicate(), full);
    EXPECT_EQ(back->owned->platform_name, "vm.example.test");
    EXPECT_EQ(back->app_ids, full.app_ids);
    EXPECT_EQ(back->history, full.history);
    Result<MinterState> empty = decode_state(encode_state(MinterState{}).view());
    ASSERT_TRUE(empty);
    EXPECT_FALSE(empty->owned);
}

TEST(StateFormat, AChangedByteAnywhereIsRefused) {
    const SecretBytes file = encode_state(state());
    for (std::size_t i = 0; i < file.size(); ++i) {
        Bytes changed = to_bytes(file.view());
        changed[i] ^= std::byte{1};
        ASSERT_EQ(decode_state(changed).error().code(), state_unusable) << i;
    }
    for (std::size_t size = 0; size < file.size(); ++size)
        ASSERT_EQ(decode_state(file.view().first(size)).error().code(), state_unusable) << size;
}

TEST(StateFormat, AHistoryThatDoesNotChainIsRefusedThoughItsHashIsRight) {
    MinterState broken = state();
    broken.history.changes[0].generation = 5;
    EXPECT_EQ(decode_state(encode_state(broken).view()).error().code(), state_unusable);
}

TEST(StateFormat, WhatCouldBeWrittenInTwoWaysIsRefusedThoughItsHashIsRight) {
    constexpr std::size_t kOwnedAt = 26 + 16 + 8 + 8 + 32;
    auto with = [](Bytes file) {
        file.resize(file.size() - 32);
        append(file, crypto::sha256(ByteView(file)));
        return file;
    };
    MinterState plain;
    plain.app_ids = {{"chat", {}}, {"shop", {}}};
    const Bytes whole = to_bytes(encode_state(plain).view());
    ASSERT_TRUE(decode_state(with(whole)));
    Bytes half_owned = whole;
    half_owned[kOwnedAt] = std::byte{2};
    EXPECT_EQ(decode_state(with(half_owned)).error().code(), state_unusable);
    for (const std::string_view other : {"zhat", "shop"}) {
        Bytes ids = whole;
        std::ranges::copy(as_bytes(other), ids.begin() + kOwnedAt + 1 + 4 + 4);
        EXPECT_EQ(decode_state(with(ids)).error().code(), state_unusable) << other;
    }
}

TEST_F(StateFile, IsThereAfterItWasStored) {
    const MinterState first = state();
    {
        Result<StateDirectory> directory = StateDirectory::open(path);
        ASSERT_TRUE(directory) << directory.error().message();
        EXPECT_FALSE(*directory->load()) << "a first run";
        ASSERT_TRUE(directory->store(state()));
        ASSERT_TRUE(directory->store(first));
    }
    Result<StateDirectory> again = StateDirectory::open(path);
    ASSERT_TRUE(again);
    auto loaded = again->load();
    ASSERT_TRUE(loaded && *loaded);
    expect_same(**loaded, first);
    EXPECT_EQ(fs::status(path / "state").permissions(), fs::perms(0600));
}

TEST_F(StateFile, AWriteThatACrashCutShortCountsForNothing) {
    const MinterState first = state();
    ASSERT_TRUE(StateDirectory::open(path)->store(first));
    std::ofstream(path / "state.new") << "half of it";
    Result<StateDirectory> directory = StateDirectory::open(path);
    ASSERT_TRUE(directory);
    expect_same(**directory->load(), first);
    EXPECT_FALSE(fs::exists(path / "state.new"));
}

TEST_F(StateFile, OneThatIsNotWholeIsNoFirstRun) {
    std::ofstream(path / "state") << "";
    EXPECT_EQ(StateDirectory::open(path)->load().error().code(), state_unusable);
}

TEST_F(StateFile, ADirectoryThatOthersMayEnterIsRefused) {
    fs::permissions(path, fs::perms(0750));
    EXPECT_EQ(StateDirectory::open(path).error().code(), state_exposed);
    EXPECT_EQ(StateDirectory::open(path / "none").error().code(), state_exposed);
}

TEST_F(StateFile, ASecondMinterIsKeptOut) {
    Result<StateDirectory> first = StateDirectory::open(path);
    ASSERT_TRUE(first);
    EXPECT_EQ(StateDirectory::open(path).error().code(), state_in_use);
}

TEST_F(StateFile, AFullOrReadOnlyDirectorySaysSoAndKeepsTheOldOne) {
    const MinterState first = state();
    Result<StateDirectory> directory = StateDirectory::open(path);
    ASSERT_TRUE(directory->store(first));
    fs::create_directory(path / "state.new");  // stands in the way of the new file
    EXPECT_EQ(directory->store(state()).error().code(), state_not_written);
    expect_same(**directory->load(), first);
}

}  // namespace
}  // namespace eos::cvm
