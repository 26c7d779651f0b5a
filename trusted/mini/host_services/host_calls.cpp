// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/mini/host_services/host_calls.h"

namespace eos::mini {
namespace {

std::string_view why_text(boundary::Failed::Why why) {
    switch (why) {
        case boundary::Failed::Why::kUnavailable:
            return "the service is not available";
        case boundary::Failed::Why::kTimedOut:
            return "the service did not answer the host in time";
        case boundary::Failed::Why::kOverloaded:
            return "too many requests wait in the host";
        case boundary::Failed::Why::kStorage:
            return "the disk is full or broken";
        case boundary::Failed::Why::kQuoting:
            return "the quoting enclave refused";
        case boundary::Failed::Why::kRefused:
            return "the request breaks a limit of the host";
    }
    return "for no known reason";
}

}  // namespace

boundary::RequestHead HostCalls::begin(std::uint32_t deadline_ms, Done done) {
    // Calls whose deadline passed before they found room still occupy their place.
    if (waiting_.size() >= kMaxHostCalls || unsent_.size() >= kMaxHostCalls) {
        refused_.push_back(std::move(done));
        return {};
    }
    std::uint64_t id = ++last_id_;
    std::uint64_t deadline = now_ms_ + deadline_ms;
    waiting_.emplace(id, Waiting{deadline, std::move(done)});
    deadlines_.emplace(deadline, id);
    return {id, deadline_ms};
}

void HostCalls::send(boundary::RpcToHost message) {
    if (!unsent_.empty()) {
        unsent_.push_back(std::move(message));
        return;
    }
    Result<boundary::Push> push = endpoint_.send(message);
    if (!push) {
        broken_ = true;
    } else if (*push == boundary::Push::kFull) {
        unsent_.push_back(std::move(message));
    }
}

void HostCalls::answered(boundary::FromHost<boundary::Reply> from_host) {
    Result<boundary::Reply> reply = std::move(from_host).check(
        [this](const boundary::Reply& r) { return waiting_.contains(r.request_id); },
        host_misbehaved);
    if (!reply) return;
    if (const auto* failed = std::get_if<boundary::Failed>(&reply->body)) {
        return finish(reply->request_id, fail(host_failed, std::string(why_text(failed->why))));
    }
    finish(reply->request_id, std::move(reply->body));
}

void HostCalls::finish(std::uint64_t request_id, Result<Body> outcome) {
    auto row = waiting_.find(request_id);
    Done done = std::move(row->second.done);
    auto [first, last] = deadlines_.equal_range(row->second.deadline_ms);
    deadlines_.erase(
        std::find_if(first, last, [&](const auto& d) { return d.second == request_id; }));
    waiting_.erase(row);
    done(std::move(outcome));
}

void HostCalls::turn(std::uint64_t now_ms) {
    now_ms_ = now_ms;
    while (!unsent_.empty() && !broken_) {
        Result<boundary::Push> push = endpoint_.send(unsent_.front());
        if (!push) broken_ = true;
        if (!push || *push == boundary::Push::kFull) break;
        unsent_.pop_front();
    }
    while (!deadlines_.empty() && deadlines_.begin()->first <= now_ms_) {
        finish(deadlines_.begin()->second, fail(host_timed_out));
    }
    std::deque<Done> refused = std::move(refused_);
    refused_.clear();
    for (Done& done : refused) done(fail(host_overloaded));
}

std::optional<std::uint64_t> HostCalls::next_deadline_ms() const {
    if (!refused_.empty()) return now_ms_;
    if (deadlines_.empty()) return std::nullopt;
    return deadlines_.begin()->first;
}

}  // namespace eos::mini
