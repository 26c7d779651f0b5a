// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/virtual/minter/quote_queue.h"

#include <algorithm>

#include "common/base/assert.h"
#include "trusted/runtime/leaf_mint.h"

namespace eos::cvm {

void QuoteQueue::request(const ratls::ReportData& report_data, Urgency urgency,
                         runtime::Done<FreshEvidence> done) {
    if (waiting_.size() >= kMaxWaitingQuotes) return done(fail(runtime::mint_busy));
    auto place =
        std::ranges::find_if(waiting_, [&](const Waiting& row) { return row.urgency > urgency; });
    waiting_.insert(place,
                    Waiting{report_data, urgency, std::chrono::steady_clock::now() + kQuoteDeadline,
                            std::move(done)});
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
