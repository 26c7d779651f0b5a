// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/runtime/sealed_store.h"

#include <gtest/gtest.h>

#include "common/base/encoding.h"
#include "trusted/runtime/testing.h"

namespace eos::runtime {
namespace {

using testing::MemoryBlobStore;
using testing::outcome;
using testing::TestStore;

TEST(SealedStore, EmptyStorageIsAFirstRun) {
    TestStore test;
    ASSERT_EQ(outcome(test.open()), "ok");
    EXPECT_EQ(test.store->origin(), SealedStore::Origin::kFirstRun);
    EXPECT_EQ(test.store->generation(), 0u);
    EXPECT_TRUE(test.store->records().empty());
    InstanceId id = test.store->instance_id();
    ASSERT_EQ(outcome(test.open()), "ok");
    EXPECT_EQ(test.store->origin(), SealedStore::Origin::kOpened);
    EXPECT_EQ(test.store->instance_id(), id);
    TestStore other;
    ASSERT_EQ(outcome(other.open()), "ok");
    EXPECT_NE(other.store->instance_id(), id);
}

TEST(SealedStore, WhatWasCommittedIsThereAfterARestart) {
    TestStore test;
    ASSERT_EQ(outcome(test.open()), "ok");
    Transaction change = test.transaction();
    change.put("owner", 1, SecretBytes(to_bytes("alice")));
    change.put("app/a", 2, SecretBytes(Bytes{}));
    ASSERT_EQ(outcome(test.commit(std::move(change))), "ok");
    ASSERT_EQ(outcome(test.put("owner", "bob")), "ok");
    ASSERT_EQ(outcome(test.open()), "ok");
    EXPECT_EQ(test.store->generation(), 2u);
    EXPECT_EQ(*test.get("owner"), "bob");
    EXPECT_EQ(*test.get("app/a", 2), "");
    std::vector<RecordInfo> records = test.store->records();
    ASSERT_EQ(records.size(), 2u);
    EXPECT_EQ(records[0].name, "app/a");
    EXPECT_EQ(records[0].generation, 1u);
    EXPECT_EQ(records[1].generation, 2u);
    EXPECT_EQ(test.store->garbage_deleted(), 0u);
}

TEST(SealedStore, ErasedRecordsAreGone) {
    TestStore test;
    ASSERT_EQ(outcome(test.open()), "ok");
    ASSERT_EQ(outcome(test.put("a", "1")), "ok");
    std::size_t before = test.blobs.blobs.size();
    Transaction change = test.transaction();
    change.erase("a");
    ASSERT_EQ(outcome(test.commit(std::move(change))), "ok");
    EXPECT_EQ(outcome(test.get("a")), "no_such_record");
    EXPECT_EQ(test.blobs.blobs.size(), before - 1);
    ASSERT_EQ(outcome(test.open()), "ok");
    EXPECT_EQ(outcome(test.get("a")), "no_such_record");
}

std::string pattern(std::size_t size) {
    std::string out(size, '\0');
    for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<char>(i * 31 + i / 251);
    return out;
}

TEST(SealedStore, LargeValuesComeBackWhole) {
    TestStore test;
    ASSERT_EQ(outcome(test.open()), "ok");
    for (std::size_t size : {kChunkBytes - 1, kChunkBytes, kChunkBytes + 1, 16ul << 20}) {
        ASSERT_EQ(outcome(test.put("module", pattern(size))), "ok");
        ASSERT_EQ(outcome(test.open()), "ok");
        EXPECT_EQ(*test.get("module"), pattern(size)) << size;
    }
    EXPECT_TRUE(test.blobs.within_bounds);
    EXPECT_EQ(test.blobs.blobs.size(), 2 + ((16u << 20) + kChunkBytes - 1) / kChunkBytes);
}

TEST(SealedStore, ManyRecordsNeedAnIndexOfSeveralBlobs) {
    TestStore test;
    test.blobs.page_size = kMaxBlobListKeys;
    ASSERT_EQ(outcome(test.open()), "ok");
    Transaction change = test.transaction();
    for (std::size_t i = 0; i < kMaxRecords; ++i) {
        change.put("app/" + std::to_string(i), 1, SecretBytes(to_bytes(std::to_string(i))));
    }
    ASSERT_EQ(outcome(test.commit(std::move(change))), "ok");
    EXPECT_EQ(outcome(test.put("one-more", "")), "store_full");
    ASSERT_EQ(outcome(test.open()), "ok");
    EXPECT_EQ(*test.get("app/4095"), "4095");
    EXPECT_TRUE(test.blobs.within_bounds);
}

TEST(SealedStore, OneSyncedWriteACommit) {
    TestStore test;
    ASSERT_EQ(outcome(test.open()), "ok");
    test.blobs.log.clear();
    ASSERT_EQ(outcome(test.put("big", pattern(300'000))), "ok");
    int synced = 0;
    for (const auto& write : test.blobs.log) synced += write.durability == Durability::kSynced;
    EXPECT_EQ(synced, 1);
}

TEST(SealedStore, TheHostSeesNeitherNamesNorValuesNorWhichRecordChanged) {
    TestStore test;
    ASSERT_EQ(outcome(test.open()), "ok");
    ASSERT_EQ(outcome(test.put("secret-name", "secret-value")), "ok");
    std::vector<std::string> keys;
    for (const auto& [key, value] : test.blobs.blobs) {
        EXPECT_EQ(key.find("secret-name"), key.npos);
        EXPECT_EQ(to_string(value).find("secret"), std::string::npos);
        if (key != "state/root") keys.push_back(key);
    }
    ASSERT_EQ(outcome(test.put("secret-name", "secret-value")), "ok");
    for (const std::string& key : keys) EXPECT_FALSE(test.blobs.blobs.contains(key));
}

TEST(SealedStore, BadChangesChangeNothing) {
    TestStore test;
    ASSERT_EQ(outcome(test.open()), "ok");
    ASSERT_EQ(outcome(test.put("a", "1")), "ok");
    for (std::string_view name : {"", "A", "(index)", "(root)", "a b", "\xc3\xa9"}) {
        EXPECT_EQ(outcome(test.put(std::string(name), "x")), "bad_record_name") << name;
    }
    EXPECT_EQ(outcome(test.put(std::string(129, 'a'), "x")), "bad_record_name");
    EXPECT_EQ(outcome(test.put("b", "x", 0)), "bad_record_name");
    EXPECT_EQ(outcome(test.put("b", "x", kIndexType)), "bad_record_name");
    EXPECT_EQ(outcome(test.put("b", std::string(kMaxRecordBytes + 1, 'x'))), "record_too_large");
    EXPECT_EQ(outcome(test.put("b", std::string(kMaxTransactionBytes, 'x'))), "record_too_large");
    Transaction unknown = test.transaction();
    unknown.erase("b");
    EXPECT_EQ(outcome(test.commit(std::move(unknown))), "no_such_record");
    EXPECT_EQ(outcome(test.commit(Transaction(0))), "stale_transaction");
    EXPECT_EQ(test.store->generation(), 1u);
    EXPECT_EQ(outcome(test.get("b")), "no_such_record");
    EXPECT_EQ(outcome(test.get("a", 2)), "wrong_record_type");
    EXPECT_EQ(*test.get("a"), "1");
}

TEST(SealedStore, TheSecondOfTwoChangesFromOneStateIsRefused) {
    TestStore test;
    test.blobs.answers = MemoryBlobStore::Answers::kLater;
    ASSERT_EQ(outcome(test.open()), "ok");
    std::vector<std::string> outcomes;
    for (std::string_view value : {"first", "second"}) {
        Transaction change(0);
        change.put("a", 1, SecretBytes(to_bytes(value)));
        test.store->commit(std::move(change),
                           [&](Result<void> done) { outcomes.push_back(outcome(done)); });
    }
    test.blobs.run();
    EXPECT_EQ(outcomes, (std::vector<std::string>{"ok", "stale_transaction"}));
    EXPECT_EQ(*test.get("a"), "first");
}

TEST(SealedStore, OperationsRunInOrder) {
    TestStore test;
    test.blobs.answers = MemoryBlobStore::Answers::kLater;
    ASSERT_EQ(outcome(test.open()), "ok");
    std::vector<std::string> seen;
    auto read = [&] {
        test.store->get("a", 1, [&](Result<SecretBytes> bytes) {
            seen.push_back(bytes ? to_string(bytes->view()) : outcome(bytes));
        });
    };
    for (std::uint64_t i = 0; i < 3; ++i) {
        read();
        Transaction change(i);
        change.put("a", 1, SecretBytes(to_bytes(pattern(200'000 + i))));
        test.store->commit(std::move(change), [](const Result<void>&) {});
    }
    read();
    test.blobs.run();
    ASSERT_EQ(seen.size(), 4u);
    EXPECT_EQ(seen[0], "no_such_record");
    for (std::size_t i = 1; i < 4; ++i) EXPECT_EQ(seen[i], pattern(200'000 + i - 1));
}

TEST(SealedStore, TheQueueIsBounded) {
    TestStore test;
    ASSERT_EQ(outcome(test.open()), "ok");
    test.blobs.answers = MemoryBlobStore::Answers::kLater;
    std::map<std::string, int> outcomes;
    for (std::size_t i = 0; i < kMaxQueuedOperations + 5; ++i) {
        Transaction change(0);
        change.put("a", 1, SecretBytes(to_bytes("x")));
        test.store->commit(std::move(change),
                           [&](Result<void> done) { ++outcomes[outcome(done)]; });
    }
    EXPECT_EQ(outcomes["store_busy"], 4);  // one runs, 64 wait
    test.blobs.run();
    EXPECT_EQ(outcomes["ok"], 1);
    EXPECT_EQ(outcomes["stale_transaction"], static_cast<int>(kMaxQueuedOperations));
    Bytes large(kMaxTransactionBytes / 4 - 1);
    int busy = 0;
    for (int i = 0; i < 3; ++i) {
        Transaction change(1);
        for (const char* name : {"a", "b", "c", "d"})
            change.put(name, 1, SecretBytes(Bytes(large)));
        test.store->commit(std::move(change),
                           [&](Result<void> done) { busy += outcome(done) == "store_busy"; });
    }
    EXPECT_EQ(busy, 1);
}

TEST(SealedStore, DestroyingTheStoreAbandonsWhatIsUnderWay) {
    TestStore test;
    ASSERT_EQ(outcome(test.open()), "ok");
    test.blobs.answers = MemoryBlobStore::Answers::kLater;
    bool called = false;
    for (int i = 0; i < 3; ++i) {
        test.store->get("a", 1, [&](const Result<SecretBytes>&) {});
        Transaction change(0);
        change.put("a", 1, SecretBytes(to_bytes(pattern(200'000))));
        test.store->commit(std::move(change), [&](const Result<void>&) { called = true; });
    }
    test.store.reset();
    test.blobs.run();
    EXPECT_FALSE(called);
}

TEST(SealedStore, FactoryResetLeavesNothing) {
    TestStore test;
    ASSERT_EQ(outcome(test.open()), "ok");
    InstanceId before = test.store->instance_id();
    ASSERT_EQ(outcome(test.put("ca", pattern(100'000))), "ok");
    ASSERT_EQ(outcome(test.destroy()), "ok");
    EXPECT_NE(test.store->instance_id(), before);
    EXPECT_EQ(test.store->generation(), 0u);
    EXPECT_EQ(test.blobs.blobs.size(), 2u);  // root and an empty index
    ASSERT_EQ(outcome(test.put("owner", "new")), "ok");
    ASSERT_EQ(outcome(test.open()), "ok");
    EXPECT_EQ(*test.get("owner"), "new");
    EXPECT_EQ(outcome(test.get("ca")), "no_such_record");
}

TEST(SealedStore, AnotherEnclaveOrMachineCannotOpenIt) {
    TestStore test;
    ASSERT_EQ(outcome(test.open()), "ok");
    ASSERT_EQ(outcome(test.put("a", "1")), "ok");
    testing::Blobs kept = test.blobs.blobs;
    test.keys = testing::FakeSealingKeys({"machine", "another enclave"});
    Result<void> opened = test.open();
    ASSERT_EQ(outcome(opened), "wrong_enclave_or_machine");
    std::string message = opened.error().message();
    auto measurement = [](std::string_view name) { return hex(crypto::sha256(as_bytes(name))); };
    EXPECT_NE(message.find(measurement("enclave")), message.npos) << message;
    EXPECT_NE(message.find(measurement("another enclave")), message.npos) << message;
    EXPECT_NE(message.find("--reset-state"), message.npos) << message;
    test.keys = testing::FakeSealingKeys({"another machine", "enclave"});
    EXPECT_EQ(outcome(test.open()), "wrong_enclave_or_machine");
    EXPECT_EQ(test.blobs.blobs, kept);  // refusing must not delete anything
    test.keys = testing::FakeSealingKeys();
    EXPECT_EQ(outcome(test.open()), "ok");
}

}  // namespace
}  // namespace eos::runtime
