// SPDX-License-Identifier: AGPL-3.0-only
// What the tests of this folder share; in no program.
#pragma once

#include <rocksdb/env.h>
#include <rocksdb/file_system.h>

#include <atomic>
#include <memory>
#include <string>

namespace eos::daemon::testing {

/// A disk that can run full, and that counts syncs.
class TestDisk : public rocksdb::FileSystemWrapper {
  public:
    TestDisk() : FileSystemWrapper(rocksdb::FileSystem::Default()) {}
    const char* Name() const override { return "TestDisk"; }

    rocksdb::IOStatus NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                                      std::unique_ptr<rocksdb::FSWritableFile>* out,
                                      rocksdb::IODebugContext* debug) override {
        std::unique_ptr<rocksdb::FSWritableFile> file;
        auto status = target()->NewWritableFile(name, options, &file, debug);
        if (status.ok()) *out = std::make_unique<File>(std::move(file), *this);
        return status;
    }

    std::atomic<bool> full = false;
    std::atomic<int> log_syncs = 0;

  private:
    class File : public rocksdb::FSWritableFileOwnerWrapper {
      public:
        File(std::unique_ptr<rocksdb::FSWritableFile>&& file, TestDisk& disk)
            : FSWritableFileOwnerWrapper(std::move(file)), disk_(disk) {}
        rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                                 rocksdb::IODebugContext* debug) override {
            if (disk_.full) return rocksdb::IOStatus::NoSpace("test disk");
            return FSWritableFileOwnerWrapper::Append(data, options, debug);
        }
        rocksdb::IOStatus Sync(const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* debug) override {
            ++disk_.log_syncs;
            return FSWritableFileOwnerWrapper::Sync(options, debug);
        }

      private:
        TestDisk& disk_;
    };
};

}  // namespace eos::daemon::testing
