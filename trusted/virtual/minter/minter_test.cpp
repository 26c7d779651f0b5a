// SPDX-License-Identifier: AGPL-3.0-only
// Minter, server and the proxy's client together, over a real socket, on one loop; only the
// hardware is not there.
#include "trusted/virtual/minter/minter.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <mutex>

#include "common/base/codec.h"
#include "common/base/encoding.h"
#include "common/config_tree/manifest.h"
#include "common/crypto/random.h"
#include "common/oid/registry.h"
#include "common/x509/builder.h"
#include "common/x509/pem.h"
#include "common/x509/request.h"
#include "trusted/os/system_clock.h"
#include "trusted/virtual/mint_protocol/mint_client.h"
#include "trusted/virtual/minter/server.h"

namespace eos::cvm {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

/// Stands for the VM's TEE: gives the report data back and remembers what it was asked for.
class FakeTee final : public TeeEvidence {
  public:
    TeeKind kind() const override { return TeeKind::kTdx; }
    Result<FreshEvidence> evidence(const ratls::ReportData& report_data, Deadline) override {
        std::scoped_lock lock(mutex_);
        asked_.push_back(report_data);
        if (fails_) return fail(kernel_refused);
        return FreshEvidence{TeeKind::kTdx, to_bytes(report_data.bytes()), Assurance::kDebug};
    }
    std::vector<ratls::ReportData> asked() const {
        std::scoped_lock lock(mutex_);
        return asked_;
    }
    void set_failing(bool fails) {
        std::scoped_lock lock(mutex_);
        fails_ = fails;
    }

  private:
    mutable std::mutex mutex_;
    std::vector<ratls::ReportData> asked_;
    bool fails_ = false;
};

class TestRandom final : public runtime::Random {
  public:
    void fill(MutableByteView out) override { crypto::fill_random(out); }
};

Config config() {
    Config out;
    out.version = 1;
    out.platform.name = "vm.example.test";
    out.platform.listen.push_back({.address = "0.0.0.0:443"});
    RouteConfig shop;
    shop.name = "shop";
    shop.hostname = "shop.example.test";
    shop.upstream.tcp = "127.0.0.1:8080";
    out.routes = {shop};
    return out;
}

ratls::HandshakeOffer offer(std::string name) {
    ratls::HandshakeOffer out;
    out.server_name = std::move(name);
    return out;
}

class MinterRig : public ::testing::Test {
  protected:
    void SetUp() override {
        std::string pattern = fs::temp_directory_path() / "minter-rig-XXXXXX";
        ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
        path = pattern;
        auto made = MinterServer::listen(loop, log, path / "socket", ::getuid());
        ASSERT_TRUE(made) << made.error().message();
        server = std::move(*made);
        begin({});
    }
    void TearDown() override {
        client.reset();
        server.reset();
        quotes.reset();
        fs::remove_all(path);
    }

    void begin(std::optional<MinterState> stored) {
        minter.emplace(Minter::Parts{
            clock, random, *quotes, log, "test 1", [this] { return Result<Config>(file); },
            [this](const MinterState& state) -> Result<void> {
                if (disk_is_full) return fail(state_not_written);
                disk.emplace(state.duplicate());
                return {};
            },
            [this](const crypto::Digest32& policy_root) -> Result<void> {
                measured.push_back(policy_root);
                return {};
            },
            [] { return std::string("[]"); }, [this](const State& state) { server->push(state); }});
        server->set_minter(*minter);
        ASSERT_TRUE(minter->start(std::move(stored)));
    }

    void connect() {
        client.emplace(MintClient::Parts{
            loop, clock, log, path / "socket",
            [this](MintedStatePtr state) { published.push_back(std::move(state)); }});
        client->start();
    }

    void until(const std::function<bool()>& done) {
        const auto end = std::chrono::steady_clock::now() + 10s;
        while (!done() && std::chrono::steady_clock::now() < end) {
            loop.turn(10);
            if (minter) minter->turn();
            if (client) client->turn();
        }
        ASSERT_TRUE(done());
    }
    void until_published(std::size_t count = 1) {
        until([this, count] { return published.size() >= count; });
    }

