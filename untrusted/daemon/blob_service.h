// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <memory>
#include <thread>
#include <variant>

#include "untrusted/daemon/blob_database.h"
#include "untrusted/daemon/bounded_queue.h"
#include "untrusted/daemon/service.h"

namespace eos::daemon {

/// One call of BlobDatabase each, and where its outcome goes.
struct BlobGetJob {
    std::string key;
    Done<std::optional<Bytes>> done;
};
struct BlobListJob {
    KeyRange range;
    Done<std::vector<std::string>> done;
};
struct BlobWriteJob {
    BlobBatch batch;
    Done<void> done;
};
using BlobJob = std::variant<BlobGetJob, BlobListJob, BlobWriteJob>;

/// A thread of its own for the database. Jobs are done in the order of the calls; neighbouring
/// writes become one write to the disk, so that many workers share one sync. threads: any.
class BlobService {
  public:
    static constexpr std::size_t kMaxQueuedJobs = 1024;
    static constexpr std::size_t kMaxGroupedWrites = 64;

    explicit BlobService(std::unique_ptr<BlobDatabase> database);
    /// Finishes what was queued, then ends the thread.
    ~BlobService();
    BlobService(const BlobService&) = delete;
    BlobService& operator=(const BlobService&) = delete;

    /// A full queue means service_busy at once.
    void submit(BlobJob job);

  private:
    void run();
    void do_one(BlobGetJob& job);
    void do_one(BlobListJob& job);
    void do_writes(std::span<BlobWriteJob*> jobs);

    std::unique_ptr<BlobDatabase> database_;
    BoundedQueue<BlobJob> queue_;
    std::thread thread_;
};

}  // namespace eos::daemon
