// SPDX-License-Identifier: AGPL-3.0-only
// What a Collateral knows from one verification to the next. For this folder only.
#pragma once

#include <algorithm>
#include <list>
#include <memory>
#include <mutex>
#include <optional>

#include "common/attestation/verify/collateral.h"
#include "common/attestation/verify/fitting.h"
#include "common/attestation/verify/instant.h"
#include "common/attestation/verify/intel_collateral.h"
#include "common/attestation/verify/verify.h"

namespace eos::attestation::verify {

/// Everything that decides which statements and lists are taken for a quote, and what they are
/// worth.
struct IntelKey {
    StatementKinds kinds;
    endorsements::Fmspc fmspc{};
    x509::Certificate pck_ca;
    x509::Certificate root;
    Roots roots;

    /// returns: nothing if the chain describes no platform, or was put together from several.
    static std::optional<IntelKey> of(const PckChain& pck, const StatementKinds& kinds,
                                      const Roots& roots);

    friend bool operator==(const IntelKey&, const IntelKey&) = default;
};

/// A set of which all that was looked at is good: also that the root signed the PCK CA.
struct IntelSet {
    IntelCollateral collateral;
    std::optional<crypto::Digest32> digest;  ///< digest_of_endorsements(); only made for memos
};

/// The last few of a kind, the most recently used first.
template <typename Entry, std::size_t kMax>
class Recent {
  public:
    template <typename IsIt>
    const Entry* find(IsIt is_it) {
        auto found = std::ranges::find_if(entries_, is_it);
        if (found == entries_.end()) return nullptr;
        entries_.splice(entries_.begin(), entries_, found);
        return &entries_.front();
    }
    /// What another thread has learnt in the meantime.
    template <typename IsIt>
    void remove(IsIt is_it) {
        std::erase_if(entries_, is_it);
    }
    void add(Entry entry) {
        if (entries_.size() == kMax) entries_.pop_back();
        entries_.push_front(std::move(entry));
    }

  private:
    std::list<Entry> entries_;
};

/// threads: any.
class Collateral::Known {
  public:
    /// Null if none is known.
    std::shared_ptr<const IntelSet> find_set(const IntelKey& key);
    void keep_set(IntelKey key, std::shared_ptr<const IntelSet> set);

    /// What decided a verification beside the endorsements.
    struct Question {
        ByteView evidence;
        const Roots& roots;
        std::uint32_t seen_evaluation_data_number;
    };
    std::optional<Verification> find_verification(const Question& question, UnixTime time);
    /// in: at: as the verification left it.
    void keep_verification(const Question& question, const Instant& at, Verification verification);

  private:
    struct KnownSet {
        IntelKey key;
        std::shared_ptr<const IntelSet> set;
    };
    struct KnownVerification {
        Bytes evidence;
        Roots roots;
        std::uint32_t seen_evaluation_data_number;
        Instant at;
        Verification verification;

        bool is_for(const Question& question, UnixTime time) const;
    };
    std::mutex mutex_;
    Recent<KnownSet, kMaxKnownPlatforms> sets_;
    Recent<KnownVerification, kMaxKnownEvidence> verifications_;
};

}  // namespace eos::attestation::verify
