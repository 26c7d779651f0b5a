// SPDX-License-Identifier: AGPL-3.0-only
// What the minter does for an honest proxy, and what it refuses every other.
#include "trusted/virtual/minter/minter.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "common/config_tree/manifest.h"
#include "common/oid/registry.h"
#include "trusted/virtual/minter/minter_rig_test.h"

namespace eos::cvm {
namespace {

using namespace testing;

TEST_F(MinterRig, PushesWhatIsServedWithAKeyBornInTheProxy) {
    connect();
    until_published();
    EXPECT_FALSE(client->state()->state.is_owned);
    EXPECT_EQ(client->state()->config, file);
    EXPECT_EQ(served().names.size(), 2u);
    const auto& epoch = served().find("")->epoch;
    ASSERT_NE(epoch, nullptr);
    EXPECT_EQ(epoch, served().find("shop.example.test")->epoch);
    EXPECT_EQ(epoch->evidence, to_bytes(ratls::ReportData::v1_deterministic(epoch->key.public_key(),
                                                                            epoch->not_before)
                                            .bytes()));
    EXPECT_EQ(measured, std::vector{served().policy_root});
}

TEST_F(MinterRig, AnUnownedLeafSignsItself) {
    connect();
    until_published();
    auto credential = leaf(offer(""));
    ASSERT_TRUE(credential) << credential.error().message();
    x509::Certificate certificate = *x509::Certificate::parse((*credential)->leaf_der());
    EXPECT_TRUE(certificate.verify_signed_by(*certificate.p256_key()));
    EXPECT_TRUE(ratls::check_leaf_binding(certificate));
}

TEST_F(MinterRig, OwnedItMintsEveryModeUnderTheOwnersCa) {
    begin_anew({});
    connect();
    until_published();
    provision();
    EXPECT_TRUE(client->state()->state.is_owned);
    EXPECT_EQ(measured.back(), served().policy_root) << "measured before it is served";
    EXPECT_EQ(disk->generation, served().instance.generation);
    x509::Certificate ca = *x509::Certificate::parse(client->state()->state.chain.front());

    auto check = [&](const ratls::HandshakeOffer& wanted, ratls::LeafScheme scheme) {
        auto credential = leaf(wanted);
        ASSERT_TRUE(credential) << credential.error().message();
        x509::Certificate certificate = *x509::Certificate::parse((*credential)->leaf_der());
        EXPECT_TRUE(certificate.verify_signed_by(*ca.p256_key()));
        EXPECT_TRUE(ratls::check_leaf_binding(certificate));
        ratls::LeafClaimsView claims = *ratls::read_leaf(certificate, scheme);
        EXPECT_EQ(claims.policy_root, served().policy_root);
        EXPECT_EQ(claims.evidence.has_value(), scheme == ratls::LeafScheme::kV1);
        if (wanted.nonce) {
            EXPECT_EQ(claims.evidence->bytes,
                      to_bytes(ratls::ReportData::v1_challenge(*certificate.p256_key(),
                                                               *wanted.nonce, *wanted.binder)
                                   ->bytes()));
        }
    };
    check(offer("shop.example.test"), ratls::LeafScheme::kV1);
    check(challenge("shop.example.test"), ratls::LeafScheme::kV1);
    ratls::HandshakeOffer channel = offer("");
    channel.scheme = ratls::LeafScheme::kV2;
    check(channel, ratls::LeafScheme::kV2);
    const ratls::ChannelBinding binding{crypto::random_array<32>(), crypto::random_array<32>()};
    const crypto::P256PublicKey key = served().find("")->epoch->key.public_key();
    auto evidence =
        wait<Bytes>([&](auto done) { client->attest(key, binding, {}, std::move(done)); });
    ASSERT_TRUE(evidence);
    EXPECT_EQ(*evidence, to_bytes(ratls::ReportData::v2_challenge(key, binding).bytes()));
}

TEST_F(MinterRig, ALeafIsMadeOnceForAllWhoWaitForIt) {
    connect();
    until_published();
    std::vector<runtime::CredentialPtr> leaves;
    for (int i = 0; i < 5; ++i) {
        client->leaf(client->state()->served, offer(""), {},
                     [&](Result<runtime::CredentialPtr> one) { leaves.push_back(*one); });
    }
    until([&] { return leaves.size() == 5; });
    EXPECT_EQ(std::ranges::count(leaves, leaves[0]), 5);
    EXPECT_EQ(*leaf(offer("")), leaves[0]) << "and kept";
    EXPECT_EQ(tee.asked().size(), 2u) << "the first quote and one for the key";
}

TEST_F(MinterRig, AReloadChangesOnlyTheTagsOfWhatChanged) {
    connect();
    until_published();
    const MintedStatePtr before = client->state();
    RouteConfig chat = file.routes[0];
    chat.name = "chat";
    chat.hostname = "chat.example.test";
    file.routes.push_back(chat);
    ASSERT_TRUE(reload());
    const MintedStatePtr after = client->state();
    ASSERT_NE(after, before) << "it is published before it is acknowledged";
    const auto* old_shop = before->served->find("shop.example.test");
    const auto* new_shop = after->served->find("shop.example.test");
    EXPECT_EQ(old_shop->tag, new_shop->tag);
    EXPECT_EQ(old_shop->epoch, new_shop->epoch);
    EXPECT_NE(before->served->find("")->tag, after->served->find("")->tag);
    EXPECT_NE(before->served->find("")->epoch, after->served->find("")->epoch)
        << "a changed value means a new key";
    EXPECT_EQ(after->state.instance.generation, before->state.instance.generation + 1);
    ASSERT_TRUE(reload());
    EXPECT_EQ(client->state()->state.instance.generation, after->state.instance.generation)
        << "nothing changed";
}

TEST_F(MinterRig, AReloadDisturbsNoHandshakeOnANameThatStaysAsItWas) {
    until([this] { return minter->is_ready(); });
    const auto key = crypto::P256PrivateKey::generate();
    const auto platform_key = crypto::P256PrivateKey::generate();
    const std::uint64_t generation = disk->generation;
    std::optional<MintReply> shop;
    std::optional<MintReply> platform;
    const Challenge handshake{Bytes(32), {}, {}};
    minter->handle(
        DraftLeaf{"shop.example.test", generation, {}, key.public_key().spki(), handshake},
        [&](MintReply reply) { shop = std::move(reply); });
    minter->handle(
        DraftLeaf{"vm.example.test", generation, {}, platform_key.public_key().spki(), handshake},
        [&](MintReply reply) { platform = std::move(reply); });
    RouteConfig chat = file.routes[0];
    chat.name = "chat";
    chat.hostname = "chat.example.test";
    file.routes.push_back(chat);
    ASSERT_TRUE(minter->reload()) << "while their quotes are made";
    until([&] { return shop && platform; });
    EXPECT_EQ(code_of(*platform), runtime::state_changed) << "its tree has changed";
    const auto& draft = std::get<Draft>(*shop);
    file.routes.pop_back();
    ASSERT_TRUE(minter->reload()) << "while the proxy signs";
    EXPECT_TRUE(std::holds_alternative<SignedLeaf>(
        raw(SignLeaf{draft.draft, key.sign_der(draft.binding_message)})));
}

TEST_F(MinterRig, WhatWasDrawnUpAndIsServedNoLongerIsNotSigned) {
    until([this] { return minter->is_ready(); });
    const auto key = crypto::P256PrivateKey::generate();
    raw(Attest{key.public_key().spki()});
    auto draft = std::get<Draft>(
        raw(DraftLeaf{"shop.example.test", disk->generation, {}, key.public_key().spki(), {}}));
    file.routes[0].upstream.connections = 3;
    ASSERT_TRUE(minter->reload());
    EXPECT_EQ(code_of(raw(SignLeaf{draft.draft, key.sign_der(draft.binding_message)})),
              unknown_draft);
}

TEST_F(MinterRig, AThreadThatServesTheStateOfBeforeStillGetsLeavesOfWhatStayed) {
    connect();
    until_published();
    const auto before = client->state()->served;
    RouteConfig chat = file.routes[0];
    chat.name = "chat";
    chat.hostname = "chat.example.test";
    file.routes.push_back(chat);
    ASSERT_TRUE(reload());
    auto ask = [&](const ratls::HandshakeOffer& wanted) {
        return wait<runtime::CredentialPtr>(
            [&](auto done) { client->leaf(before, wanted, {}, std::move(done)); });
    };
    EXPECT_TRUE(ask(offer("shop.example.test")));
    EXPECT_TRUE(ask(challenge("shop.example.test")));
    EXPECT_EQ(ask(challenge("")).error().code(), runtime::state_changed);
}

TEST_F(MinterRig, WhatCannotBeStoredIsNotServed) {
    connect();
    until_published();
    const crypto::Digest32 old_root = served().policy_root;
    const auto before = measured;
    file.platform.policy.drain_time_s = 5;
    disk_is_full = true;
    auto outcome = reload();
    ASSERT_FALSE(outcome);
    EXPECT_EQ(client->state()->config.platform.policy.drain_time_s, 30u);
    EXPECT_EQ(measured, before) << "nor does it leave a mark on the register: with an event more, "
                                   "evidence would not replay under the log that is served";
    disk_is_full = false;
    EXPECT_TRUE(reload());
    EXPECT_NE(served().policy_root, old_root);
}

TEST_F(MinterRig, WhatCannotBeMeasuredIsNotServedAndNotKept) {
    connect();
    until_published();
    const crypto::Digest32 old_root = served().policy_root;
    const std::uint64_t generation = disk->generation;
    file.platform.policy.drain_time_s = 5;
    register_fails = true;
    ASSERT_FALSE(reload());
    EXPECT_EQ(served().policy_root, old_root);
    EXPECT_EQ(disk->generation, generation);
    register_fails = false;
    ASSERT_TRUE(reload());
    EXPECT_EQ(measured.back(), served().policy_root);
    EXPECT_EQ(disk->generation, generation + 1);
}

TEST_F(MinterRig, AnOwnedMachineIsNotRenamedAndServesOnlyWhatItsCaPermits) {
    begin_anew({});
    connect();
    until_published();
    provision();
    file.routes[0].hostname = "shop.other.test";
    auto outcome = reload();
    EXPECT_EQ(outcome.error().code(), runtime::name_not_permitted);
    file = config();
    file.platform.name = "vm2.example.test";
    outcome = reload();
    EXPECT_EQ(outcome.error().code(), bad_config);
}

TEST_F(MinterRig, AStoredStateIsTakenUpUnderTheSameIdentity) {
    begin_anew({});
    connect();
    until_published();
    provision();
    const MintedStatePtr before = client->state();
    const std::size_t count = published.size();
    begin(disk->duplicate());
    until([this] { return minter->is_ready(); });
    until([&] { return published.size() > count; });
    const MintedStatePtr after = client->state();
    EXPECT_TRUE(after->state.is_owned);
    EXPECT_EQ(after->state.instance.instance_id, before->state.instance.instance_id);
    EXPECT_EQ(after->state.instance.generation, before->state.instance.generation);
    EXPECT_NE(after->state.instance.boot_id, before->state.instance.boot_id);
    EXPECT_NE(after->served->find("")->epoch, before->served->find("")->epoch)
        << "this minter knows no key of before";
    EXPECT_EQ(after->served->find("")->tag, before->served->find("")->tag) << "nothing drains";
    EXPECT_TRUE(leaf(offer("shop.example.test")));
}

TEST_F(MinterRig, ProvisioningTakesTheTokenAndTheKeyThatWasAskedFor) {
    using owner::Purpose;
    begin_anew({});
    until([this] { return minter->is_ready(); });
    const std::string given = token();
    ASSERT_EQ(given.size(), 32u);
    const auto ask = [&](const json::Value& step) {
        return raw(signed_request(Purpose::kProvision, step));
    };
    EXPECT_EQ(code_of(ask(claim(csr_step(), std::string(32, '0')))), runtime::wrong_token);
    EXPECT_EQ(code_of(ask(claim(csr_step(), given, "other.example.test"))), runtime::bad_ca);
    EXPECT_EQ(code_of(ask(claim(chain_step("x"), given))), runtime::no_pending_request);
    EXPECT_EQ(code_of(raw(signed_request(Purpose::kRotateCa, csr_step()))), runtime::wrong_stage);
    const auto request = std::get<CaRequest>(ask(claim(csr_step(), given)));
    EXPECT_EQ(code_of(ask(claim(chain_step(sign_ca(request.csr, "other.test")), given))),
              runtime::name_not_permitted);
    EXPECT_TRUE(std::holds_alternative<Done>(ask(claim(chain_step(sign_ca(request.csr)), given))));
    EXPECT_EQ(disk->owned->owner_spki_hash, owner);
    EXPECT_EQ(code_of(ask(claim(csr_step(), given))), runtime::wrong_stage) << "once";
}

// It carries everything that the owner says, and signs whatever it likes with keys of its own.
TEST_F(MinterRig, AHostileProxyBecomesNobodysOwner) {
    using owner::Purpose;
    begin_anew({});
    until([this] { return minter->is_ready(); });
    const std::string given = token();
    const auto thief = crypto::P256PrivateKey::generate();
    const json::Value seen = claim(csr_step(), given);
    const auto steal = [&](const json::Value& step) {
        return raw(signed_request(Purpose::kProvision, step, thief));
    };
    EXPECT_EQ(code_of(steal(seen)), runtime::wrong_token) << "the proof is of the owner's key";
    json::Value named = seen;
    named["token"] = given;
    EXPECT_EQ(code_of(steal(named)), runtime::wrong_token);
    named.erase("token");
    EXPECT_FALSE(std::holds_alternative<CaRequest>(steal(named)));
    // What the owner began, nobody else completes.
    const auto begun =
        std::get<CaRequest>(raw(signed_request(Purpose::kProvision, claim(csr_step(), given))));
    EXPECT_EQ(code_of(steal(claim(chain_step(sign_ca(begun.csr)), given))), runtime::wrong_token);
    EXPECT_FALSE(disk->owned.has_value());
    EXPECT_TRUE(std::holds_alternative<Done>(
        raw(signed_request(Purpose::kProvision, claim(chain_step(sign_ca(begun.csr)), given)))));
}

// Whatever a hostile proxy sends, what is signed is of a known purpose and hashes what binds it.
TEST_F(MinterRig, NoRequestHasReportDataOfTheProxysChoiceSigned) {
    begin_anew({});
    until([this] { return minter->is_ready(); });
    const Spki leaf_key = crypto::P256PrivateKey::generate().public_key().spki();
    const Spki other_key = crypto::P256PrivateKey::generate().public_key().spki();
    Bytes chosen = Bytes(64, std::byte{0x41});
    const std::uint64_t generation = disk->generation;
    raw(Attest{leaf_key});
    raw(Attest{Spki{}});
    for (std::size_t size : {0, 15, 16, 17, 32, 63, 64}) {
        raw(DraftLeaf{
            "vm.example.test", generation, ratls::LeafScheme::kV1, other_key,
            Challenge{Bytes(size, std::byte{0x41}), to_array<32>(ByteView(chosen).first(32)), {}}});
    }
    raw(AttestChannel{
        leaf_key,
        {to_array<32>(ByteView(chosen).first(32)), to_array<32>(ByteView(chosen).first(32))},
        {}});
    nonce = to_array<32>(ByteView(chosen).first(32));
    raw(signed_request(owner::Purpose::kProvision, claim(csr_step(), token())));
    const auto asked = tee.asked();
    // Two starts, Attest, nonces of 16 to 64 bytes but not 17, AttestChannel, a CA key.
    EXPECT_EQ(asked.size(), 2u + 1 + 4 + 1 + 1);
    for (const ratls::ReportData& data : asked) {
        EXPECT_NE(to_bytes(data.bytes()), chosen);
        EXPECT_EQ(std::ranges::search(data.bytes(), ByteView(chosen).first(8)).size(), 0u);
    }
}

TEST_F(MinterRig, KeysOfAHandshakeAndKeysOfADayAreNeverTheSame) {
    until([this] { return minter->is_ready(); });
    const Spki key = crypto::P256PrivateKey::generate().public_key().spki();
    const std::uint64_t generation = disk->generation;
    EXPECT_EQ(code_of(raw(AttestChannel{key, {}, {}})), not_attested);
    EXPECT_EQ(code_of(raw(DraftLeaf{"vm.example.test", generation, {}, key, {}})), not_attested);
    EXPECT_TRUE(std::holds_alternative<Evidence>(raw(Attest{key})));
    Challenge handshake{Bytes(32), {}, {}};
    EXPECT_EQ(code_of(raw(DraftLeaf{"vm.example.test", generation, {}, key, handshake})),
              key_has_other_use);
    EXPECT_TRUE(
        std::holds_alternative<Draft>(raw(DraftLeaf{"vm.example.test", generation, {}, key, {}})));
    EXPECT_EQ(code_of(raw(DraftLeaf{"vm.example.test", generation + 1, {}, key, {}})),
              runtime::state_changed);
    EXPECT_EQ(code_of(raw(DraftLeaf{"no.example.test", generation, {}, key, {}})), unknown_name);
    EXPECT_EQ(code_of(raw(DraftLeaf{"", generation, {}, key, {}})), unknown_name);
}

TEST_F(MinterRig, AKeyNeverSaysTwoThingsOfOneName) {
    until([this] { return minter->is_ready(); });
    const Spki key = crypto::P256PrivateKey::generate().public_key().spki();
    raw(Attest{key});
    EXPECT_TRUE(std::holds_alternative<Draft>(
        raw(DraftLeaf{"shop.example.test", disk->generation, {}, key, {}})));
    file.routes[0].upstream.connections = 3;
    ASSERT_TRUE(minter->reload());
    EXPECT_EQ(code_of(raw(DraftLeaf{"shop.example.test", disk->generation, {}, key, {}})),
              key_has_other_use);
}

TEST_F(MinterRig, AKeyIsForThePolicyThatWasInForceWhenItWasAttested) {
    until([this] { return minter->is_ready(); });
    const Spki key = crypto::P256PrivateKey::generate().public_key().spki();
    ASSERT_TRUE(std::holds_alternative<Evidence>(raw(Attest{key})));
    EXPECT_TRUE(std::holds_alternative<Evidence>(raw(AttestChannel{key, {}, {}})));
    file.routes[0].upstream.connections = 3;
    ASSERT_TRUE(minter->reload());
    EXPECT_TRUE(std::holds_alternative<Evidence>(raw(AttestChannel{key, {}, {}})))
        << "the policy is the same";
    // What is on its way when the policy changes comes too late.
    tee.hold();
    std::vector<MintReply> late;
    const auto keep = [&late](MintReply reply) { late.push_back(std::move(reply)); };
    minter->handle(AttestChannel{key, {}, {}}, keep);
    minter->handle(Attest{crypto::P256PrivateKey::generate().public_key().spki()}, keep);
    file.platform.policy.drain_time_s = 7;
    ASSERT_TRUE(minter->reload());
    tee.release();
    until([&late] { return late.size() == 2; });
    for (const MintReply& reply : late) EXPECT_EQ(code_of(reply), runtime::state_changed);
    EXPECT_EQ(code_of(raw(AttestChannel{key, {}, {}})), runtime::state_changed);
    EXPECT_EQ(code_of(raw(Attest{key})), key_has_other_use);
}

TEST_F(MinterRig, EvidenceThatWasAskedForBeforeAChangeIsNotForWhatFollows) {
    connect();
    until_published();
    tee.hold();
    // A renewal is on its way when the policy changes.
    clock.pass(runtime::kEpochRenewalSeconds + 1);
    const std::size_t asked = tee.asked().size();
    until([&] { return tee.asked().size() > asked; });
    file.platform.policy.drain_time_s = 7;
    std::optional<Result<void>> reloaded;
    client->reload([&](Result<void> outcome) { reloaded.emplace(std::move(outcome)); });
    until([&] { return measured.size() == 2; });
    tee.release();
    until([&] { return reloaded.has_value(); });
    EXPECT_TRUE(*reloaded) << reloaded->error().message();
    EXPECT_EQ(client->state()->served->policy_root, measured.back());
    EXPECT_GE(tee.asked().size(), asked + 2) << "asked for again after the change";
}

TEST_F(MinterRig, ADraftIsSignedOnceAndOnlyWithItsKeysSignature) {
    until([this] { return minter->is_ready(); });
    const auto key = crypto::P256PrivateKey::generate();
    raw(Attest{key.public_key().spki()});
    auto draft = std::get<Draft>(
        raw(DraftLeaf{"vm.example.test", disk->generation, {}, key.public_key().spki(), {}}));
    const Bytes wrong = crypto::P256PrivateKey::generate().sign_der(draft.binding_message);
    EXPECT_EQ(code_of(raw(SignLeaf{draft.draft, wrong})), minter_failed);
    const Bytes right = key.sign_der(draft.binding_message);
    EXPECT_TRUE(std::holds_alternative<SignedLeaf>(raw(SignLeaf{draft.draft, right})));
    EXPECT_EQ(code_of(raw(SignLeaf{draft.draft, right})), unknown_draft);
}

TEST_F(MinterRig, EqualRequestsShareAQuoteAndKeysAreForgottenInTheEnd) {
    until([this] { return minter->is_ready(); });
    const Spki key = crypto::P256PrivateKey::generate().public_key().spki();
    int answered = 0;
    for (int i = 0; i < 10; ++i) {
        minter->handle(Attest{key}, [&](MintReply reply) {
            answered += std::holds_alternative<Evidence>(reply) ? 1 : 0;
        });
    }
    until([&] { return answered == 10; });
    EXPECT_EQ(tee.asked().size(), 2u);
    for (std::size_t i = 0; i < kMaxAttestedKeys; ++i)
        raw(Attest{crypto::P256PrivateKey::generate().public_key().spki()});
    std::size_t known = 0;
    known += std::holds_alternative<Draft>(
                 raw(DraftLeaf{"vm.example.test", disk->generation, {}, key, {}}))
                 ? 1
                 : 0;
    EXPECT_LE(known, 1u);
    EXPECT_EQ(tee.asked().size(), 2u + kMaxAttestedKeys);
}

TEST_F(MinterRig, AProxyGetsSoManyQuotesAboutKeysAndNoMore) {
    until([this] { return minter->is_ready(); });
    clock.freeze();
    std::vector<Spki> granted;
    MintReply last;
    while (granted.size() < 1000) {
        const Spki key = crypto::P256PrivateKey::generate().public_key().spki();
        last = raw(Attest{key});
        if (!std::holds_alternative<Evidence>(last)) break;
        granted.push_back(key);
    }
    EXPECT_EQ(granted.size(), kKeysAttested.burst);
    EXPECT_EQ(code_of(last), runtime::mint_rate);
    std::vector<Spki> forgotten;
    for (const Spki& key : granted) {
        const MintReply again = raw(Attest{key});
        if (std::holds_alternative<Evidence>(again)) continue;
        EXPECT_EQ(code_of(again), key_has_other_use) << "that it was made to forget";
        forgotten.push_back(key);
    }
    ASSERT_EQ(forgotten.size(), kKeysAttested.burst - kMaxAttestedKeys);
    EXPECT_EQ(
        code_of(raw(DraftLeaf{
            "vm.example.test", disk->generation, {}, forgotten[0], Challenge{Bytes(32), {}, {}}})),
        key_has_other_use);
}

TEST_F(MinterRig, NoLeafIsDrawnUpOverEvidenceOfAnotherPolicy) {
    until([this] { return minter->is_ready(); });
    const Spki key = crypto::P256PrivateKey::generate().public_key().spki();
    ASSERT_TRUE(std::holds_alternative<Evidence>(raw(Attest{key})));
    file.platform.policy.drain_time_s = 7;
    ASSERT_TRUE(minter->reload());
    EXPECT_EQ(code_of(raw(DraftLeaf{"vm.example.test", disk->generation, {}, key, {}})),
              key_has_other_use);
}

TEST_F(MinterRig, APeerThatAsksTooOftenIsRefusedAndOthersAreNot) {
    until([this] { return minter->is_ready(); });
    const Spki key = crypto::P256PrivateKey::generate().public_key().spki();
    auto ask = [&](int peer) {
        ByteArray<16> address{};
        address[15] = static_cast<std::byte>(peer);
        return raw(DraftLeaf{
            "vm.example.test", disk->generation, {}, key, Challenge{Bytes(32), {}, address}});
    };
    int granted = 0;
    MintReply last = ask(1);
    for (; std::holds_alternative<Draft>(last) && granted < 1000; ++granted) last = ask(1);
    EXPECT_EQ(code_of(last), runtime::mint_rate);
    EXPECT_GE(granted, 32);
    EXPECT_TRUE(std::holds_alternative<Draft>(ask(2)));
}

TEST_F(MinterRig, WithoutEvidenceNothingIsServed) {
    tee.set_failure(kernel_refused);
    begin_anew({});
    until([this] { return tee.asked().size() >= 2; });
    EXPECT_EQ(code_of(raw(Attest{crypto::P256PrivateKey::generate().public_key().spki()})),
              runtime::wrong_stage);
    EXPECT_EQ(code_of(raw(ReadTree{})), runtime::wrong_stage);
}

TEST_F(MinterRig, TreesAreTheOnesWhoseRootsAreServed) {
    connect();
    until_published();
    auto text = wait<std::string>([&](auto done) {
        client->read_tree({config_tree::Scope::Kind::kPolicy, ""}, std::move(done));
    });
    ASSERT_TRUE(text);
    auto tree = config_tree::parse_manifest(as_bytes(*text));
    ASSERT_TRUE(tree) << tree.error().message();
    EXPECT_EQ(tree->root(), served().policy_root);
    auto unknown = wait<std::string>([&](auto done) {
        client->read_tree({config_tree::Scope::Kind::kWorkload, "none"}, std::move(done));
    });
    EXPECT_EQ(unknown.error().code(), unknown_name);
}

// --- the socket ---

os::UniqueFd dial(const fs::path& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.c_str(), path.string().size());
    os::UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    return fd;
}

TEST_F(MinterRig, WhoReadsTreesLeavesRoomForLeaves) {
    connect();
    until_published();
    std::size_t answered = 0, refused = 0;
    for (int i = 0; i < 100; ++i) {
        client->read_tree({config_tree::Scope::Kind::kPolicy, ""}, [&](Result<std::string> text) {
            ++answered;
            if (!text && text.error().code() == runtime::mint_busy) ++refused;
        });
    }
    EXPECT_EQ(refused, 68u);
    EXPECT_TRUE(leaf(challenge("shop.example.test")));
    until([&] { return answered == 100; });
    EXPECT_EQ(refused, 68u);
    EXPECT_TRUE(wait<std::string>([&](auto done) {
        client->read_tree({config_tree::Scope::Kind::kPolicy, ""}, std::move(done));
    }));
}

TEST_F(MinterRig, WhoAsksForAChallengeLeavesRoomForLeaves) {
    connect();
    until_published();
    constexpr std::size_t kAsked = kMaxMintRequests + 1;
    std::size_t answered = 0;
    std::set<ByteArray<32>> challenges;
    for (std::size_t i = 0; i < kAsked; ++i) {
        client->open_challenge([&](Result<OpenChallenge> opened) {
            ++answered;
            if (opened) challenges.insert(opened->challenge);
        });
    }
    EXPECT_TRUE(leaf(challenge("shop.example.test")));
    until([&] { return answered == kAsked; });
    EXPECT_EQ(challenges.size(), 1u);
}

TEST_F(MinterRig, WhoClaimsAMachineLeavesRoomForLeaves) {
    connect();
    until_published();
    std::size_t answered = 0, refused = 0;
    for (int i = 0; i < 100; ++i) {
        client->owner_request({owner::Purpose::kProvision, {}, std::string(1000, 'x')},
                              [&](const Result<std::optional<CaRequest>>& made) {
                                  ++answered;
                                  if (made.error().code() == runtime::mint_busy) ++refused;
                              });
    }
    EXPECT_EQ(refused, 92u);
    until([&] { return answered == 100; });
    EXPECT_EQ(refused, 92u);
}

TEST_F(MinterRig, ATreeIsAskedForOnceUntilAnotherStateIsServed) {
    connect();
    until_published();
    const auto read = [&] {
        return wait<std::string>([&](auto done) {
            client->read_tree({config_tree::Scope::Kind::kPolicy, ""}, std::move(done));
        });
    };
    const Result<std::string> before = read();
    ASSERT_TRUE(before);
    std::size_t answered = 0;
    for (int i = 0; i < 1000; ++i) {
        client->read_tree({config_tree::Scope::Kind::kPolicy, ""}, [&](Result<std::string> text) {
            if (text && *text == *before) ++answered;
        });
    }
    EXPECT_EQ(answered, 1000u) << "no turn of the loop, so nobody else was asked";

    file.platform.policy.drain_time_s = 5;
    ASSERT_TRUE(wait<void>([&](auto done) { client->reload(std::move(done)); }));
    const Result<std::string> after = read();
    ASSERT_TRUE(after);
    const auto tree = config_tree::parse_manifest(as_bytes(*after));
    ASSERT_TRUE(tree);
    EXPECT_EQ(tree->root(), served().policy_root);
    EXPECT_NE(*after, *before);
}

TEST_F(MinterRig, ASecondProxyIsTurnedAwayAndTheFirstGoesOn) {
    connect();
    until_published();
    os::UniqueFd second = dial(path / "socket");
    char byte = 0;
    until([&] { return ::recv(second.get(), &byte, 1, 0) == 0; });
    EXPECT_TRUE(leaf(offer("")));
}

TEST_F(MinterRig, WhatIsNoProtocolEndsTheConnectionAndNothingElse) {
    const Bytes hello = encode(Numbered<MintRequest>{1, Hello{}});
    Bytes twice = hello;
    append(twice, hello);
    Bytes unknown = hello;
    unknown[4] = std::byte{99};
    for (const Bytes& bytes :
         {Bytes(64, std::byte{0xff}), encode(Numbered<MintRequest>{1, Reload{}}), twice, unknown,
          encode(Numbered<MintRequest>{0, Hello{}})}) {
        os::UniqueFd proxy = dial(path / "socket");
        ASSERT_EQ(::send(proxy.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
                  static_cast<ssize_t>(bytes.size()));
        std::array<char, 4096> buffer;
        until([&] { return ::recv(proxy.get(), buffer.data(), buffer.size(), 0) == 0; });
    }
    connect();
    until_published();
    EXPECT_TRUE(leaf(offer("")));
}

TEST_F(MinterRig, AClientComesBackWhenTheMinterDoes) {
    connect();
    until_published();
    EXPECT_EQ(client->statistics().is_connected.get(), 1U);
    EXPECT_EQ(client->statistics().unanswered.get(), 0U);
    server.reset();
    until([this] { return !client->is_connected(); });
    EXPECT_NE(client->state(), nullptr) << "what is served stays";
    EXPECT_EQ(client->statistics().is_connected.get(), 0U);
    auto made = MinterServer::listen(loop, log, path / "socket", ::getuid());
    ASSERT_TRUE(made);
    server = std::move(*made);
    server->set_minter(*minter);
    const std::size_t count = published.size();
    until([&] { return published.size() > count; });
    EXPECT_TRUE(leaf(offer("")));
}

TEST_F(MinterRig, AnotherUserIsNotHeard) {
    server.reset();
    auto made = MinterServer::listen(loop, log, path / "other", ::getuid() + 1);
    ASSERT_TRUE(made);
    server = std::move(*made);
    server->set_minter(*minter);
    os::UniqueFd stranger = dial(path / "other");
    char byte = 0;
    until([&] { return ::recv(stranger.get(), &byte, 1, 0) == 0; });
}

}  // namespace
}  // namespace eos::cvm
