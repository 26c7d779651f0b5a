// SPDX-License-Identifier: AGPL-3.0-only
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <fstream>
#include <future>
#include <numeric>
#include <set>

#include "untrusted/daemon/blob_database.h"
#include "untrusted/daemon/blob_service.h"
#include "untrusted/daemon/state_directory.h"
#include "untrusted/daemon/test_disk.h"
#include "untrusted/daemon/testing.h"

namespace eos::daemon {
namespace {

using testing::TemporaryDirectory;
using testing::TestDisk;

BlobBatch put(std::string key, std::string_view value,
              Durability durability = Durability::kSynced) {
    BlobBatch batch{.durability = durability};
    batch.changes.push_back({std::move(key), to_bytes(value)});
    return batch;
}

class Storage : public ::testing::Test {
  protected:
    std::unique_ptr<BlobDatabase> open() {
        auto database = BlobDatabase::open({.directory = dir_.path() / "blobs", .env = env_.get()});
        EXPECT_TRUE(database.has_value()) << database.error().message();
        return database ? std::move(*database) : nullptr;
    }
    void write(BlobDatabase& database, BlobBatch batch) {
        auto outcome = database.write({&batch, 1});
        ASSERT_TRUE(outcome.has_value()) << outcome.error().message();
    }
    static std::string value_of(BlobDatabase& database, std::string_view key) {
        auto value = database.get(key);
        if (!value) return "error " + std::string(value.error().code().name);
        return *value ? to_string(**value) : "none";
    }