    template <typename T>
    Result<T> wait(const std::function<void(runtime::Done<T>)>& ask) {
        std::optional<Result<T>> out;
        ask([&out](Result<T> result) { out.emplace(std::move(result)); });
        until([&out] { return out.has_value(); });
        return out ? std::move(*out) : Result<T>(fail(minter_slow));
    }

    const runtime::Served& served() { return *client->state()->served; }

    Result<runtime::CredentialPtr> leaf(const ratls::HandshakeOffer& wanted) {
        return wait<runtime::CredentialPtr>(
            [&](auto done) { client->leaf(client->state()->served, wanted, {}, std::move(done)); });
    }
    ratls::HandshakeOffer challenge(const std::string& name) {
        ratls::HandshakeOffer out = offer(name);
        out.nonce = Bytes(32, std::byte{9});
        out.binder = crypto::random_array<32>();
        return out;
    }

    MintReply raw(MintRequest request) {
        std::optional<MintReply> out;
        minter->handle(std::move(request), [&out](MintReply reply) { out = std::move(reply); });
        until([&out] { return out.has_value(); });
        return std::move(*out);
    }
    Code code_of(const MintReply& reply) {
        const auto* failed = std::get_if<Failed>(&reply);
        EXPECT_NE(failed, nullptr);
        return failed == nullptr ? minter_failed : to_error(*failed).code();
    }

    std::string token() const {
        const std::size_t at = logged.find("\"token\":\"");
        return at == std::string::npos ? "" : logged.substr(at + 9, 32);
    }

    std::string sign_ca(ByteView csr, std::string permitted = "example.test") {
        const UnixTime now = clock.now();
        x509::NameConstraints constraints;
        constraints.permitted_dns = {std::move(permitted)};
        x509::Certificate ca = *x509::make_intermediate_ca(
            {.subject = *x509::DistinguishedName::common_name("Enclave CA"),
             .validity = {now - 100, now + 80 * kSecondsPerDay},
             .path_length = 0,
             .name_constraints = constraints,
             .more_extensions = {}},
            *x509::CertificateRequest::parse(csr)->p256_key(), root, root_key);
        return x509::encode_pem("CERTIFICATE", ca.der());
    }

    /// Log lines go to standard error: what the minter logs is read there.
    void provision() {
        const std::string given = token();
        auto request = wait<CaRequest>([&](auto done) {
            client->request_ca({given, "vm.example.test", nonce, owner}, std::move(done));
        });
        ASSERT_TRUE(request) << request.error().message();
        EXPECT_EQ(request->evidence,
                  to_bytes(ratls::ReportData::ca_csr({request->csr, nonce, owner}).bytes()));
        auto owned = wait<void>([&](auto done) {
            client->change(CompleteProvisioning{given, owner, sign_ca(request->csr)},
                           std::move(done));
        });
        ASSERT_TRUE(owned) << owned.error().message();
    }

    /// Catches what is logged while the minter starts.
    void begin_anew(std::optional<MinterState> stored) {
        ::testing::internal::CaptureStderr();
        begin(std::move(stored));
        logged = ::testing::internal::GetCapturedStderr();
    }

    fs::path path;
    os::EventLoop loop;
    os::Log log{os::LogFormat::json};
    os::SystemClock clock;
    TestRandom random;
    FakeTee tee;
    Config file = config();
    std::optional<MinterState> disk;
    bool disk_is_full = false;
    std::vector<crypto::Digest32> measured;
    std::string logged;
    std::unique_ptr<MinterServer> server;
    std::optional<QuoteQueue> quotes{std::in_place, loop, tee};
    std::optional<Minter> minter;
    std::optional<MintClient> client;
    std::vector<MintedStatePtr> published;

