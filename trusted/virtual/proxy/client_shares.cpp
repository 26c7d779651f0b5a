// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/virtual/proxy/client_shares.h"

namespace eos::cvm::proxy {

/// in: the count that a network would have.
bool ClientShares::may_have(std::size_t count, std::size_t capacity) const {
    if (percent_ == 100 || count == 1 || taken_ >= capacity) return true;
    const std::size_t left = capacity - taken_ - 1;
    return count * (100 - percent_) <= left * percent_;
}

Result<ClientShares::Lease> ClientShares::take(const ByteArray<16>& network, std::size_t capacity) {
    auto entry = counts_.lower_bound(network);
    const bool is_known = entry != counts_.end() && entry->first == network;
    if (!may_have(is_known ? entry->second + 1 : 1, capacity)) return fail(share_taken);
    if (!is_known && spare_.empty()) {
        entry = counts_.emplace_hint(entry, network, 0);
    } else if (!is_known) {
        spare_.back().key() = network;
        entry = counts_.insert(entry, std::move(spare_.back()));
        spare_.pop_back();
    }
    ++entry->second;
    ++taken_;
    return Lease(*this, entry);
}

void ClientShares::give_back(Counts::iterator entry) {
    --taken_;
    if (--entry->second > 0) return;
    if (spare_.size() < kSpareEntries) {
        spare_.push_back(counts_.extract(entry));
    } else {
        counts_.erase(entry);
    }
}

}  // namespace eos::cvm::proxy
