// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/virtual/minter/quote_queue.h"

#include <algorithm>

#include "common/base/assert.h"
#include "trusted/runtime/leaf_mint.h"

namespace eos::cvm {

void QuoteQueue::request(const ratls::ReportData& report_data,
                         const std::optional<ByteArray<16>>& peer,
                         runtime::Done<FreshEvidence> done) {
    Waiting next{report_data, peer, peer ? round_ + 1 : 0,
                 std::chrono::steady_clock::now() + patience_, std::move(done)};
    std::size_t of_its_kind = 1;
    for (const Waiting& row : waiting_) {
        if (row.peer.has_value() == peer.has_value()) ++of_its_kind;
        if (peer && row.peer == peer) next.round = std::max(next.round, row.round + 1);
    }
    waiting_.insert(std::ranges::upper_bound(waiting_, next.order(), {}, &Waiting::order),
                    std::move(next));
    if (of_its_kind > (peer ? kMaxWaitingChallenges : kMaxWaitingShared)) {
        auto end = std::ranges::find_if(
            waiting_, [&](const Waiting& row) { return row.peer.has_value() > peer.has_value(); });
        Waiting last = std::move(*--end);
        waiting_.erase(end);
        last.done(fail(runtime::mint_busy));
    }
    begin();
}

void QuoteQueue::begin() {
    while (!is_busy_ && !waiting_.empty()) {
        Waiting next = std::move(waiting_.front());
        waiting_.pop_front();
        if (std::chrono::steady_clock::now() >= next.deadline) {
            next.done(fail(evidence_deadline, "it waited behind others"));
            continue;
        }
        is_busy_ = true;
        if (next.peer) round_ = next.round;
        const bool is_taken = thread_.submit([this, next = std::move(next)]() mutable {
            Result<FreshEvidence> evidence = evidence_.evidence(next.report_data, next.deadline);
            loop_.post([this, next = std::move(next), evidence = std::move(evidence)]() mutable {
                arrived(std::move(next), std::move(evidence));
            });
        });
        EOS_ASSERT(is_taken);  // the one before has left the queue
    }
}

void QuoteQueue::arrived(Waiting request, Result<FreshEvidence> evidence) {
    is_busy_ = false;
    request.done(std::move(evidence));
    begin();
}

}  // namespace eos::cvm
