// SPDX-License-Identifier: AGPL-3.0-only
#include "untrusted/daemon/blob_service.h"

namespace eos::daemon {

BlobService::BlobService(std::unique_ptr<BlobDatabase> database)
    : database_(std::move(database)), queue_(kMaxQueuedJobs), thread_([this] { run(); }) {}

BlobService::~BlobService() {
    queue_.close();
    thread_.join();
}

void BlobService::submit(BlobJob job) {
    if (queue_.push(job) == Queued::kYes) return;
    std::visit([](auto& refused) { refused.done(fail(service_busy, "storage")); }, job);
}

void BlobService::run() {
    while (true) {
        std::vector<BlobJob> jobs = queue_.pop(kMaxGroupedWrites);
        if (jobs.empty()) return;
        std::vector<BlobWriteJob*> writes;
        for (BlobJob& job : jobs) {
            if (auto* write = std::get_if<BlobWriteJob>(&job)) {
                writes.push_back(write);
                continue;
            }
            // A read sees every write that was asked for before it.
            do_writes(writes);
            writes.clear();
            if (auto* get = std::get_if<BlobGetJob>(&job)) do_one(*get);
            if (auto* list = std::get_if<BlobListJob>(&job)) do_one(*list);
        }
        do_writes(writes);
    }
}

void BlobService::do_one(BlobGetJob& job) {
    job.done(database_->get(job.key));
}

void BlobService::do_one(BlobListJob& job) {
    job.done(database_->list(job.range));
}

void BlobService::do_writes(std::span<BlobWriteJob*> jobs) {
    if (jobs.empty()) return;
    std::vector<BlobBatch> group;
    group.reserve(jobs.size());
    for (BlobWriteJob* job : jobs) group.push_back(std::move(job->batch));
    Result<void> outcome = database_->write(group);
    for (BlobWriteJob* job : jobs) job->done(outcome);
}

}  // namespace eos::daemon
