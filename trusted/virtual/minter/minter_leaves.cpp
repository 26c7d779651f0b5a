// SPDX-License-Identifier: AGPL-3.0-only
// Evidence and leaves. Every report data is of an enumerated purpose, made here of a key and of
// what binds it; no byte of it is the proxy's to choose.
#include <algorithm>

#include "trusted/virtual/minter/minter.h"

namespace eos::cvm {
namespace {

UnixTime whole_minute(UnixTime time) {
    return {time.seconds - time.seconds % 60};
}

}  // namespace

Result<void> Minter::admit(const ByteArray<16>& peer_address) {
    const std::uint64_t now_ms = parts_.clock.monotonic_ms();
    EOS_TRY(peers_.take(peer_address, now_ms));
    return all_peers_.take({}, now_ms);
}

// --- mode A ---

Minter::AttestedKey* Minter::find_attested(const Spki& key) {
    auto found = attested_.find(crypto::sha256(ByteView(key)));
    return found != attested_.end() ? &found->second : nullptr;
}

void Minter::on(const Attest& request, Answer answer) {
    Result<crypto::P256PublicKey> key = crypto::P256PublicKey::from_spki(request.leaf_key);
    if (!key) return answer(to_failed(key.error()));
    if (!is_ready()) return answer(to_failed(Error(runtime::wrong_stage)));
    if (!is_time_good()) return answer(to_failed(Error(runtime::time_jumped)));
    // Evidence that is as old as renewal demands is not handed out again: who asks wants a new one.
    const AttestedKey* known = find_attested(request.leaf_key);
    if (known != nullptr && known->policy_root != served_policy_root())
        return answer(to_failed(Error(key_has_other_use, "it is of another policy")));
    if (known != nullptr && now() - known->not_before < runtime::kEpochRenewalSeconds)
        return answer(Evidence{known->not_before.seconds, known->evidence});
    const crypto::Digest32 hash = key->spki_hash();
    if (known == nullptr && forgotten_.contains(hash))
        return answer(to_failed(Error(key_has_other_use, "it was attested before")));
    if (auto under_way = attesting_.find(hash); under_way != attesting_.end())
        return under_way->second.push_back(std::move(answer));
    if (Result<void> taken = keys_attested_.take({}, parts_.clock.monotonic_ms()); !taken)
        return answer(to_failed(taken.error()));
    attesting_[hash].push_back(std::move(answer));
    const UnixTime minute = whole_minute(now());
    parts_.quotes.request(ratls::ReportData::v1_deterministic(*key, minute), std::nullopt,
                          [this, hash, minute, policy_root = served_policy_root(),
                           weak = std::weak_ptr(self_)](Result<FreshEvidence> evidence) {
                              if (weak.expired()) return;
                              // On TDX the evidence may be older than the register's last extend.
                              if (evidence && policy_root != served_policy_root())
                                  evidence = fail(runtime::state_changed);
                              attested_key(hash, minute, std::move(evidence));
                          });
}

crypto::Digest32 Minter::served_policy_root() const {
    return served_ != nullptr ? served_->policy_root : crypto::Digest32{};
}

void Minter::attested_key(const crypto::Digest32& key_hash, UnixTime minute,
                          Result<FreshEvidence> evidence) {
    std::vector<Answer> waiting = std::move(attesting_[key_hash]);
    attesting_.erase(key_hash);
    if (evidence) keep_attested(key_hash, {minute, evidence->bytes, served_policy_root(), {}});
    for (Answer& answer : waiting) {
        if (evidence) {
            answer(Evidence{minute.seconds, evidence->bytes});
        } else {
            answer(to_failed(evidence.error()));
        }
    }
}

// A key whose evidence is let go is never attested again: under another policy it would vouch for
// the leaves that it has of before. For as long as those can be shown; kKeysAttested bounds how
// many there are.
void Minter::keep_attested(const crypto::Digest32& key_hash, AttestedKey key) {
    auto [row, is_new] = attested_.try_emplace(key_hash);
    if (!is_new) key.tags = std::move(row->second.tags);
    row->second = std::move(key);
    if (attested_.size() <= kMaxAttestedKeys) return;
    auto oldest = attested_.end();
    for (auto it = attested_.begin(); it != attested_.end(); ++it) {
        if (it == row) continue;
        if (oldest == attested_.end() || it->second.not_before < oldest->second.not_before)
            oldest = it;
    }
    const std::uint64_t now_ms = parts_.clock.monotonic_ms();
    std::erase_if(forgotten_, [&](const auto& one) { return now_ms >= one.second; });
    forgotten_.emplace(oldest->first, now_ms + kForgottenMs);
    attested_.erase(oldest);
}

// --- leaves ---

ratls::LeafContent Minter::content_of(const runtime::ServedName& row,
                                      ratls::LeafScheme scheme) const {
    ratls::LeafContent content;
    content.name = row.name;
    content.scheme = scheme;
    content.evidence_oid = evidence_oid(tee_);
    content.policy_root = served_->policy_root;
    content.instance = served_->instance;
    content.assurance = served_->assurance;
    content.values = row.values;
    return content;
}

Result<const runtime::ServedName*> Minter::row_of(const DraftLeaf& request) const {
    if (!is_ready()) return fail(runtime::wrong_stage, "there is no evidence yet");
    if (request.generation != state_.generation) return fail(runtime::state_changed);
    const runtime::ServedName* row = served_->find(request.name);
    if (row == nullptr || row->name != request.name) return fail(unknown_name);
    return row;
}

void Minter::on(const DraftLeaf& request, Answer answer) {
    if (request.challenge) return draft_challenged(request, std::move(answer));
    Result<Draft> draft = draft_attested(request);
    answer(draft ? MintReply(std::move(*draft)) : MintReply(to_failed(draft.error())));
}

Result<Draft> Minter::draft_attested(const DraftLeaf& request) {
    const runtime::ServedName* row = EOS_TRY(row_of(request));
    crypto::P256PublicKey key = EOS_TRY(crypto::P256PublicKey::from_spki(request.leaf_key));
    AttestedKey* attested = find_attested(request.leaf_key);
    if (attested == nullptr) return fail(not_attested);
    // A value that changed means a new key and a new quote; so does the policy, which on TDX the
    // evidence measures.
    if (attested->policy_root != served_policy_root())
        return fail(key_has_other_use, "it is of another policy");
    const crypto::Digest32& tag = attested->tags.try_emplace(row->name, row->tag).first->second;
    if (tag != row->tag) return fail(key_has_other_use, "it said something else of " + row->name);
    ratls::LeafContent content = content_of(*row, request.scheme);
    if (request.scheme == ratls::LeafScheme::kV1) {
        const UnixTime end = attested->not_before + ratls::kDeterministicLifeSeconds;
        if (now() >= end) return fail(not_attested, "its evidence ended " + rfc3339(end));
        content.evidence = attested->evidence;
        content.not_before = attested->not_before;
        content.not_after = end;
    } else {
        // Dated when it is made, briefly: also while the time is in dispute. Evidence comes later,
        // bound to the connection; that is how an owner comes in to confirm the time.
        content.not_before = now() - ratls::kChallengeBackdateSeconds;
        content.not_after = now() + ratls::kChannelLeafLifeSeconds;
    }
    return keep_draft(*row, key, content);
}

void Minter::draft_challenged(const DraftLeaf& request, Answer answer) {
    const Challenge& challenge = *request.challenge;
    crypto::Digest32 tag{};
    auto prepared = [&]() -> Result<ratls::ReportData> {
        tag = EOS_TRY(row_of(request))->tag;
        crypto::P256PublicKey key = EOS_TRY(crypto::P256PublicKey::from_spki(request.leaf_key));
        if (request.scheme != ratls::LeafScheme::kV1)
            return fail(malformed_message, "a challenge in the handshake is of mode B");
        if (find_attested(request.leaf_key) != nullptr || forgotten_.contains(key.spki_hash()))
            return fail(key_has_other_use);
        ratls::ReportData report_data =
            EOS_TRY(ratls::ReportData::v1_challenge(key, challenge.nonce, challenge.binder));
        EOS_TRY(admit(challenge.peer_address));
        return report_data;
    }();
    if (!prepared) return answer(to_failed(prepared.error()));
    parts_.quotes.request(*prepared, challenge.peer_address,
                          [this, request, tag, weak = std::weak_ptr(self_),
                           answer = std::move(answer)](Result<FreshEvidence> evidence) mutable {
                              if (weak.expired()) return;
                              challenge_quoted(request, tag, std::move(evidence),
                                               std::move(answer));
                          });
}

// The quote took its time: what is served of the name may be something else by now.
void Minter::challenge_quoted(const DraftLeaf& request, const crypto::Digest32& tag,
                              Result<FreshEvidence> evidence, Answer answer) {
    auto draft = [&]() -> Result<Draft> {
        const FreshEvidence quote = EOS_TRY(std::move(evidence));
        const runtime::ServedName* row = served_->find(request.name);
        if (row == nullptr || row->tag != tag) return fail(runtime::state_changed);
        ratls::LeafContent content = content_of(*row, ratls::LeafScheme::kV1);
        content.evidence = quote.bytes;
        content.not_before = now() - ratls::kChallengeBackdateSeconds;
        content.not_after = now() + ratls::kChallengeLifeSeconds;
        return keep_draft(*row, EOS_TRY(crypto::P256PublicKey::from_spki(request.leaf_key)),
                          content);
    }();
    answer(draft ? MintReply(std::move(*draft)) : MintReply(to_failed(draft.error())));
}

Result<Draft> Minter::keep_draft(const runtime::ServedName& row, const crypto::P256PublicKey& key,
                                 const ratls::LeafContent& content) {
    if (drafts_.size() >= kMaxDrafts) return fail(runtime::mint_busy, "too many drafts");
    const runtime::LeafIssuer* ca = served_->issuer.get();
    std::optional<ratls::Issuer> issuer;
    if (ca != nullptr) issuer = ratls::Issuer{ca->subject, ca->key_identifier, &ca->key};
    ratls::LeafDraft leaf(content, key, issuer ? &*issuer : nullptr);
    Draft out{++last_draft_, leaf.binding_message()};
    drafts_.emplace(out.draft, DraftOnItsWay{std::move(leaf), row.name, row.tag,
                                             parts_.clock.monotonic_ms() + kDraftMs});
    return out;
}

void Minter::on(const SignLeaf& request, Answer answer) {
    Result<SignedLeaf> leaf = sign(request);
    answer(leaf ? MintReply(std::move(*leaf)) : MintReply(to_failed(leaf.error())));
}

Result<SignedLeaf> Minter::sign(const SignLeaf& request) {
    auto found = drafts_.find(request.draft);
    if (found == drafts_.end()) return fail(unknown_draft);
    EOS_TRY(found->second.leaf.check_binding(request.binding));
    ratls::LeafDraft leaf = std::move(found->second.leaf);
    drafts_.erase(found);
    if (served_->issuer == nullptr) return SignedLeaf{true, std::move(leaf).tbs(request.binding)};
    return SignedLeaf{false, std::move(leaf).finish(request.binding, served_->issuer->key)};
}

// --- mode C ---

void Minter::on(const AttestChannel& request, Answer answer) {
    auto prepared = [&]() -> Result<ratls::ReportData> {
        crypto::P256PublicKey key = EOS_TRY(crypto::P256PublicKey::from_spki(request.leaf_key));
        // Never of mode B, whose report data has the same two halves.
        const AttestedKey* attested = find_attested(request.leaf_key);
        if (attested == nullptr) return fail(not_attested);
        // Its leaves show what was in force when they were made.
        if (attested->policy_root != served_policy_root()) return fail(runtime::state_changed);
        EOS_TRY(admit(request.peer_address));
        return ratls::ReportData::v2_challenge(key, request.channel);
    }();
    if (!prepared) return answer(to_failed(prepared.error()));
    const std::int64_t asked_at = now().seconds;
    parts_.quotes.request(
        *prepared, request.peer_address,
        [this, asked_at, policy_root = served_policy_root(), weak = std::weak_ptr(self_),
         answer = std::move(answer)](Result<FreshEvidence> evidence) mutable {
            if (evidence && (weak.expired() || policy_root != served_policy_root()))
                evidence = fail(runtime::state_changed);
            if (!evidence) return answer(to_failed(evidence.error()));
            answer(Evidence{asked_at, std::move(evidence->bytes)});
        });
}

}  // namespace eos::cvm
