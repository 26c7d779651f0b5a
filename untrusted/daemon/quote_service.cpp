// SPDX-License-Identifier: AGPL-3.0-only
#include "untrusted/daemon/quote_service.h"

namespace eos::daemon {
namespace {

std::unexpected<Error> expired() {
    return fail(quote_timed_out, "the deadline passed while other requests were served");
}

bool has_passed(Deadline deadline) {
    return std::chrono::steady_clock::now() >= deadline;
}

}  // namespace

QuoteService::QuoteService(std::string socket_path)
    : client_(std::move(socket_path)), queue_(kMaxQueuedJobs), thread_([this] { run(); }) {}

QuoteService::~QuoteService() {
    client_.cancel();
    queue_.close();
    thread_.join();
}

void QuoteService::submit(QuotingJob job) {
    if (queue_.push(job) == Queued::kYes) return;
    std::visit([](auto& refused) { refused.done(fail(service_busy, "quoting")); }, job);
}

void QuoteService::run() {
    while (true) {
        std::vector<QuotingJob> jobs = queue_.pop(1);
        if (jobs.empty()) return;
        std::visit([this](auto& job) { do_one(job); }, jobs.front());
    }
}

void QuoteService::do_one(TargetInfoJob& job) {
    if (has_passed(job.deadline)) return job.done(expired());
    job.done(client_.target_info(job.deadline));
}

void QuoteService::do_one(QuoteJob& job) {
    if (has_passed(job.deadline)) return job.done(expired());
    job.done(client_.quote(job.report, job.deadline));
}

}  // namespace eos::daemon
