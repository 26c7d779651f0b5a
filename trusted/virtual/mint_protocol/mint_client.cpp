// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/virtual/mint_protocol/mint_client.h"

#include <algorithm>

#include "common/base/assert.h"
#include "common/x509/signed_data.h"
#include "trusted/os/local_socket.h"

namespace eos::cvm {
namespace {

constexpr std::uint64_t kMinBackOffMs = 100;
constexpr std::uint64_t kMaxBackOffMs = 5'000;
constexpr std::size_t kMaxQueuedBytes = 4 * 1024 * 1024;
constexpr std::size_t kMaxTreesAsked = 32;
// Of 60 KiB each: until there is an owner, anybody may claim to be.
constexpr std::size_t kMaxOwnerRequests = 8;
constexpr std::size_t kMaxTreeBytes = 8 * 1024 * 1024;

Result<os::UniqueFd> connect_to(const std::string& path, uid_t minter_user) {
    Result<os::UniqueFd> fd = os::connect_local(path);
    if (!fd) return fail(minter_gone, fd.error().detail());
    const os::LocalPeer peer = EOS_TRY(os::local_peer(fd->get()));
    if (peer.user != minter_user)
        return fail(minter_is_another, path + " is of uid " + std::to_string(peer.user));
    return *std::move(fd);
}

}  // namespace

struct MintClient::Minting {
    std::shared_ptr<const runtime::Served> served;
    std::string name;  ///< the row's
    ratls::LeafScheme scheme = ratls::LeafScheme::kV1;
    std::shared_ptr<const runtime::KeyEpoch> epoch;
    std::vector<Bytes> chain;
    bool is_shared = false;  ///< of modes A and C
    std::vector<runtime::Done<runtime::CredentialPtr>> waiting;
};

MintClient::MintClient(Parts parts)
    : parts_(std::move(parts)), self_(std::make_shared<MintClient*>(this)) {}

MintClient::~MintClient() = default;

// --- the connection ---

void MintClient::start() {
    connect();
}

void MintClient::connect() {
    connect_at_ms_ = 0;
    Result<os::UniqueFd> fd = connect_to(parts_.socket_path, parts_.minter_user);
    if (!fd) return lost(fd.error().message());
    channel_ = std::make_unique<FrameChannel>(
        parts_.loop, std::move(*fd), FrameChannel::Limits{kMaxReplyBytes, kMaxQueuedBytes},
        FrameChannel::Events{[this](Bytes frame) { received(frame); },
                             [this](std::string why) {
                                 // The channel is in the middle of telling.
                                 parts_.loop.post(
                                     [weak = std::weak_ptr(self_), why = std::move(why)] {
                                         if (auto self = weak.lock()) (*self)->lost(why);
                                     });
                             }});
    statistics_.is_connected.set(1);
    ask(Hello{}, [](Result<MintReply>) {});
}

// What is served stays served: leaves that are known are good until they end.
void MintClient::lost(const std::string& why) {
    parts_.log.write(os::Severity::warning, "minter_lost", {{"why", why}});
    channel_.reset();
    statistics_.is_connected.set(0);
    back_off_ms_ = std::clamp(back_off_ms_ * 2, kMinBackOffMs, kMaxBackOffMs);
    connect_at_ms_ = parts_.clock.monotonic_ms() + back_off_ms_;
    is_attesting_ = false;
    auto pending = std::exchange(pending_, {});
    for (auto& [id, request] : pending) request.done(fail(minter_gone));
}

void MintClient::turn() {
    const std::uint64_t now_ms = parts_.clock.monotonic_ms();
    if (connect_at_ms_ != 0 && now_ms >= connect_at_ms_) connect();
    give_up_late();
    watch_clock();
    if (attest_at_ms_ != 0 && now_ms >= attest_at_ms_) attest_epoch();
}

void MintClient::give_up_late() {
    const std::uint64_t now_ms = parts_.clock.monotonic_ms();
    std::vector<runtime::Done<MintReply>> late;
    for (auto& [id, request] : pending_) {
        if (now_ms >= request.deadline_ms) late.push_back(std::move(request.done));
    }
    std::erase_if(pending_, [&](const auto& row) { return now_ms >= row.second.deadline_ms; });
    for (auto& done : late) done(fail(minter_slow));
    std::vector<runtime::Done<void>> unserved;
    for (Awaiting& one : when_published_) {
        if (now_ms >= one.deadline_ms) unserved.push_back(std::move(one.done));
    }
    std::erase_if(when_published_, [&](const auto& one) { return now_ms >= one.deadline_ms; });
    for (auto& done : unserved) done(fail(not_served_yet));
}

// How long evidence is good is a matter of the wall clock, and that may be set ahead, or go on
// while the monotonic one stands still: the machine slept.
void MintClient::watch_clock() {
    const std::int64_t step_s = clock_lead_s() - lead_s_;
    if (state_ == nullptr || step_s < kClockStepSeconds) return;
    parts_.log.write(os::Severity::warning, "clock_went_ahead",
                     {{"seconds", std::to_string(step_s)}});
    schedule_renewal();
}

void MintClient::schedule_renewal() {
    lead_s_ = clock_lead_s();
    const std::int64_t left_s = oldest_epoch_ + runtime::kEpochRenewalSeconds - parts_.clock.now();
    const auto wait_s = std::clamp<std::int64_t>(left_s, 1, runtime::kEpochRenewalSeconds);
    attest_at_ms_ = parts_.clock.monotonic_ms() + static_cast<std::uint64_t>(wait_s) * 1000;
}

std::int64_t MintClient::clock_lead_s() const {
    const std::uint64_t uptime_s = parts_.clock.monotonic_ms() / 1000;
    return parts_.clock.now().seconds - static_cast<std::int64_t>(uptime_s);
}

std::optional<std::uint64_t> MintClient::next_deadline_ms() const {
    std::optional<std::uint64_t> next;
    auto consider = [&next](std::uint64_t at_ms) {
        if (at_ms != 0) next = std::min(next.value_or(at_ms), at_ms);
    };
    consider(connect_at_ms_);
    consider(attest_at_ms_);
    for (const auto& [id, request] : pending_) consider(request.deadline_ms);
    return next;
}

void MintClient::ask(MintRequest request, runtime::Done<MintReply> done) {
    statistics_.requests.add();
    runtime::Done<MintReply> counted = [this,
                                        done = std::move(done)](Result<MintReply> reply) mutable {
        count(reply);
        done(std::move(reply));
    };
    if (channel_ == nullptr) return counted(fail(minter_gone));
    if (pending_.size() >= kMaxMintRequests) return counted(fail(runtime::mint_busy));
    const std::uint32_t id = ++last_id_;
    if (id == 0) return channel_->close("as many requests as one connection may have");
    pending_.emplace(id, Pending{parts_.clock.monotonic_ms() + kMintRequestMs, std::move(counted)});
    channel_->send(encode(Numbered<MintRequest>{id, std::move(request)}));
}

void MintClient::count(const Result<MintReply>& reply) {
    if (!reply) {
        statistics_.unanswered.add();
    } else if (std::holds_alternative<Failed>(*reply)) {
        statistics_.refused.add();
    }
}

template <typename Reply>
void MintClient::ask_for(MintRequest request, runtime::Done<Reply> done) {
    ask(std::move(request), [done = std::move(done)](Result<MintReply> reply) mutable {
        if (!reply) return done(fail(std::move(reply).error()));
        if (auto* failed = std::get_if<Failed>(&*reply)) return done(fail(to_error(*failed)));
        auto* wanted = std::get_if<Reply>(&*reply);
        if (wanted == nullptr) return done(fail(malformed_message, "an answer of another kind"));
        done(std::move(*wanted));
    });
}

void MintClient::received(const Bytes& frame) {
    Result<Numbered<MintReply>> reply = decode_reply(frame);
    if (!reply) return channel_->close(reply.error().message());
    if (reply->id == 0) {
        if (auto* pushed = std::get_if<State>(&reply->message)) state_pushed(std::move(*pushed));
        return;
    }
    auto found = pending_.find(reply->id);
    if (found == pending_.end()) return;  // it was given up
    runtime::Done<MintReply> done = std::move(found->second.done);
    pending_.erase(found);
    done(std::move(reply->message));
}

// --- what is served ---

void MintClient::state_pushed(State pushed) {
    Result<Config> config = parse_config_json(as_bytes(pushed.config));
    if (!config || pushed.names.empty()) return channel_->close("a state that cannot be served");
    back_off_ms_ = 0;
    trees_.clear();
    tree_bytes_ = 0;
    auto served = std::make_shared<runtime::Served>();
    served->platform_name = pushed.names.front().name;
    served->policy_root = pushed.policy_root;
    served->instance = pushed.instance;
    served->assurance = pushed.assurance;
    for (runtime::ServedName& name : pushed.names) runtime::add_name(*served, std::move(name));
    pushed.names.clear();
    next_ =
        std::make_shared<MintedState>(MintedState{std::move(pushed), std::move(*config), nullptr});
    next_served_ = std::move(served);
    // A minter that started anew knows no key of before.
    const bool is_same_start =
        state_ && state_->state.instance.boot_id == next_->state.instance.boot_id;
    if (is_same_start && runtime::keep_epochs(*next_served_, state_->served.get())) {
        return publish(std::exchange(next_, nullptr), std::exchange(next_served_, nullptr));
    }
    attest_epoch();
}

void MintClient::attest_epoch() {
    attest_at_ms_ = 0;
    if (is_attesting_ || channel_ == nullptr) return;
    is_attesting_ = true;
    auto epoch = std::make_shared<runtime::KeyEpoch>(
        runtime::KeyEpoch{crypto::P256PrivateKey::generate(), {}, {}});
    const Spki key = epoch->key.public_key().spki();
    ask_for<Evidence>(Attest{key},
                      [this, epoch, next = next_served_](Result<Evidence> evidence) mutable {
                          is_attesting_ = false;
                          // What was asked for before a new state is not for it: its policy came
                          // later.
                          if (next_served_ != nullptr && next_served_ != next)
                              return attest_epoch();
                          epoch_attested(std::move(epoch), std::move(evidence));
                      });
}

void MintClient::epoch_attested(std::shared_ptr<runtime::KeyEpoch> epoch,
                                Result<Evidence> evidence) {
    const std::uint64_t now_ms = parts_.clock.monotonic_ms();
    if (!evidence) {
        parts_.log.write(os::Severity::warning, "no_evidence",
                         {{"why", evidence.error().message()}});
        attest_at_ms_ = now_ms + kAttestRetryMs;
        return;
    }
    epoch->not_before = UnixTime{evidence->not_before};
    epoch->evidence = std::move(evidence->bytes);
    if (next_ != nullptr) {
        runtime::fill_epochs(*next_served_, epoch);
        return publish(std::exchange(next_, nullptr), std::exchange(next_served_, nullptr));
    }
    if (state_ == nullptr) return;
    auto renewed = std::make_shared<runtime::Served>(*state_->served);
    runtime::replace_epochs(*renewed, epoch);
    publish(std::make_shared<MintedState>(*state_), std::move(renewed));
}

void MintClient::publish(std::shared_ptr<MintedState> next,
                         std::shared_ptr<runtime::Served> served) {
    oldest_epoch_ = runtime::oldest_epoch(*served);
    schedule_renewal();
    leaves_.retain(*served);
    next->served = std::move(served);
    state_ = std::move(next);
    parts_.publish(state_);
    for (Awaiting& one : std::exchange(when_published_, {})) one.done({});
}

// --- changes ---

// Anybody may ask, and all get the same: one question for all who wait.
void MintClient::open_challenge(runtime::Done<OpenChallenge> done) {
    awaiting_challenge_.push_back(std::move(done));
    if (awaiting_challenge_.size() > 1) return;
    ask_for<OpenChallenge>(AskChallenge{}, [this](const Result<OpenChallenge>& opened) {
        for (auto& one : std::exchange(awaiting_challenge_, {})) one(opened);
    });
}

// Only the minter reads what the owner said, and so knows which of the two answers it takes.
void MintClient::owner_request(OwnerRequest request, runtime::Done<std::optional<CaRequest>> done) {
    if (owner_requests_ >= kMaxOwnerRequests) return done(fail(runtime::mint_busy));
    ++owner_requests_;
    ask(std::move(request), [this, done = std::move(done)](Result<MintReply> reply) mutable {
        --owner_requests_;
        if (!reply) return done(fail(std::move(reply).error()));
        if (auto* failed = std::get_if<Failed>(&*reply)) return done(fail(to_error(*failed)));
        if (auto* made = std::get_if<CaRequest>(&*reply)) return done(std::move(*made));
        when_published([done = std::move(done)](Result<void> outcome) mutable {
            if (!outcome) return done(fail(std::move(outcome).error()));
            done(std::nullopt);
        });
    });
}

// Anybody may ask for these, so that they must not take the places of leaves and evidence.
void MintClient::read_tree(ReadTree request, runtime::Done<std::string> done) {
    const auto known = trees_.find(request);
    if (known != trees_.end()) return done(known->second);
    if (trees_asked_ >= kMaxTreesAsked) return done(fail(runtime::mint_busy));
    ++trees_asked_;
    ask_for<TreeText>(request,
                      [this, request, done = std::move(done)](Result<TreeText> tree) mutable {
                          --trees_asked_;
                          if (!tree) return done(fail(std::move(tree).error()));
                          keep_tree(request, tree->text);
                          done(std::move(tree->text));
                      });
}

// Answers and states come in the order in which the minter said them: what it says before a state
// is gone with that state's arrival. Where all trees are too much, they are asked for anew.
void MintClient::keep_tree(const ReadTree& request, const std::string& text) {
    if (tree_bytes_ + text.size() > kMaxTreeBytes) {
        trees_.clear();
        tree_bytes_ = 0;
    }
    if (text.size() > kMaxTreeBytes || !trees_.emplace(request, text).second) return;
    tree_bytes_ += text.size();
}

void MintClient::reload(runtime::Done<void> done) {
    ask_for<Done>(Reload{}, [this, done = std::move(done)](Result<Done> made) mutable {
        if (!made) return done(fail(std::move(made).error()));
        when_published(std::move(done));
    });
}

// What was pushed before the answer may still wait for evidence.
void MintClient::when_published(runtime::Done<void> done) {
    if (next_ == nullptr) return done({});
    when_published_.push_back({parts_.clock.monotonic_ms() + kMintRequestMs, std::move(done)});
}

// --- leaves ---

void MintClient::leaf(std::shared_ptr<const runtime::Served> served,
                      const ratls::HandshakeOffer& offer, const ByteArray<16>& peer_address,
                      runtime::Done<runtime::CredentialPtr> done) {
    const runtime::ServedName* row = served->find(offer.server_name);
    EOS_ASSERT(row != nullptr && state_ != nullptr);
    const std::shared_ptr<const runtime::Served> shown = served;  // what `row` is of
    served = newest(std::move(served), *row);
    auto minting = std::make_shared<Minting>();
    minting->name = row->name;
    minting->scheme = offer.scheme;
    minting->chain = state_->state.chain;
    minting->waiting.push_back(std::move(done));
    if (offer.nonce) {
        EOS_ASSERT(offer.binder.has_value());
        minting->served = std::move(served);
        minting->scheme = ratls::LeafScheme::kV1;
        minting->epoch = std::make_shared<const runtime::KeyEpoch>(
            runtime::KeyEpoch{crypto::P256PrivateKey::generate(), {}, {}});
        return draft(std::move(minting), Challenge{*offer.nonce, *offer.binder, peer_address});
    }
    Result<runtime::CredentialPtr> known =
        leaves_.find(*served, *row, offer.scheme, parts_.clock.now());
    if (!known || *known != nullptr) return minting->waiting.front()(std::move(known));
    minting->epoch = row->epoch;
    minting->served = std::move(served);
    minting->is_shared = true;
    auto [underway, is_first] = minting_.try_emplace({row->name, offer.scheme}, minting);
    if (is_first) return draft(std::move(minting), std::nullopt);
    const Minting& other = *underway->second;
    if (other.served->instance == minting->served->instance && other.epoch == minting->epoch) {
        underway->second->waiting.push_back(std::move(minting->waiting.front()));
        return;
    }
    minting->is_shared = false;  // of another moment than the one under way: not kept
    draft(std::move(minting), std::nullopt);
}

// The minter draws up leaves of its newest state only. A name of which that says the same is asked
// for under it, also while the key for other names is still on its way.
std::shared_ptr<const runtime::Served> MintClient::newest(
    std::shared_ptr<const runtime::Served> served, const runtime::ServedName& row) const {
    for (const auto& newer :
         {std::shared_ptr<const runtime::Served>(next_served_), state_->served}) {
        if (newer == nullptr) continue;
        const runtime::ServedName* same = newer->find(row.name);
        if (same != nullptr && same->tag == row.tag && same->epoch == row.epoch) return newer;
    }
    return served;
}

void MintClient::draft(std::shared_ptr<Minting> minting, std::optional<Challenge> challenge) {
    DraftLeaf request{minting->name, minting->served->instance.generation, minting->scheme,
                      minting->epoch->key.public_key().spki(), std::move(challenge)};
    ask_for<Draft>(std::move(request), [this, minting](Result<Draft> draft) {
        if (!draft) return finish(minting, fail(std::move(draft).error()));
        Bytes binding = minting->epoch->key.sign_der(draft->binding_message);
        ask_for<SignedLeaf>(
            SignLeaf{draft->draft, std::move(binding)}, [this, minting](Result<SignedLeaf> leaf) {
                // What it says is served no longer, or it was drawn up by a minter of before.
                if (!leaf && leaf.error().code() == unknown_draft)
                    return finish(minting, fail(runtime::state_changed));
                if (!leaf) return finish(minting, fail(std::move(leaf).error()));
                std::vector<Bytes> chain = std::move(minting->chain);
                chain.insert(chain.begin(),
                             leaf->is_to_be_signed
                                 ? x509::write_signed(leaf->leaf, minting->epoch->key)
                                 : std::move(leaf->leaf));
                finish(minting, ratls::Credential::make(chain, minting->epoch->key));
            });
    });
}

void MintClient::finish(const std::shared_ptr<Minting>& minting,
                        Result<runtime::CredentialPtr> outcome) {
    if (minting->is_shared) {
        minting_.erase({minting->name, minting->scheme});
        const runtime::ServedName& row = *minting->served->find(minting->name);
        if (outcome) {
            leaves_.insert(*minting->served, row, minting->scheme, parts_.clock.now(), *outcome);
        } else if (outcome.error().code() == not_attested) {
            attest_epoch();  // the minter forgot the key: it keeps a bounded number of them
        }
    }
    for (auto& done : minting->waiting) done(outcome);
}

void MintClient::attest(const crypto::P256PublicKey& leaf_key, const ratls::ChannelBinding& channel,
                        const ByteArray<16>& peer_address, runtime::Done<Bytes> done) {
    ask_for<Evidence>(AttestChannel{leaf_key.spki(), channel, peer_address},
                      [done = std::move(done)](Result<Evidence> evidence) mutable {
                          if (!evidence) return done(fail(std::move(evidence).error()));
                          done(std::move(evidence->bytes));
                      });
}

// --- other threads ---

void WorkerMint::leaf(std::shared_ptr<const runtime::Served> served,
                      const ratls::HandshakeOffer& offer, const ByteArray<16>& peer_address,
                      runtime::Done<runtime::CredentialPtr> done) {
    const runtime::ServedName* row = served->find(offer.server_name);
    EOS_ASSERT(row != nullptr);
    const bool is_shared = !offer.nonce.has_value();
    if (is_shared) {
        Result<runtime::CredentialPtr> known =
            leaves_.find(*served, *row, offer.scheme, parts_.clock.now());
        if (!known || *known != nullptr) return done(std::move(known));
    }
    auto arrived = [this, served, row, scheme = offer.scheme, is_shared,
                    done = std::move(done)](Result<runtime::CredentialPtr> leaf) mutable {
        if (leaf && is_shared) {
            leaves_.insert(*served, *row, scheme, parts_.clock.now(), *leaf);
        }
        done(std::move(leaf));
    };
    parts_.client_loop.post([&loop = parts_.loop, &client = parts_.client, served, offer,
                             peer_address, arrived = std::move(arrived)]() mutable {
        client.leaf(
            served, offer, peer_address,
            [&loop, arrived = std::move(arrived)](Result<runtime::CredentialPtr> leaf) mutable {
                loop.post([arrived = std::move(arrived), leaf = std::move(leaf)]() mutable {
                    arrived(std::move(leaf));
                });
            });
    });
}

void WorkerMint::attest(const crypto::P256PublicKey& leaf_key, const ratls::ChannelBinding& channel,
                        const ByteArray<16>& peer_address, runtime::Done<Bytes> done) {
    parts_.client_loop.post([&loop = parts_.loop, &client = parts_.client, leaf_key, channel,
                             peer_address, done = std::move(done)]() mutable {
        client.attest(
            leaf_key, channel, peer_address,
            [&loop, done = std::move(done)](Result<Bytes> evidence) mutable {
                loop.post([done = std::move(done), evidence = std::move(evidence)]() mutable {
                    done(std::move(evidence));
                });
            });
    });
}

}  // namespace eos::cvm
