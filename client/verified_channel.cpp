// SPDX-License-Identifier: AGPL-3.0-only
#include "client/verified_channel.h"

#include <thread>

#include "common/crypto/random.h"

namespace eos::client {
namespace {

using attestation::appraise::AttestationResult;
using attestation::appraise::InstanceMemory;
using attestation::appraise::Outcome;

AttestationResult appraise(const Target& target, const TlsChannel& channel,
                           const std::vector<Bytes>& chain,
                           const std::optional<InstanceMemory>& memory) {
    ratls::LeafInput input{.chain = chain,
                           .anchors = target.anchors,
                           .server_name = target.server_name,
                           .handshake = std::nullopt,
                           .memory = memory ? &*memory : nullptr,
                           .event_log = target.event_log ? &*target.event_log : nullptr};
    const ratls::HandshakeOffer& offer = channel.offer();
    if (offer.nonce && offer.binder)
        input.handshake = ratls::HandshakeEvidence{*offer.nonce, *offer.binder};
    return ratls::appraise_leaf(input, target.endorsements, target.policy, target.now);
}

// Clients that were refused together should not come back together.
std::chrono::milliseconds with_jitter(std::chrono::milliseconds pause) {
    unsigned random = std::to_integer<unsigned>(crypto::random_array<1>()[0]);
    return pause + pause * random / 512;
}

Result<TlsChannel> open_channel(const Target& target, Deadline deadline) {
    ratls::ClientOptions options{
        .server_name = target.server_name, .nonce = std::nullopt, .credential = nullptr};
    std::chrono::milliseconds pause = target.retry.first_pause;
    for (int tries = 1;; ++tries, pause *= 2) {
        if (target.mode == BindingMode::kChallenge) {
            options.nonce = crypto::random_array<32>();  // never one that was sent before
            options.credential = target.credential;
        }
        Result<TlsChannel> channel = TlsChannel::open(target.address, options, deadline);
        if (channel || channel.error().code() != challenge_limited) return channel;
        std::chrono::milliseconds wait = with_jitter(pause);
        bool in_time = std::chrono::steady_clock::now() + wait < deadline;
        if (tries >= target.retry.tries || !in_time) return channel;
        if (target.retry.before_pause) target.retry.before_pause(channel.error(), wait);
        std::this_thread::sleep_for(wait);
    }
}

}  // namespace

Result<AppraisedConnection> AppraisedConnection::open(const Target& target, Deadline deadline) {
    // Read before the server chooses its leaf: what others learn meanwhile may be newer than that.
    std::optional<InstanceMemory> memory;
    if (target.memory) memory = EOS_TRY(target.memory->load());
    TlsChannel channel = EOS_TRY(open_channel(target, deadline));
    // Without a binder the leaf would be judged as if no nonce had been sent.
    if (target.mode == BindingMode::kChallenge && !channel.offer().binder) {
        return fail(handshake_failed, "no binder");
    }
    std::vector<Bytes> chain = channel.peer_chain();
    AttestationResult verdict = appraise(target, channel, chain, memory);
    if (target.memory && verdict.instance()) {
        EOS_TRY(target.memory->remember({*verdict.instance(), target.server_name, target.now}));
    }
    AppraisedConnection out{verdict, nullptr};
    if (verdict.outcome() != Outcome::rejected) {
        out.channel.reset(
            new VerifiedChannel(std::move(channel), std::move(verdict), std::move(chain)));
    }
    return out;
}

}  // namespace eos::client
