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
                                      const KeyEpoch& epoch, ratls::LeafScheme scheme,
                                      Lifetime life) {
    ratls::LeafContent content;
    content.name = name.name;
    content.not_before = life.not_before;
    content.not_after = life.not_after;
    content.scheme = scheme;
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

// A leaf of mode A is as old as its quote. One of mode C has none, and like one of mode B it is
// dated when it is minted, briefly: also while the host's time is in dispute.
Lifetime lifetime_of(const KeyEpoch& epoch, ratls::LeafScheme scheme, UnixTime now) {
    if (scheme == ratls::LeafScheme::kV1)
        return {epoch.not_before, epoch.not_before + ratls::kDeterministicLifeSeconds};
    return {now - ratls::kChallengeBackdateSeconds, now + ratls::kChannelLeafLifeSeconds};
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

Result<CredentialPtr> LeafCache::get(const Served& served, const ServedName& name,
                                     ratls::LeafScheme scheme, UnixTime now) {
    CredentialPtr known = EOS_TRY(find(served, name, scheme, now));
    if (known != nullptr) return known;
    CredentialPtr credential = EOS_TRY(
        mint_credential(served, name, *name.epoch, scheme, lifetime_of(*name.epoch, scheme, now)));
    insert(served, name, scheme, now, credential);
    return credential;
}

Result<CredentialPtr> LeafCache::find(const Served& served, const ServedName& name,
                                      ratls::LeafScheme scheme, UnixTime now) {
    EOS_ASSERT(name.epoch != nullptr);
    const std::pair key(name.name, scheme);
    const Lifetime life = lifetime_of(*name.epoch, scheme, now);
    if (now >= life.not_after) {
        entries_.erase(key);
        return fail(leaf_expired, "it ended " + rfc3339(life.not_after));
    }
    auto found = entries_.find(key);
    const bool is_good = found != entries_.end() && found->second.tag == name.tag &&
                         found->second.epoch == name.epoch &&
                         found->second.instance == served.instance &&
                         now < found->second.reuse_until;
    return is_good ? found->second.credential : nullptr;
}

void LeafCache::insert(const Served& served, const ServedName& name, ratls::LeafScheme scheme,
                       UnixTime now, CredentialPtr credential) {
    const UnixTime reuse_until = scheme == ratls::LeafScheme::kV1
                                     ? lifetime_of(*name.epoch, scheme, now).not_after
                                     : now + ratls::kChannelLeafLifeSeconds / 2;
    entries_.insert_or_assign(
        std::pair(name.name, scheme),
        Entry{name.tag, name.epoch, served.instance, reuse_until, std::move(credential)});
}

void LeafCache::retain(const Served& served) {
    std::erase_if(entries_,
                  [&](const auto& entry) { return !served.names.contains(entry.first.first); });
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

// After admit(): gives back what that took.
void BoundMinter::request(const ratls::ReportData& report_data, Done<Bytes> done) {
    evidence_.request(report_data, [this, done = std::move(done)](Result<Bytes> quote) mutable {
        --pending_;
        pending_in_all_.fetch_sub(1);
        done(std::move(quote));
    });
}

void BoundMinter::attest(const crypto::P256PublicKey& leaf_key,
                         const ratls::ChannelBinding& channel, const ByteArray<16>& peer_address,
                         Done<Bytes> done) {
    if (Result<void> admitted = admit(peer_address); !admitted) {
        return done(fail(std::move(admitted).error()));
    }
    request(ratls::ReportData::v2_challenge(leaf_key, channel), std::move(done));
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
    request(*report_data, [this, served = std::move(served), server_name, epoch,
                           done = std::move(done)](Result<Bytes> quote) mutable {
        if (!quote) return done(fail(std::move(quote).error()));
        epoch->evidence = std::move(*quote);
        UnixTime now = clock_.now();
        done(mint_credential(
            *served, *served->find(server_name), *epoch, ratls::LeafScheme::kV1,
            {now - ratls::kChallengeBackdateSeconds, now + ratls::kChallengeLifeSeconds}));
    });
}

}  // namespace eos::runtime
