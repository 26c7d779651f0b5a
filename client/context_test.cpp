// SPDX-License-Identifier: AGPL-3.0-only
#include "client/context.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/files.h"
#include "client/testing.h"

namespace eos::client {
namespace {

Context context(std::string name) {
    return {std::move(name), "127.0.0.1:8443", "mini.test", "/policy", "/root", "/key", "/more"};
}

TEST(Context, IsReadAsItWasWrittenAndTheCurrentOneIsKnown) {
    TestFolder folder;
    ContextStore store(folder.path());
    EXPECT_TRUE(store.names().empty());
    EXPECT_FALSE(store.current());
    ASSERT_TRUE(store.save(context("b")));
    ASSERT_TRUE(store.save(context("a")));
    EXPECT_THAT(store.names(), ::testing::ElementsAre("a", "b"));
    Context read = store.load("a").value();
    EXPECT_EQ(read.address, "127.0.0.1:8443");
    EXPECT_EQ(read.server_name, "mini.test");
    EXPECT_EQ(read.policy, "/policy");
    EXPECT_EQ(read.root, "/root");
    EXPECT_EQ(read.owner_key, "/key");
    EXPECT_EQ(read.collateral, "/more");
    ASSERT_TRUE(store.use("b"));
    EXPECT_EQ(store.current(), "b");
    ASSERT_TRUE(store.remove("b"));
    EXPECT_FALSE(store.current());
    EXPECT_EQ(store.load("b").error().code(), no_context);
    EXPECT_EQ(store.use("b").error().code(), no_context);
    EXPECT_EQ(store.remove("b").error().code(), no_context);
}

TEST(Context, ANameIsNoPath) {
    TestFolder folder;
    ContextStore store(folder.path());
    for (const char* name : {"", ".", "..", "../a", "a/b", "A", "a b"}) {
        EXPECT_EQ(store.save(context(name)).error().code(), bad_context) << name;
        EXPECT_EQ(store.load(name).error().code(), no_context) << name;
        EXPECT_EQ(store.remove(name).error().code(), no_context) << name;
    }
    EXPECT_EQ(store.save(context(std::string(64, 'a'))).error().code(), bad_context);
}

TEST(Context, ADamagedFileIsAnError) {
    TestFolder folder;
    ContextStore store(folder.path());
    for (std::string_view text : {"", "{", "[]", "{}", "{\"address\":1}"}) {
        ASSERT_TRUE(write_file(folder / "contexts/a.json", as_bytes(text), {}));
        EXPECT_FALSE(store.load("a")) << text;
    }
}

TEST(Files, AFileIsReplacedAsAWholeAndNothingIsLeftBeside) {
    TestFolder folder;
    const std::filesystem::path path = folder / "new/file";
    ASSERT_TRUE(write_file(path, as_bytes("first"), {}));
    int held = ::open(path.c_str(), O_RDONLY);  // whoever reads the old one reads all of it
    ASSERT_TRUE(write_file(path, as_bytes("second"), {}));
    char text[16];
    EXPECT_EQ(::read(held, text, sizeof text), 5);
    ::close(held);
    EXPECT_EQ(to_string(*read_file(path)), "second");
    auto count = std::distance(std::filesystem::directory_iterator(folder / "new"), {});
    EXPECT_EQ(count, 1);
}

TEST(Files, WhatFailsLeavesTheOldFile) {
    TestFolder folder;
    const std::filesystem::path path = folder / "file";
    ASSERT_TRUE(write_file(path, as_bytes("first"), {}));
    EXPECT_EQ(write_file(path, as_bytes("x"), {.overwrite = Overwrite::kRefuse}).error().code(),
              file_exists);
    EXPECT_EQ(write_file(path / "below", as_bytes("x"), {}).error().code(), file_unwritable);
    EXPECT_EQ(to_string(*read_file(path)), "first");
    std::filesystem::create_directory(folder / "folder");
    EXPECT_EQ(write_file(folder / "folder", as_bytes("x"), {}).error().code(), file_unwritable);
    EXPECT_EQ(read_file(folder / "none").error().code(), file_unreadable);
}

TEST(Files, APrivateKeyIsReadOnlyFromAFileThatNobodyElseReads) {
    TestFolder folder;
    crypto::P256PrivateKey key = crypto::P256PrivateKey::generate();
    ASSERT_TRUE(write_private_key(folder / "key", key));
    EXPECT_EQ(read_private_key(folder / "key")->public_key(), key.public_key());
    EXPECT_EQ(write_private_key(folder / "key", key).error().code(), file_exists);
    for (mode_t mode : {0640u, 0604u, 0660u}) {
        ASSERT_EQ(chmod((folder / "key").c_str(), mode), 0);
        EXPECT_EQ(read_private_key(folder / "key").error().code(), file_exposed);
    }
}

}  // namespace
}  // namespace eos::client
