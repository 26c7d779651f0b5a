// SPDX-License-Identifier: AGPL-3.0-only
// The minter when clocks jump, quotes fail or take their time, peers flood it, and CAs change.
#include <algorithm>

#include "trusted/virtual/minter/minter_rig_test.h"

namespace eos::cvm {
namespace {

using namespace testing;

constexpr std::int64_t kHour = 3600;

class Adversity : public MinterRig {
  protected:
    /// With an owner, and a proxy that serves.
    void own() {
        begin_anew({});
        connect();
        until_published();
        provision();
    }
    /// As until(), with a second passing each time.
    void until_in_time(const std::function<bool()>& done) {
        until([&] {
            clock.pass(1);
            return done();
        });
    }
    Spki new_key() { return crypto::P256PrivateKey::generate().public_key().spki(); }
    MintReply challenge_of(const Spki& key, int peer) { return raw(challenged(key, peer)); }
    DraftLeaf challenged(const Spki& key, int peer) const {
        ByteArray<16> address{};
        address[14] = static_cast<std::byte>(peer >> 8);
        address[15] = static_cast<std::byte>(peer);
        return {"vm.example.test", disk->generation, {}, key, Challenge{Bytes(32), {}, address}};
    }
    MintReply rotate(const json::Value& step) {
        return raw(signed_request(owner::Purpose::kRotateCa, step));
    }
    MintReply confirm(UnixTime time) {
        return raw(signed_request(owner::Purpose::kConfirmTime, time_step(time)));
    }
    x509::Validity validity_of(const Result<runtime::CredentialPtr>& credential) {
        return x509::Certificate::parse((*credential)->leaf_der())->validity();
    }
    /// Asks for a leaf of mode B, until the TEE has been asked; then `code` says how it went wrong.
    void ask_until_quoting(std::optional<Code>& code) {
        client->leaf(
            client->state()->served, challenge("shop.example.test"), {},
            [&](Result<runtime::CredentialPtr> leaf) { code.emplace(leaf.error().code()); });
        const std::size_t asked = tee.asked().size();
        until([&] { return tee.asked().size() > asked; });
    }
    std::string time_trust() { return client->state()->state.time_trust; }
};

// --- time ---

TEST_F(Adversity, AfterAJumpNothingIsDatedByItUntilTheOwnerConfirms) {
    own();
    const UnixTime floor = disk->time_floor;
    auto request = std::get<CaRequest>(rotate(csr_step()));
    clock.ahead_s += runtime::kMaxTimeJumpSeconds + 60;
    until([this] { return time_trust() == "jumped"; });
    EXPECT_EQ(code_of(raw(Attest{new_key()})), runtime::time_jumped);
    file.platform.policy.drain_time_s = 5;
    EXPECT_EQ(reload().error().code(), runtime::time_jumped);
    EXPECT_EQ(code_of(rotate(chain_step(sign_ca(request.csr)))), runtime::time_jumped);
    EXPECT_EQ(disk->time_floor, floor);
    EXPECT_TRUE(std::holds_alternative<Draft>(challenge_of(new_key(), 1)))
        << "who binds the evidence to its own handshake judges the time itself";

    const UnixTime now = clock.now();
    EXPECT_EQ(code_of(confirm(now - runtime::kMaxTimeDifferenceSeconds - 5)),
              runtime::time_disputed);
    EXPECT_EQ(code_of(raw(Attest{new_key()})), runtime::time_jumped) << "a wrong word is none";
    const auto confirmed = as_owner(owner::Purpose::kConfirmTime, time_step(now));
    ASSERT_TRUE(confirmed) << confirmed.error().message();
    EXPECT_EQ(time_trust(), "confirmed");
    EXPECT_TRUE(std::holds_alternative<Evidence>(raw(Attest{new_key()})));
    ASSERT_TRUE(reload());
    EXPECT_GT(disk->time_floor, floor);
}

TEST_F(Adversity, AJumpInStepsIsOneToo) {
    own();
    clock.ahead_s += 13 * kHour;
    until([this] { return client->state()->served->find("")->epoch != nullptr; });
    EXPECT_TRUE(std::holds_alternative<Evidence>(raw(Attest{new_key()}))) << "13 h are none yet";
    clock.ahead_s += 13 * kHour;
    EXPECT_EQ(code_of(raw(Attest{new_key()})), runtime::time_jumped);
}

TEST_F(Adversity, TimeThatPassesOnBothClocksIsNoJump) {
    own();
    for (int i = 0; i < 5; ++i) {
        clock.pass(10 * kHour);
        minter->turn();
    }
    EXPECT_TRUE(std::holds_alternative<Evidence>(raw(Attest{new_key()})));
    EXPECT_EQ(time_trust(), "unconfirmed");
}

TEST_F(Adversity, WithoutAnOwnerThereIsNobodyToAskAndAJumpIsTakenAsItIs) {
    connect();
    until_published();
    EXPECT_EQ(code_of(confirm(clock.now())), runtime::wrong_stage);
    clock.ahead_s += 400 * 24 * kHour;
    EXPECT_TRUE(std::holds_alternative<Evidence>(raw(Attest{new_key()})));
}

TEST_F(Adversity, AClockBehindTheLastChangeIsNotBelieved) {
    own();
    MinterState stored = disk->duplicate();
    stored.time_floor = stored.time_floor + 90 * kHour;
    const UnixTime floor = stored.time_floor;
    const std::size_t count = published.size();
    begin_anew(std::move(stored));
    EXPECT_NE(logged.find("clock_behind"), std::string::npos) << logged;
    until([&] { return published.size() > count && minter->is_ready(); });
    const auto key = crypto::P256PrivateKey::generate();
    const auto evidence = std::get<Evidence>(raw(Attest{key.public_key().spki()}));
    EXPECT_EQ(evidence.not_before, floor.seconds - floor.seconds % 60);
    file.platform.policy.drain_time_s = 5;
    ASSERT_TRUE(minter->reload());
    EXPECT_EQ(disk->time_floor, floor) << "and it does not go on without the clock";
}

TEST_F(Adversity, AMachineThatSleptRenewsItsLeavesWhenItWakes) {
    own();
    const auto before = client->state()->served->find("")->epoch;
    const UnixTime woken{clock.now().seconds + 20 * kHour};
    clock.ahead_s += 20 * kHour;
    until_in_time([&] { return client->state()->served->find("")->epoch != before; });
    const auto credential = leaf(offer("shop.example.test"));
    ASSERT_TRUE(credential) << credential.error().message();
    EXPECT_GE(validity_of(credential).not_before, woken - 60);
}

TEST_F(Adversity, EvenOneThatIsExpiredByThenAndConfirmed) {
    own();
    clock.ahead_s += 30 * kHour;
    until([this] { return time_trust() == "jumped"; });
    EXPECT_EQ(leaf(offer("shop.example.test")).error().code(), runtime::leaf_expired)
        << "an expired leaf is never served";
    EXPECT_TRUE(leaf(challenge("shop.example.test"))) << "by which the owner comes in";
    ratls::HandshakeOffer channel = offer("");
    channel.scheme = ratls::LeafScheme::kV2;
    EXPECT_TRUE(leaf(channel)) << "or by this, with evidence about the channel";
    const auto key = served().find("")->epoch->key.public_key();
    EXPECT_TRUE(wait<Bytes>([&](auto done) { client->attest(key, {}, {}, std::move(done)); }));
    const auto end = code_of(raw(
        DraftLeaf{"vm.example.test", disk->generation, ratls::LeafScheme::kV1, key.spki(), {}}));
    EXPECT_EQ(end, not_attested);
    ASSERT_TRUE(as_owner(owner::Purpose::kConfirmTime, time_step(clock.now())));
    until_in_time([this] { return runtime::oldest_epoch(served()) > clock.now() - kHour; });
    EXPECT_TRUE(leaf(offer("shop.example.test")));
}

// --- quotes ---

TEST_F(Adversity, WhileQuotesFailKnownLeavesServeAndTheNextTryHeals) {
    own();
    const auto known = leaf(offer("shop.example.test"));
    ASSERT_TRUE(known);
    const auto before = client->state()->served->find("")->epoch;
    tee.set_failure(wrong_report);
    EXPECT_EQ(leaf(challenge("shop.example.test")).error().code(), minter_failed);
    clock.pass(19 * kHour);
    const std::size_t asked = tee.asked().size();
    until([&] { return tee.asked().size() > asked; });
    EXPECT_EQ(*leaf(offer("shop.example.test")), *known);
    EXPECT_EQ(client->state()->served->find("")->epoch, before);
    tee.clear_failure();
    until_in_time([&] { return client->state()->served->find("")->epoch != before; });
    EXPECT_TRUE(leaf(challenge("shop.example.test")));
}

TEST_F(Adversity, AChangeWithoutEvidenceIsSaidToBeServedLaterAndIs) {
    own();
    tee.set_failure(kernel_refused);
    file.platform.policy.drain_time_s = 5;
    std::optional<Result<void>> outcome;
    client->reload([&](Result<void> done) { outcome.emplace(std::move(done)); });
    until_in_time([&] { return outcome.has_value(); });
    ASSERT_FALSE(*outcome);
    EXPECT_EQ(outcome->error().code(), not_served_yet);
    EXPECT_EQ(client->state()->config.platform.policy.drain_time_s, 30u);
    tee.clear_failure();
    until_in_time([this] { return client->state()->config.platform.policy.drain_time_s == 5; });
}

TEST_F(Adversity, TheFirstQuoteIsTriedAgainUntilThereIsOne) {
    tee.set_failure(provider_gone);
    const std::size_t asked = tee.asked().size();
    begin_anew({});
    until([&] { return tee.asked().size() > asked; });
    EXPECT_FALSE(minter->is_ready());
    EXPECT_FALSE(minter->next_deadline_ms().has_value() &&
                 *minter->next_deadline_ms() > clock.monotonic_ms() + kQuoteRetryMs);
    tee.clear_failure();
    until_in_time([this] { return minter->is_ready(); });
}

TEST_F(Adversity, AMinterThatRestartsWhileQuotesAreMadeLeavesNobodyWaiting) {
    own();
    tee.hold();
    std::optional<Code> code;
    ask_until_quoting(code);
    server.reset();
    until([&] { return code.has_value(); });
    EXPECT_EQ(*code, minter_gone);
    EXPECT_EQ(client->statistics().unanswered.get(), 1U);
    tee.release();
}

TEST_F(Adversity, ASlowMinterIsGivenUp) {
    own();
    tee.hold();
    std::optional<Code> code;
    ask_until_quoting(code);
    clock.pass(kMintRequestMs / 1000);
    until([&] { return code.has_value(); });
    EXPECT_EQ(*code, minter_slow);
    EXPECT_EQ(client->statistics().unanswered.get(), 1U);
    tee.release();
    EXPECT_TRUE(leaf(challenge("shop.example.test"))) << "what comes late disturbs nobody";
}

TEST_F(Adversity, AFullQueueRefusesChallengesAndStillRenews) {
    own();
    const auto before = client->state()->served->find("")->epoch;
    tee.hold();
    std::size_t busy = 0;
    std::size_t drawn_up = 0;
    for (std::size_t i = 0; i < kMaxWaitingChallenges + 6; ++i) {
        minter->handle(challenged(new_key(), static_cast<int>(i)), [&](MintReply reply) {
            if (std::holds_alternative<Draft>(reply)) {
                ++drawn_up;
            } else if (code_of(reply) == runtime::mint_busy) {
                ++busy;
            }
        });
    }
    EXPECT_GE(busy, 5u);
    clock.pass(19 * kHour);
    tee.release();
    until([&] { return client->state()->served->find("")->epoch != before; });
    until([&] { return drawn_up + busy == kMaxWaitingChallenges + 6; });
}

// --- floods ---

TEST_F(Adversity, AllPeersTogetherHaveABucketTooWhichFillsAgain) {
    until([this] { return minter->is_ready(); });
    clock.freeze();
    const Spki key = new_key();
    std::uint32_t granted = 0;
    while (granted < 1000 &&
           std::holds_alternative<Draft>(challenge_of(key, static_cast<int>(granted / 4)))) {
        ++granted;
    }
    EXPECT_EQ(granted, kAllChallenges.burst);
    EXPECT_EQ(code_of(challenge_of(key, 999)), runtime::mint_rate) << "who never asked before";
    clock.pass(1);
    EXPECT_EQ(code_of(challenge_of(key, 999)), runtime::mint_busy) << "drafts are bounded, too";
    clock.pass(kDraftMs / 1000);
    minter->turn();
    std::uint32_t again = 0;
    while (again < 1000 &&
           std::holds_alternative<Draft>(challenge_of(key, 1000 + static_cast<int>(again / 4)))) {
        ++again;
    }
    EXPECT_EQ(again, kAllChallenges.burst);
}

TEST_F(Adversity, ADraftThatIsNotSignedInTimeIsForgotten) {
    until([this] { return minter->is_ready(); });
    const auto key = crypto::P256PrivateKey::generate();
    const auto draft = std::get<Draft>(challenge_of(key.public_key().spki(), 1));
    clock.pass(kDraftMs / 1000);
    minter->turn();
    EXPECT_EQ(code_of(raw(SignLeaf{draft.draft, key.sign_der(draft.binding_message)})),
              unknown_draft);
}

TEST_F(Adversity, AProxyThatGoesTakesItsDraftsWithIt) {
    own();
    const auto key = crypto::P256PrivateKey::generate();
    const auto draft = std::get<Draft>(challenge_of(key.public_key().spki(), 1));
    client.reset();
    bool is_gone = false;
    until([&] {
        // It is forgotten once the server has seen that the connection ended.
        is_gone = code_of(raw(SignLeaf{draft.draft, Bytes(8)})) == unknown_draft;
        return is_gone;
    });
    EXPECT_TRUE(is_gone);
}

// --- the CA, and what is served ---

TEST_F(Adversity, ARotatedCaSignsFromThenOnAndDrainsEverybody) {
    own();
    const MintedStatePtr before = client->state();
    const auto ask = [&](const json::Value& step) {
        return as_owner(owner::Purpose::kRotateCa, step);
    };
    const Bytes old_csr = (*ask(csr_step()))->csr;
    EXPECT_EQ(ask(chain_step("x")).error().code(), minter_failed);
    EXPECT_EQ(ask(chain_step(sign_ca(old_csr, "other.test"))).error().code(),
              runtime::name_not_permitted);
    const CaRequest request = **ask(csr_step());
    EXPECT_EQ(request.evidence,
              to_bytes(ratls::ReportData::ca_csr({request.csr, nonce, owner}).bytes()))
        << "for the owner that it has";
    EXPECT_FALSE(ask(chain_step(sign_ca(old_csr)))) << "a key that another request replaced";
    EXPECT_EQ(client->state(), before) << "nothing has changed so far";
    ASSERT_TRUE(ask(chain_step(sign_ca(request.csr))));
    const MintedStatePtr after = client->state();
    EXPECT_EQ(after->state.instance.generation, before->state.instance.generation + 1);
    EXPECT_NE(after->state.policy_root, before->state.policy_root);
    EXPECT_EQ(measured.back(), after->state.policy_root);
    EXPECT_NE(after->served->find("shop.example.test")->tag,
              before->served->find("shop.example.test")->tag);
    const auto credential = leaf(offer("shop.example.test"));
    ASSERT_TRUE(credential);
    const auto ca = x509::Certificate::parse(after->state.chain.front());
    EXPECT_TRUE(
        x509::Certificate::parse((*credential)->leaf_der())->verify_signed_by(*ca->p256_key()));
    EXPECT_EQ(code_of(rotate(chain_step(sign_ca(request.csr)))), runtime::no_pending_request)
        << "once";
    EXPECT_EQ(measured_for.back(), PolicyChange::kCaRotation);
}

// Whatever the proxy says, it is not the owner: what the owner signed is carried or not, once.
TEST_F(Adversity, OnlyTheOwnersOwnHandRotatesTheCaOrMovesTheClock) {
    using owner::Purpose;
    own();
    const std::size_t asked = tee.asked().size();
    const auto before = encode_state(*disk);
    const auto thief = crypto::P256PrivateKey::generate();
    EXPECT_EQ(code_of(raw(signed_request(Purpose::kRotateCa, csr_step(), thief))),
              runtime::not_the_owner);
    OwnerRequest forged = signed_request(Purpose::kRotateCa, csr_step(), thief);
    forged.owner_key = owner_key.public_key().spki();
    EXPECT_EQ(code_of(raw(forged)), owner::wrong_statement);
    OwnerRequest redirected = signed_request(Purpose::kConfirmTime, time_step(clock.now()));
    redirected.purpose = Purpose::kRotateCa;
    EXPECT_EQ(code_of(raw(redirected)), owner::wrong_statement);
    const auto open = std::get<OpenChallenge>(raw(AskChallenge{})).challenge;
    const OwnerRequest for_another{Purpose::kConfirmTime, owner_key.public_key().spki(),
                                   owner::sign({Purpose::kConfirmTime, ByteArray<16>{}, open},
                                               time_step(clock.now()), owner_key)};
    EXPECT_EQ(code_of(raw(for_another)), owner::wrong_statement);
    EXPECT_EQ(time_trust(), "unconfirmed");

    const OwnerRequest once = signed_request(Purpose::kConfirmTime, time_step(clock.now()));
    EXPECT_TRUE(std::holds_alternative<Done>(raw(once))) << "none of that closed the challenge";
    EXPECT_EQ(code_of(raw(once)), owner::stale_statement);
    const OwnerRequest held_back = signed_request(Purpose::kRotateCa, csr_step());
    clock.pass(OwnerChallenge::kLifeMs / 1000 + 1);
    EXPECT_EQ(code_of(raw(held_back)), owner::stale_statement);
    const OwnerRequest of_before = signed_request(Purpose::kRotateCa, csr_step());
    begin(disk->duplicate());
    until([this] { return minter->is_ready(); });
    EXPECT_EQ(code_of(raw(of_before)), owner::stale_statement) << "a start has its own challenges";
    EXPECT_EQ(to_bytes(encode_state(*disk).view()), to_bytes(before.view()));
    EXPECT_EQ(tee.asked().size(), asked + 1) << "the first quote of the second start";
}

TEST_F(Adversity, RotationsAreRare) {
    own();
    clock.freeze();
    std::uint32_t granted = 0;
    MintReply last = rotate(csr_step());
    while (std::holds_alternative<CaRequest>(last) && ++granted < 100) last = rotate(csr_step());
    EXPECT_EQ(granted, kRotations.burst);
    EXPECT_EQ(code_of(last), runtime::mint_rate);
    clock.pass(60);
    EXPECT_TRUE(std::holds_alternative<CaRequest>(rotate(csr_step())));
}

TEST_F(Adversity, AnotherProgramVersionIsAChangeOfWhatIsServed) {
    own();
    const std::uint64_t generation = disk->generation;
    const std::size_t count = published.size();
    const auto old_tag = served().find("")->tag;
    begin(disk->duplicate());
    until([&] { return published.size() > count && minter->is_ready(); });
    EXPECT_EQ(disk->generation, generation) << "the same program changes nothing";
    version = "test 2";
    begin(disk->duplicate());
    until([&] { return served().find("")->tag != old_tag; });
    EXPECT_EQ(disk->generation, generation + 1);
    EXPECT_EQ(served().instance.generation, generation + 1);
    EXPECT_EQ(disk->history.changes.back().generation, generation + 1);
}

// --- who is at the other end ---

TEST_F(Adversity, AProxyTakesNothingFromAMinterOfAnotherUser) {
    minter_user = ::getuid() + 1;
    ::testing::internal::CaptureStderr();
    connect();
    for (int i = 0; i < 20; ++i) {
        loop.turn(5);
        minter->turn();
        client->turn();
    }
    const std::string said = ::testing::internal::GetCapturedStderr();
    EXPECT_NE(said.find("not the minter's user"), std::string::npos) << said;
    EXPECT_FALSE(client->is_connected());
    EXPECT_TRUE(published.empty());
}

}  // namespace
}  // namespace eos::cvm
