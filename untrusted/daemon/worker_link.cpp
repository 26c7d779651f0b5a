// SPDX-License-Identifier: AGPL-3.0-only
#include "untrusted/daemon/worker_link.h"

#include <utility>

namespace eos::daemon {

using boundary::ConnData;
using boundary::Push;

Result<void> WorkerLink::send(const boundary::DataToTrusted& message) {
    if (data_.empty()) {
        const Push push = EOS_TRY(endpoint_.send(message));
        if (push == Push::kDone) {
            sent_ = true;
            return {};
        }
    }
    WaitingData waiting{.message = message, .bytes = {}};
    if (auto* data = std::get_if<ConnData>(&waiting.message)) {
        waiting.bytes = to_bytes(data->bytes);
        data->bytes = waiting.bytes;  // a vector keeps its buffer when it moves
    }
    data_.push_back(std::move(waiting));
    return {};
}

Result<void> WorkerLink::send(const boundary::RpcToTrusted& message) {
    if (rpc_.empty()) {
        const Push push = EOS_TRY(endpoint_.send(message));
        if (push == Push::kDone) {
            sent_ = true;
            return {};
        }
    }
    rpc_.push_back(message);
    return {};
}

Result<void> WorkerLink::send_waiting() {
    while (!data_.empty()) {
        const Push push = EOS_TRY(endpoint_.send(data_.front().message));
        if (push == Push::kFull) break;
        sent_ = true;
        data_.pop_front();
    }
    while (!rpc_.empty()) {
        const Push push = EOS_TRY(endpoint_.send(rpc_.front()));
        if (push == Push::kFull) break;
        sent_ = true;
        rpc_.pop_front();
    }
    return {};
}

bool WorkerLink::is_stuck(MonotonicTime now) {
    const std::uint64_t taken = std::exchange(taken_bytes_, endpoint_.taken_bytes());
    if (taken != taken_bytes_ || endpoint_.all_taken() || moved_at_ > now) moved_at_ = now;
    return now - moved_at_ > kStuckAfter;
}

}  // namespace eos::daemon