    TemporaryDirectory dir_;
    std::shared_ptr<TestDisk> disk_ = std::make_shared<TestDisk>();
    std::unique_ptr<rocksdb::Env> env_ = rocksdb::NewCompositeEnv(disk_);
};

TEST_F(Storage, WhatWasWrittenIsThereAfterReopening) {
    {
        auto database = open();
        write(*database, put("a", "1"));
        BlobBatch batch;
        batch.changes.push_back({"a", std::nullopt});
        batch.changes.push_back({"b", to_bytes("2")});
        batch.changes.push_back({"empty", Bytes{}});
        write(*database, std::move(batch));
    }
    auto database = open();
    EXPECT_EQ(value_of(*database, "a"), "none");
    EXPECT_EQ(value_of(*database, "b"), "2");
    EXPECT_EQ(value_of(*database, "empty"), "");
}

TEST_F(Storage, KeysComeInPagesThatMissNothing) {
    auto database = open();
    std::vector<std::string> expected;
    for (int i = 0; i < 100; ++i) expected.push_back("p/" + std::to_string(1000 + i));
    for (const std::string& key : expected) write(*database, put(key, "v", Durability::kBuffered));
    for (const char* other : {"o", "p", "p.", "p0", "q"}) write(*database, put(other, "v"));

    for (std::size_t max_keys : {1U, 7U, 99U, 100U, 1000U}) {
        KeyRange range{.prefix = "p/", .max_keys = max_keys};
        std::vector<std::string> found;
        while (true) {
            auto page = database->list(range);
            ASSERT_TRUE(page.has_value());
            if (page->empty()) break;
            ASSERT_LE(page->size(), max_keys);
            found.insert(found.end(), page->begin(), page->end());
            range.after = found.back();
        }
        EXPECT_EQ(found, expected) << max_keys;
    }
}

TEST_F(Storage, ASecondDaemonIsToldWhyItCannotStart) {
    auto first = open();
    auto second = BlobDatabase::open({.directory = dir_.path() / "blobs", .env = env_.get()});
    ASSERT_FALSE(second.has_value());
    EXPECT_EQ(second.error().code(), storage_locked) << second.error().message();
}

TEST_F(Storage, AFullDiskIsNamedAndItsEndIsNoticed) {
    auto database = open();
    write(*database, put("before", "1"));
    disk_->full = true;
    BlobBatch batch = put("during", "2");
    for (int i = 0; i < 2; ++i) {
        auto outcome = database->write({&batch, 1});
        ASSERT_FALSE(outcome.has_value());
        EXPECT_EQ(outcome.error().code(), storage_full) << outcome.error().message();
    }
    EXPECT_EQ(value_of(*database, "before"), "1");
    EXPECT_EQ(value_of(*database, "during"), "none");

    disk_->full = false;
    write(*database, put("after", "3"));
    database.reset();
    database = open();
    EXPECT_EQ(value_of(*database, "before"), "1");
    EXPECT_EQ(value_of(*database, "after"), "3");
}

// RocksDB takes up a new log only if there is something to flush.
TEST_F(Storage, AFullDiskIsSurvivedByADatabaseThatHasWrittenNothingYet) {
    auto database = open();
    for (int round = 0; round < 3; ++round) {
        disk_->full = true;
        BlobBatch batch = put("during", "1");
        for (int i = 0; i < 3; ++i) {
            auto outcome = database->write({&batch, 1});
            ASSERT_FALSE(outcome.has_value());
            EXPECT_EQ(outcome.error().code(), storage_full) << outcome.error().message();
            EXPECT_EQ(value_of(*database, "during"), "none");
        }
        disk_->full = false;
        write(*database, put("after", std::to_string(round)));
    }
    database.reset();
    database = open();
    EXPECT_EQ(value_of(*database, "during"), "none");
    EXPECT_EQ(value_of(*database, "after"), "2");
    auto keys = database->list({.prefix = "", .after = ""});
    ASSERT_TRUE(keys.has_value());
    EXPECT_EQ(*keys, std::vector<std::string>{"after"});
}

TEST_F(Storage, AFlippedByteInAFileIsCorruption) {
    {
        auto database = open();
        write(*database, put("key", std::string(4096, 'x')));
        write(*database, put("later", "y"));
    }
    std::filesystem::path log;
    for (const auto& entry : std::filesystem::directory_iterator(dir_.path() / "blobs")) {
        if (entry.path().extension() == ".log") log = entry.path();
    }
    ASSERT_FALSE(log.empty());
    std::fstream file(log, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(1000);
    file.put('z');
    file.close();

    auto database = BlobDatabase::open({.directory = dir_.path() / "blobs", .env = env_.get()});
    ASSERT_FALSE(database.has_value());
    EXPECT_EQ(database.error().code(), storage_corrupt) << database.error().message();
}

// A file that is gone is named, or was needed by nobody; only the newest log can go unnoticed, and
// then what it held is gone as a whole, like after the return of an older copy.
TEST_F(Storage, AMissingFileIsNamedOrNeededByNobody) {
    {
        auto database = open();
        write(*database, put("old", "1"));
    }
    {
        auto database = open();  // what lay in the log is a table now
        write(*database, put("new", "2"));
    }
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::directory_iterator(dir_.path() / "blobs"))
        files.push_back(entry.path());
    std::set<std::string> named;
    for (const auto& lost : files) {
        SCOPED_TRACE(lost);
        const std::filesystem::path copy = dir_.path() / "copy";
        std::filesystem::remove_all(copy);
        std::filesystem::copy(dir_.path() / "blobs", copy);
        std::filesystem::remove(copy / lost.filename());
        auto database = BlobDatabase::open({.directory = copy, .env = env_.get()});
        if (!database) {
            EXPECT_NE(database.error().code(), storage_locked);
            named.insert(lost.filename().string().substr(0, 4) + lost.extension().string());
            continue;
        }
        EXPECT_EQ(value_of(**database, "old"), "1");
        EXPECT_EQ(value_of(**database, "new"), lost.extension() == ".log" ? "none" : "2");
    }
    for (const char* kind : {"CURR", "MANI"}) EXPECT_TRUE(named.contains(kind)) << kind;
    EXPECT_TRUE(std::ranges::any_of(named, [](const auto& n) { return n.ends_with(".sst"); }));
}

TEST_F(Storage, ADatabaseWhoseMakingWasInterruptedIsMade) {
    std::filesystem::create_directory(dir_.path() / "blobs");
    std::ofstream(dir_.path() / "blobs/MANIFEST-000001") << "half";
    auto database = open();
    write(*database, put("key", "1"));
    EXPECT_EQ(value_of(*database, "key"), "1");
}

TEST_F(Storage, ATornEndOfTheLogIsWhatACrashLeavesAndOpens) {
    {
        auto database = open();
        write(*database, put("kept", "1"));
        write(*database, put("torn", std::string(4096, 'x')));
    }
    for (const auto& entry : std::filesystem::directory_iterator(dir_.path() / "blobs")) {
        if (entry.path().extension() == ".log" && entry.file_size() > 4096) {
            std::filesystem::resize_file(entry.path(), entry.file_size() - 100);
        }
    }
    auto database = open();
    EXPECT_EQ(value_of(*database, "kept"), "1");
    EXPECT_EQ(value_of(*database, "torn"), "none");
}

/// Holds the service's thread until released, so that a test decides what queues up behind it.
class Gate {
  public:
    explicit Gate(BlobService& service) {
        // The job may outlive this object: it owns what it touches.
        auto entered = std::make_shared<std::promise<void>>();
        std::future<void> is_entered = entered->get_future();
        service.submit(BlobGetJob{"gate", [entered, opened = open_.get_future().share()](auto) {
                                      entered->set_value();
                                      opened.wait();
                                  }});
        is_entered.wait();
    }
    void open() { open_.set_value(); }