    crypto::P256PrivateKey root_key = crypto::P256PrivateKey::generate();
    x509::Certificate root =
        *x509::make_root_ca({.subject = *x509::DistinguishedName::common_name("Root"),
                             .validity = {clock.now() - 1000, clock.now() + 1000 * kSecondsPerDay},
                             .path_length = 1,
                             .name_constraints = std::nullopt,
                             .more_extensions = {}},
                            root_key);
    ByteArray<32> nonce = crypto::random_array<32>();
    crypto::Digest32 owner = crypto::random_array<32>();
};

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
    ASSERT_TRUE(wait<void>([&](auto done) { client->change(Reload{}, std::move(done)); }));
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
    ASSERT_TRUE(wait<void>([&](auto done) { client->change(Reload{}, std::move(done)); }));
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
    EXPECT_EQ(code_of(*platform), state_changed) << "its tree has changed";
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
    ASSERT_TRUE(wait<void>([&](auto done) { client->change(Reload{}, std::move(done)); }));
    auto ask = [&](const ratls::HandshakeOffer& wanted) {
        return wait<runtime::CredentialPtr>(
            [&](auto done) { client->leaf(before, wanted, {}, std::move(done)); });
    };
    EXPECT_TRUE(ask(offer("shop.example.test")));
    EXPECT_TRUE(ask(challenge("shop.example.test")));
    EXPECT_EQ(ask(challenge("")).error().code(), state_changed);
}

TEST_F(MinterRig, WhatCannotBeStoredIsNotServed) {
    connect();
    until_published();
    const crypto::Digest32 old_root = served().policy_root;
    file.platform.policy.drain_time_s = 5;
    disk_is_full = true;
    auto outcome = wait<void>([&](auto done) { client->change(Reload{}, std::move(done)); });
    ASSERT_FALSE(outcome);
    EXPECT_EQ(client->state()->config.platform.policy.drain_time_s, 30u);
    EXPECT_EQ(measured.back(), old_root) << "the last that was measured is the one served";
    disk_is_full = false;
    EXPECT_TRUE(wait<void>([&](auto done) { client->change(Reload{}, std::move(done)); }));
    EXPECT_NE(served().policy_root, old_root);
}

TEST_F(MinterRig, AnOwnedMachineIsNotRenamedAndServesOnlyWhatItsCaPermits) {
    begin_anew({});
    connect();
    until_published();
    provision();
    file.routes[0].hostname = "shop.other.test";
    auto outcome = wait<void>([&](auto done) { client->change(Reload{}, std::move(done)); });
    EXPECT_EQ(outcome.error().code(), runtime::name_not_permitted);
    file = config();
    file.platform.name = "vm2.example.test";
    outcome = wait<void>([&](auto done) { client->change(Reload{}, std::move(done)); });
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
    begin_anew({});
    until([this] { return minter->is_ready(); });
    const std::string given = token();
    ASSERT_EQ(given.size(), 32u);
    auto ask = [&](const std::string& with, const std::string& name) {
        return raw(RequestCa{with, name, nonce, owner});
    };
    EXPECT_EQ(code_of(ask(std::string(32, '0'), "vm.example.test")), runtime::wrong_token);
    EXPECT_EQ(code_of(ask(given, "other.example.test")), runtime::bad_ca);
    EXPECT_EQ(code_of(raw(CompleteProvisioning{given, owner, "x"})), runtime::no_pending_request);
    EXPECT_EQ(code_of(raw(RequestCaRotation{nonce})), runtime::wrong_stage);
    auto request = std::get<CaRequest>(ask(given, "vm.example.test"));
    EXPECT_EQ(code_of(raw(CompleteProvisioning{given, crypto::random_array<32>(), "x"})),
              runtime::no_pending_request);
    EXPECT_EQ(code_of(raw(CompleteProvisioning{given, owner, sign_ca(request.csr, "other.test")})),
              runtime::name_not_permitted);
    EXPECT_TRUE(std::holds_alternative<Done>(
        raw(CompleteProvisioning{given, owner, sign_ca(request.csr)})));
    EXPECT_EQ(code_of(ask(given, "vm.example.test")), runtime::wrong_stage) << "once";
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
    raw(RequestCa{token(), "vm.example.test", to_array<32>(ByteView(chosen).first(32)),
                  to_array<32>(ByteView(chosen).first(32))});
    const auto asked = tee.asked();
    // Two starts, Attest, nonces of 16 to 64 bytes but not 17, AttestChannel, RequestCa.
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
              state_changed);
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
    tee.set_failing(true);
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
    server.reset();
    until([this] { return !client->is_connected(); });
    EXPECT_NE(client->state(), nullptr) << "what is served stays";
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
