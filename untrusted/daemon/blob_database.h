// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/result.h"

namespace rocksdb {
class DB;
class Env;
class Status;
}  // namespace rocksdb

namespace eos::daemon {

inline constexpr Code storage_locked{"untrusted/daemon", "storage_locked",
                                     "another process has the database open"};
inline constexpr Code storage_full{"untrusted/daemon", "storage_full",
                                   "no space is left for the database"};
inline constexpr Code storage_corrupt{"untrusted/daemon", "storage_corrupt",
                                      "the database's own checksums do not match"};
inline constexpr Code storage_failed{"untrusted/daemon", "storage_failed",
                                     "the database reported an error"};

/// When a write is acknowledged: after it reached the operating system, or stable storage.
enum class Durability { kBuffered, kSynced };

/// Sets `key` to `value`, or deletes it where there is no value.
struct BlobChange {
    std::string key;
    std::optional<Bytes> value;
};

/// Applied as a whole or not at all.
struct BlobBatch {
    std::vector<BlobChange> changes;
    Durability durability = Durability::kSynced;
};

/// A question for the keys that start with `prefix` and are greater than `after`.
struct KeyRange {
    std::string prefix;
    std::string after;  ///< empty: from the first
    std::size_t max_keys = 256;
};

/// Sealed blobs by key, in RocksDB. Every call may wait for the disk: not for the network thread.
/// threads: one at a time.
class BlobDatabase {
  public:
    struct Options {
        std::filesystem::path directory;
        rocksdb::Env* env = nullptr;  ///< for tests that make the disk fail; outlives the database
    };

    /// Opens or creates the database.
    /// errors:  storage_locked, storage_full, storage_corrupt, storage_failed.
    [[nodiscard]] static Result<std::unique_ptr<BlobDatabase>> open(const Options& options);

    /// Reads an existing database without changing it or taking its lock, also beside a daemon that
    /// has it open.
    /// errors:  storage_corrupt, storage_failed.
    [[nodiscard]] static Result<void> probe(const Options& options);

    ~BlobDatabase();
    BlobDatabase(const BlobDatabase&) = delete;
    BlobDatabase& operator=(const BlobDatabase&) = delete;

    /// errors:  storage_corrupt, storage_failed.
    [[nodiscard]] Result<std::optional<Bytes>> get(std::string_view key);

    /// The next keys of the range, bytewise ascending; none: the end.
    /// errors:  storage_corrupt, storage_failed.
    /// bound:   range.max_keys.
    [[nodiscard]] Result<std::vector<std::string>> list(const KeyRange& range);

    /// Applies all batches in one write, synced if any of them asks for it. After an error none of
    /// them is visible, but a crash may yet bring them to light, all or none.
    /// errors:  storage_full, storage_corrupt, storage_failed.
    [[nodiscard]] Result<void> write(std::span<const BlobBatch> group);

  private:
    BlobDatabase(std::unique_ptr<rocksdb::DB> db, std::filesystem::path directory);
    Error explain(const rocksdb::Status& status) const;
    void keep_something_to_flush();

    std::filesystem::path directory_;
    std::unique_ptr<rocksdb::DB> db_;
    bool write_failed_ = false;
};

}  // namespace eos::daemon
