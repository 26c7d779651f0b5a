// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/runtime/leaf_mint.h"

#include <algorithm>

#include "common/base/assert.h"
#include "common/oid/registry.h"

namespace eos::runtime {
namespace {

constexpr std::uint64_t kMillitokensPerToken = 1000;
constexpr std::uint64_t kMsPerMinute = 60'000;

UnixTime whole_minute(UnixTime time) {
    return {time.seconds - time.seconds % 60};
}

struct Lifetime {
    UnixTime not_before;
    UnixTime not_after;
};

Result<CredentialPtr> mint_credential(const Served& served, const ServedName& name,
                                      const KeyEpoch& epoch, Lifetime life) {
    ratls::LeafContent content;
    content.name = name.name;
    content.not_before = life.not_before;
    content.not_after = life.not_after;
    content.evidence = epoch.evidence;
    content.evidence_oid = oid::kSgxQuote;
    content.policy_root = served.policy_root;
    content.instance = served.instance;
    content.assurance = served.assurance;
    content.values = name.values;
    ratls::Issuer issuer;
    std::vector<Bytes> chain;
    if (served.issuer) {
        issuer = {served.issuer->subject, served.issuer->key_identifier, &served.issuer->key};
        chain = served.issuer->chain;
    }
    chain.insert(chain.begin(),
                 ratls::mint_leaf(content, epoch.key, served.issuer ? &issuer : nullptr));
    return ratls::Credential::make(chain, epoch.key);
}

}  // namespace

void make_epoch(EvidenceSource& evidence, const Clock& clock,
                Done<std::shared_ptr<const KeyEpoch>> done) {
    auto epoch = std::make_shared<KeyEpoch>(
        KeyEpoch{crypto::P256PrivateKey::generate(), whole_minute(clock.now()), {}});
    ratls::ReportData report_data =
        ratls::ReportData::v1_deterministic(epoch->key.public_key(), epoch->not_before);
    evidence.request(report_data, [epoch, done = std::move(done)](Result<Bytes> quote) mutable {
        if (!quote) return done(fail(std::move(quote).error()));
        epoch->evidence = std::move(*quote);
        done(std::shared_ptr<const KeyEpoch>(std::move(epoch)));
    });
}

Result<CredentialPtr> LeafCache::get(const Served& served, const ServedName& name, UnixTime now) {
    EOS_ASSERT(name.epoch != nullptr);
    UnixTime not_after = name.epoch->not_before + ratls::kDeterministicLifeSeconds;
    if (now >= not_after) {
        entries_.erase(name.name);
        return fail(leaf_expired, "it ended " + rfc3339(not_after));
    }
    auto found = entries_.find(name.name);
    if (found != entries_.end() && found->second.tag == name.tag &&
        found->second.epoch == name.epoch && found->second.instance == served.instance) {
        return found->second.credential;
    }
    CredentialPtr credential =
        EOS_TRY(mint_credential(served, name, *name.epoch, {name.epoch->not_before, not_after}));
    entries_.insert_or_assign(name.name, Entry{name.tag, name.epoch, served.instance, credential});
    return credential;
}

void LeafCache::retain(const Served& served) {
    std::erase_if(entries_, [&](const auto& entry) { return !served.names.contains(entry.first); });
}

Result<void> PeerRateLimiter::take(const ByteArray<16>& peer_address, std::uint64_t now_ms) {
    std::uint64_t full = limits_.burst * kMillitokensPerToken;
    auto [row, is_new] = buckets_.try_emplace(peer_address, Bucket{full, now_ms});
    Bucket& bucket = row->second;
    std::uint64_t elapsed_ms =
        std::min(now_ms - std::min(now_ms, bucket.updated_ms), kMsPerMinute * limits_.burst);
    bucket.millitokens =
        std::min(full, bucket.millitokens +
                           elapsed_ms * limits_.per_minute * kMillitokensPerToken / kMsPerMinute);
    bucket.updated_ms = now_ms;
    if (bucket.millitokens < kMillitokensPerToken) return fail(mint_rate);
    bucket.millitokens -= kMillitokensPerToken;
    if (is_new && buckets_.size() > limits_.max_peers) make_room();
    return {};
}

void PeerRateLimiter::make_room() {
    auto oldest = std::ranges::min_element(
        buckets_, {}, [](const auto& entry) { return entry.second.updated_ms; });
    buckets_.erase(oldest);
}

Result<void> BoundMinter::admit(const ByteArray<16>& peer_address) {
    if (pending_ >= kMaxPendingPerWorker) return fail(mint_busy, "on this worker");
    EOS_TRY(peers_.take(peer_address, clock_.monotonic_ms()));
    if (pending_in_all_.fetch_add(1) >= kMaxPendingInAll) {
        pending_in_all_.fetch_sub(1);
        return fail(mint_busy);
    }
    ++pending_;
    return {};
}

void BoundMinter::mint(std::shared_ptr<const Served> served, const ratls::HandshakeOffer& offer,
                       const ByteArray<16>& peer_address, Done<CredentialPtr> done) {
    EOS_ASSERT(offer.nonce && offer.binder && served->find(offer.server_name) != nullptr);
    if (Result<void> admitted = admit(peer_address); !admitted) {
        return done(fail(std::move(admitted).error()));
    }
    auto epoch =
        std::make_shared<KeyEpoch>(KeyEpoch{crypto::P256PrivateKey::generate(), clock_.now(), {}});
    Result<ratls::ReportData> report_data =
        ratls::ReportData::v1_challenge(epoch->key.public_key(), *offer.nonce, *offer.binder);
    EOS_ASSERT(report_data.has_value());  // the TLS layer refused every other nonce length
    std::string server_name = offer.server_name;
    evidence_.request(*report_data, [this, served = std::move(served), server_name, epoch,
                                     done = std::move(done)](Result<Bytes> quote) mutable {
        --pending_;
        pending_in_all_.fetch_sub(1);
        if (!quote) return done(fail(std::move(quote).error()));
        epoch->evidence = std::move(*quote);
        UnixTime now = clock_.now();
        done(mint_credential(
            *served, *served->find(server_name), *epoch,
            {now - ratls::kChallengeBackdateSeconds, now + ratls::kChallengeLifeSeconds}));
    });
}

}  // namespace eos::runtime
