// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/attestd/signature_cache.h"

namespace eos::attestd {

using attestation::verify::SignatureSet;

SignatureSet SignatureCache::begin(const crypto::Digest32& inputs) {
    std::unique_lock lock(mutex_);
    SignatureSet known = memo_.begin(inputs);
    if (known.is_empty() && verifying_.contains(inputs)) {
        ++counters_.waits;
        ended_.wait(lock, [&] { return !verifying_.contains(inputs); });
        known = memo_.begin(inputs);
    } else if (known.is_empty()) {
        verifying_.emplace(inputs, std::this_thread::get_id());
    }
    // Whoever has waited and learnt nothing verifies for itself: where nothing is good there is
    // nothing to wait for, and waiting in turn would tie up every thread.
    ++(known.is_empty() ? counters_.misses : counters_.hits);
    return known;
}

void SignatureCache::end(const crypto::Digest32& inputs, SignatureSet good) {
    std::lock_guard lock(mutex_);
    memo_.end(inputs, good);
    auto own = verifying_.find(inputs);
    if (own == verifying_.end() || own->second != std::this_thread::get_id()) return;
    verifying_.erase(own);
    ended_.notify_all();
}

SignatureCache::Counters SignatureCache::counters() const {
    std::lock_guard lock(mutex_);
    Counters out = counters_;
    out.entries = memo_.size();
    return out;
}

}  // namespace eos::attestd
