// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <thread>

#include "common/attestation/verify/signature_memo.h"

namespace eos::attestd {

/// The memo of all worker threads. Two that verify the same inputs at once are made one: the second
/// waits for the first, once, and then has its signatures.
/// threads: any.
class SignatureCache final : public attestation::verify::SignatureMemo {
  public:
    explicit SignatureCache(std::size_t max_entries) : memo_(max_entries) {}

    attestation::verify::SignatureSet begin(const crypto::Digest32& inputs) override;
    void end(const crypto::Digest32& inputs, attestation::verify::SignatureSet good) override;

    struct Counters {
        std::uint64_t hits = 0;    ///< signatures were known
        std::uint64_t misses = 0;  ///< they were not
        std::uint64_t waits = 0;   ///< of either, those that waited for another thread first
        std::size_t entries = 0;
    };
    Counters counters() const;

  private:
    mutable std::mutex mutex_;
    std::condition_variable ended_;
    attestation::verify::BoundedSignatureMemo memo_;
    std::map<crypto::Digest32, std::thread::id> verifying_;
    Counters counters_;
};

}  // namespace eos::attestd
