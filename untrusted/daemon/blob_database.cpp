// SPDX-License-Identifier: AGPL-3.0-only
#include "untrusted/daemon/blob_database.h"

#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/listener.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>

#include <cstdarg>
#include <exception>

namespace eos::daemon {
namespace {

constexpr const char* kNobodysKey = "nobody's";

rocksdb::Slice slice(std::string_view text) {
    return {text.data(), text.size()};
}

/// Keeps RocksDB from polling a full disk on a thread of its own: the next write looks (see
/// write()), so that freed space is noticed at once and an idle daemon stays idle.
class NoAutomaticRecovery : public rocksdb::EventListener {
  public:
    void OnErrorRecoveryBegin(rocksdb::BackgroundErrorReason /*reason*/, rocksdb::Status /*error*/,
                              bool* auto_recovery) override {
        *auto_recovery = false;
    }
};

// RocksDB's own log says nothing that its status codes do not, and on a full disk Debian's build
// aborts at the second line that cannot be written.
class NoLog : public rocksdb::Logger {
  public:
    using rocksdb::Logger::Logv;
    void Logv(const char* /*format*/, va_list /*arguments*/) override {}
};

rocksdb::Options database_options(const BlobDatabase::Options& choice) {
    rocksdb::Options out;
    if (choice.env != nullptr) out.env = choice.env;
    out.listeners.push_back(std::make_shared<NoAutomaticRecovery>());
    out.create_if_missing = true;
    out.paranoid_checks = true;
    // An incomplete record at a log's end is what a crash leaves behind and was never acknowledged.
    // Anything else that does not check out is reported, not skipped with all that follows it.
    out.wal_recovery_mode = rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
    out.compression = rocksdb::kNoCompression;  // sealed records do not compress
    // The state of one enclave is small: a few MiB of memory are plenty.
    out.write_buffer_size = 4 << 20;
    out.max_write_buffer_number = 2;
    out.max_total_wal_size = 16 << 20;
    out.max_open_files = 128;
    out.avoid_flush_during_shutdown = true;  // what matters is in the log
    out.max_background_jobs = 2;
    out.info_log = std::make_shared<NoLog>();
    out.stats_dump_period_sec = 0;  // nothing wakes an idle daemon
    out.stats_persist_period_sec = 0;
    return out;
}

bool mentions_lock(const rocksdb::Status& status) {
    // RocksDB has no code of its own for a held LOCK file.
    const std::string text = status.ToString();
    return status.IsIOError() && text.find("LOCK") != std::string::npos &&
           text.find("lock") != std::string::npos;
}

Error explain_status(const rocksdb::Status& status, const std::filesystem::path& directory) {
    const std::string text = directory.string() + ": " + status.ToString();
    if (status.IsNoSpace()) {
        return Error(storage_full,
                     text + "; free space on that file system, nothing else is needed");
    }
    if (status.IsCorruption()) {
        return Error(storage_corrupt, text + "; restore the state directory from a backup");
    }
    return Error(storage_failed, text);
}

// RocksDB takes a directory without CURRENT for one without a database, makes a new one in it, and
// deletes what lies there. One lost file is no reason to lose the rest. (A database whose making
// was interrupted has neither tables nor logs yet.)
Result<void> check_not_headless(const std::filesystem::path& directory) {
    std::error_code error;
    if (std::filesystem::exists(directory / "CURRENT", error)) return {};
    for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
        const std::string name = entry.path().filename().string();
        if (name.ends_with(".sst") || name.ends_with(".log")) {
            return fail(storage_corrupt, directory.string() + ": there is " + name +
                                             ", but the file CURRENT is missing; restore the "
                                             "state directory from a backup");
        }
    }
    return {};
}

}  // namespace

BlobDatabase::BlobDatabase(std::unique_ptr<rocksdb::DB> db, std::filesystem::path directory)
    : directory_(std::move(directory)), db_(std::move(db)) {}

BlobDatabase::~BlobDatabase() {
    // A failure to close loses nothing that was acknowledged as synced.
    static_cast<void>(db_->Close());
}

