// SPDX-License-Identifier: AGPL-3.0-only
#include "client/verified_channel.h"

#include <thread>

#include "common/crypto/random.h"

namespace eos::client {
namespace {

using attestation::appraise::AttestationResult;
using attestation::appraise::InstanceMemory;
using attestation::appraise::Outcome;

/// A connection whose server has shown all it was asked for.
struct Opened {
    TlsChannel channel;
    std::optional<ratls::ChannelEvidence> evidence;  ///< mode C
};

AttestationResult appraise(const Target& target, const Opened& opened,
                           const std::vector<Bytes>& chain,
                           const std::optional<InstanceMemory>& memory) {
    ratls::LeafInput input{.chain = chain,
                           .anchors = target.anchors,
                           .server_name = target.server_name,
                           .handshake = std::nullopt,
                           .channel = opened.evidence,
                           .memory = memory ? &*memory : nullptr,
                           .event_log = target.event_log ? &*target.event_log : nullptr};
    const ratls::HandshakeOffer& offer = opened.channel.offer();
    if (offer.nonce && offer.binder)
        input.handshake = ratls::HandshakeEvidence{*offer.nonce, *offer.binder};
    return ratls::appraise_leaf(input, target.endorsements, target.policy, target.now);
}

// Clients that were refused together should not come back together.
std::chrono::milliseconds with_jitter(std::chrono::milliseconds pause) {
    unsigned random = std::to_integer<unsigned>(crypto::random_array<1>()[0]);
    return pause + pause * random / 512;
}

Result<Opened> open_once(const Target& target, const http::Authority& authority,
                         Deadline deadline) {
    ratls::ClientOptions options{.server_name = target.server_name};
    if (target.mode == BindingMode::kChallenge) options.nonce = crypto::random_array<32>();
    if (target.mode == BindingMode::kExporter) options.scheme = ratls::LeafScheme::kV2;
    if (target.mode != BindingMode::kDeterministic) options.credential = target.credential;
    Opened out{EOS_TRY(TlsChannel::open(target.address, options, deadline)), std::nullopt};
    if (target.mode == BindingMode::kExporter)
        out.evidence = EOS_TRY(ask_for_evidence(out.channel, authority, deadline));
    // Without a binder the leaf would be judged as if no nonce had been sent.
    if (target.mode == BindingMode::kChallenge && !out.channel.offer().binder) {
        return fail(handshake_failed, "no binder");
    }
    return out;
}

Result<Opened> open_with_patience(const Target& target, Deadline deadline) {
    http::Authority authority = EOS_TRY(authority_of(target));
    std::chrono::milliseconds pause = target.retry.first_pause;
    for (int tries = 1;; ++tries, pause *= 2) {
        Result<Opened> opened = open_once(target, authority, deadline);
        if (opened || opened.error().code() != challenge_limited) return opened;
        std::chrono::milliseconds wait = with_jitter(pause);
        bool in_time = std::chrono::steady_clock::now() + wait < deadline;
        if (tries >= target.retry.tries || !in_time) return opened;
        if (target.retry.before_pause) target.retry.before_pause(opened.error(), wait);
        std::this_thread::sleep_for(wait);
    }
}

}  // namespace

Result<http::Authority> authority_of(const Target& target) {
    const std::string& name = target.server_name.empty() ? target.address.host : target.server_name;
    bool is_v6 = name.find(':') != std::string::npos;
    return http::parse_authority(is_v6 ? "[" + name + "]" : name, http::Scheme::kHttps);
}

Result<AppraisedConnection> AppraisedConnection::open(const Target& target, Deadline deadline) {
    // Read before the server chooses its leaf: what others learn meanwhile may be newer than that.
    std::optional<InstanceMemory> memory;
    if (target.memory) memory = EOS_TRY(target.memory->load());
    Opened opened = EOS_TRY(open_with_patience(target, deadline));
    std::vector<Bytes> chain = opened.channel.peer_chain();
    AttestationResult verdict = appraise(target, opened, chain, memory);
    if (target.memory && verdict.instance()) {
        EOS_TRY(target.memory->remember({*verdict.instance(), target.server_name, target.now}));
    }
    AppraisedConnection out{verdict, nullptr};
    if (verdict.outcome() != Outcome::rejected) {
        out.channel.reset(
            new VerifiedChannel(std::move(opened.channel), std::move(verdict), std::move(chain)));
    }
    return out;
}

}  // namespace eos::client
