// SPDX-License-Identifier: AGPL-3.0-only
#include "common/attestation/verify/collateral.h"

#include "common/attestation/verify/known.h"

namespace eos::attestation::verify {

Collateral::Collateral(endorsements::Endorsements endorsements)
    : endorsements_(std::make_shared<const endorsements::Endorsements>(std::move(endorsements))),
      seen_evaluation_data_number_(endorsements_->seen_evaluation_data_number),
      known_(std::make_shared<Known>()) {}

Collateral Collateral::having_seen(std::uint32_t evaluation_data_number) const {
    Collateral out = *this;
    out.seen_evaluation_data_number_ = evaluation_data_number;
    return out;
}

std::optional<IntelKey> IntelKey::of(const PckChain& pck, const StatementKinds& kinds,
                                     const Roots& roots) {
    const bool is_whole = equal(pck.leaf.issuer_tlv(), pck.intermediate.subject_tlv());
    if (!pck.platform || !is_whole) return {};
    return IntelKey{kinds, pck.platform->fmspc, pck.intermediate, pck.root, roots};
}

std::shared_ptr<const IntelSet> Collateral::Known::find_set(const IntelKey& key) {
    std::scoped_lock lock(mutex_);
    const KnownSet* known = sets_.find([&](const KnownSet& one) { return one.key == key; });
    return known == nullptr ? nullptr : known->set;
}

void Collateral::Known::keep_set(IntelKey key, std::shared_ptr<const IntelSet> set) {
    std::scoped_lock lock(mutex_);
    sets_.remove([&](const KnownSet& one) { return one.key == key; });
    sets_.add({std::move(key), std::move(set)});
}

bool Collateral::Known::KnownVerification::is_for(const Question& question, UnixTime time) const {
    return equal(evidence, question.evidence) && at.answers_for(time) &&
           seen_evaluation_data_number == question.seen_evaluation_data_number &&
           roots == question.roots;
}

std::optional<Verification> Collateral::Known::find_verification(const Question& question,
                                                                 UnixTime time) {
    std::scoped_lock lock(mutex_);
    const KnownVerification* known = verifications_.find(
        [&](const KnownVerification& one) { return one.is_for(question, time); });
    if (known == nullptr) return {};
    return known->verification;
}

void Collateral::Known::keep_verification(const Question& question, const Instant& at,
                                          Verification verification) {
    std::scoped_lock lock(mutex_);
    verifications_.remove(
        [&](const KnownVerification& one) { return one.is_for(question, at.time()); });
    verifications_.add({to_bytes(question.evidence), question.roots,
                        question.seen_evaluation_data_number, at, std::move(verification)});
}

}  // namespace eos::attestation::verify