Error BlobDatabase::explain(const rocksdb::Status& status) const {
    return explain_status(status, directory_);
}

Result<std::unique_ptr<BlobDatabase>> BlobDatabase::open(const Options& options) {
    EOS_TRY(check_not_headless(options.directory));
    try {
        rocksdb::DB* raw = nullptr;
        rocksdb::Status status =
            rocksdb::DB::Open(database_options(options), options.directory.string(), &raw);
        if (!status.ok() && mentions_lock(status)) {
            return fail(storage_locked,
                        options.directory.string() + "; stop the other daemon first");
        }
        if (!status.ok()) return fail(explain_status(status, options.directory));
        return std::unique_ptr<BlobDatabase>(
            new BlobDatabase(std::unique_ptr<rocksdb::DB>(raw), options.directory));
    } catch (const std::exception& e) {  // std::thread and the allocator inside RocksDB
        return fail(storage_failed, options.directory.string() + ": " + e.what());
    }
}

Result<void> BlobDatabase::probe(const Options& options) {
    try {
        rocksdb::Options read_only = database_options(options);
        read_only.create_if_missing = false;
        rocksdb::DB* raw = nullptr;
        rocksdb::Status status =
            rocksdb::DB::OpenForReadOnly(read_only, options.directory.string(), &raw);
        std::unique_ptr<rocksdb::DB> database(raw);
        if (!status.ok()) return fail(explain_status(status, options.directory));
        return {};
    } catch (const std::exception& e) {
        return fail(storage_failed, options.directory.string() + ": " + e.what());
    }
}

Result<std::optional<Bytes>> BlobDatabase::get(std::string_view key) {
    std::string value;
    rocksdb::Status status = db_->Get(rocksdb::ReadOptions(), slice(key), &value);
    if (status.IsNotFound()) return std::nullopt;
    if (!status.ok()) return fail(explain(status));
    return to_bytes(value);
}

Result<std::vector<std::string>> BlobDatabase::list(const KeyRange& range) {
    rocksdb::ReadOptions read;
    read.fill_cache = false;
    std::unique_ptr<rocksdb::Iterator> it(db_->NewIterator(read));
    it->Seek(slice(std::max(range.prefix, range.after)));
    if (it->Valid() && !range.after.empty() && it->key() == slice(range.after)) it->Next();

    std::vector<std::string> keys;
    for (; it->Valid() && it->key().starts_with(slice(range.prefix)); it->Next()) {
        if (keys.size() == range.max_keys) break;
        keys.push_back(it->key().ToString());
    }
    if (!it->status().ok()) return fail(explain(it->status()));
    return keys;
}

// Resume() takes up a new log only if there is something to flush; the old one, once a write to it
// has failed, fails for ever (Debian's build aborts). So there always is something: the deletion of
// a key that nobody has, not worth a log of its own.
void BlobDatabase::keep_something_to_flush() {
    rocksdb::WriteOptions unlogged;
    unlogged.disableWAL = true;
    static_cast<void>(db_->Delete(unlogged, kNobodysKey));
}

Result<void> BlobDatabase::write(std::span<const BlobBatch> group) {
    rocksdb::WriteBatch batch;
    rocksdb::WriteOptions write;
    for (const BlobBatch& one : group) {
        if (one.durability == Durability::kSynced) write.sync = true;
        for (const BlobChange& change : one.changes) {
            rocksdb::Status status =
                change.value ? batch.Put(slice(change.key), slice(as_chars(*change.value)))
                             : batch.Delete(slice(change.key));
            if (!status.ok()) return fail(explain(status));
        }
    }
    // After a failed write RocksDB refuses all others until it is told to look at the disk again.
    if (write_failed_) {
        rocksdb::Status status = db_->Resume();
        if (!status.ok()) return fail(explain(status));
    }
    keep_something_to_flush();
    rocksdb::Status status = db_->Write(write, &batch);
    write_failed_ = !status.ok();
    if (!status.ok()) return fail(explain(status));
    return {};
}

}  // namespace eos::daemon