  private:
    std::promise<void> open_;
};

TEST_F(Storage, QueuedWritesShareOneSyncAndAreAcknowledgedInOrder) {
    std::vector<int> order;
    std::promise<void> all_done;
    BlobService service(open());
    Gate gate(service);
    const int before = disk_->log_syncs;
    for (int i = 0; i < 20; ++i) {
        service.submit(BlobWriteJob{put("k" + std::to_string(i), "v"), [&, i](auto r) {
                                        EXPECT_TRUE(r.has_value());
                                        order.push_back(i);
                                        if (i == 19) all_done.set_value();
                                    }});
    }
    gate.open();
    all_done.get_future().wait();
    std::vector<int> expected(20);
    std::iota(expected.begin(), expected.end(), 0);
    EXPECT_EQ(order, expected);
    EXPECT_EQ(disk_->log_syncs - before, 1);
}

TEST_F(Storage, AReadSeesTheWritesBeforeItAndNotThoseAfter) {
    std::promise<std::string> seen;
    BlobService service(open());
    Gate gate(service);
    auto accept = [](auto) {};
    service.submit(BlobWriteJob{put("k", "before"), accept});
    service.submit(BlobGetJob{"k", [&](auto r) { seen.set_value(to_string(**r)); }});
    service.submit(BlobWriteJob{put("k", "after"), accept});
    gate.open();
    EXPECT_EQ(seen.get_future().get(), "before");
}

TEST_F(Storage, TheQueueIsBounded) {
    std::atomic<std::size_t> refused = 0;
    BlobService service(open());
    Gate gate(service);
    for (std::size_t i = 0; i < BlobService::kMaxQueuedJobs + 3; ++i) {
        service.submit(BlobGetJob{"k", [&](auto r) {
                                      if (!r && r.error().code() == service_busy) ++refused;
                                  }});
    }
    EXPECT_EQ(refused, 3U);
    gate.open();
}

TEST(StateDirectory, IsMadeClosedAndRefusedWhenOpen) {
    TemporaryDirectory dir;
    const auto path = dir.path() / "state";
    EXPECT_EQ(check_state_directory(path).error().code(), bad_state_directory);
    ASSERT_TRUE(prepare_state_directory(path).has_value());
    struct stat info{};
    ASSERT_EQ(::stat(path.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 07777, 0700u);
    for (mode_t open : {0750, 0701, 0770, 0777}) {
        ASSERT_EQ(::chmod(path.c_str(), open), 0);
        EXPECT_EQ(prepare_state_directory(path).error().code(), bad_state_directory) << open;
    }
    ASSERT_EQ(::chmod(path.c_str(), 0700), 0);
    EXPECT_TRUE(prepare_state_directory(path).has_value());
}

TEST(StateDirectory, ResetPutsTheDatabaseAsideAndKeepsIt) {
    TemporaryDirectory dir;
    const auto state = dir.path() / "state";
    EXPECT_EQ(reset_state(state).error().code(), bad_state_directory);
    ASSERT_TRUE(prepare_state_directory(state).has_value());
    EXPECT_EQ(reset_state(state).value(), std::nullopt);
    for (const char* name : {"blobs.reset-1", "blobs.reset-2"}) {
        auto database = BlobDatabase::open({.directory = database_directory(state)});
        ASSERT_TRUE(database.has_value());
        EXPECT_TRUE((*database)->list({})->empty());
        BlobBatch batch = put("key", name);
        ASSERT_TRUE((*database)->write({&batch, 1}).has_value());
        database->reset();
        EXPECT_EQ(reset_state(state).value(), state / name);
    }
    std::filesystem::rename(state / "blobs.reset-1", database_directory(state));
    auto back = BlobDatabase::open({.directory = database_directory(state)});
    ASSERT_TRUE(back.has_value());
    EXPECT_EQ(to_string(**(*back)->get("key")), "blobs.reset-1");
}

TEST(StateDirectory, RefusesLinksFilesAndMissingParents) {
    TemporaryDirectory dir;
    ASSERT_TRUE(prepare_state_directory(dir.path() / "real").has_value());
    std::filesystem::create_symlink(dir.path() / "real", dir.path() / "link");
    std::ofstream(dir.path() / "file") << "x";
    for (const char* name : {"link", "file", "missing/state"}) {
        EXPECT_EQ(prepare_state_directory(dir.path() / name).error().code(), bad_state_directory)
            << name;
    }
}

}  // namespace
}  // namespace eos::daemon
