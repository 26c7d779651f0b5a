// SPDX-License-Identifier: AGPL-3.0-only
// Minter, server and the proxy's client together, over a real socket, on one loop; only hardware
// and time are not real.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <optional>

#include "common/base/encoding.h"
#include "common/crypto/random.h"
#include "common/x509/builder.h"
#include "common/x509/pem.h"
#include "common/x509/request.h"
#include "trusted/os/system_clock.h"
#include "trusted/virtual/mint_protocol/mint_client.h"
#include "trusted/virtual/minter/server.h"

namespace eos::cvm::testing {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

/// Stands for the VM's TEE: gives the report data back and remembers what it was asked for.
class FakeTee final : public TeeEvidence {
  public:
    TeeKind kind() const override { return TeeKind::kTdx; }
    Result<FreshEvidence> evidence(const ratls::ReportData& report_data, Deadline) override {
        std::unique_lock lock(mutex_);
        asked_.push_back(report_data);
        changed_.wait(lock, [this] { return !holds_; });
        if (failure_) return fail(*failure_);
        return FreshEvidence{TeeKind::kTdx, to_bytes(report_data.bytes()), Assurance::kDebug};
    }
    std::vector<ratls::ReportData> asked() const {
        std::scoped_lock lock(mutex_);
        return asked_;
    }
    /// From now on it fails so, until clear_failure().
    void set_failure(const Code& failure) {
        std::scoped_lock lock(mutex_);
        failure_.emplace(failure);
    }
    void clear_failure() {
        std::scoped_lock lock(mutex_);
        failure_.reset();
    }
    /// Whoever asks waits for release().
    void hold() {
        std::scoped_lock lock(mutex_);
        holds_ = true;
    }
    void release() {
        {
            std::scoped_lock lock(mutex_);
            holds_ = false;
        }
        changed_.notify_all();
    }

  private:
    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<ratls::ReportData> asked_;
    std::optional<Code> failure_;
    bool holds_ = false;
};

/// What the programs use.
class TestRandom final : public runtime::Random {
  public:
    void fill(MutableByteView out) override { crypto::fill_random(out); }
};

/// The system's, which tests set ahead.
class TestClock final : public runtime::Clock {
  public:
    UnixTime now() const override { return real_.now() + ahead_s; }
    std::uint64_t monotonic_ms() const override {
        return is_frozen ? frozen_ms : real_.monotonic_ms() + later_ms;
    }
    /// Time passes, on both.
    void pass(std::int64_t seconds) {
        ahead_s += seconds;
        later_ms += static_cast<std::uint64_t>(seconds) * 1000;
        frozen_ms += static_cast<std::uint64_t>(seconds) * 1000;
    }
    void freeze() {
        frozen_ms = monotonic_ms();
        is_frozen = true;
    }

    std::int64_t ahead_s = 0;
    std::uint64_t later_ms = 0;
    std::uint64_t frozen_ms = 0;
    bool is_frozen = false;

  private:
    os::SystemClock real_;
};

inline Config config() {
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

inline ratls::HandshakeOffer offer(std::string name) {
    ratls::HandshakeOffer out;
    out.server_name = std::move(name);
    return out;
}

/// One minter, its server, and the client of one proxy.
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
        tee.release();
        client.reset();
        server.reset();
        quotes.reset();
        fs::remove_all(path);
    }

    void begin(std::optional<MinterState> stored) {
        minter.emplace(Minter::Parts{
            clock, random, *quotes, log, version, [this] { return Result<Config>(file); },
            [this](const MinterState& state) -> Result<void> {
                if (disk_is_full) return fail(state_not_written);
                disk.emplace(state.duplicate());
                return {};
            },
            [this](const crypto::Digest32& policy_root, PolicyChange why) -> Result<void> {
                if (register_fails) return fail(register_unavailable);
                measured.push_back(policy_root);
                measured_for.push_back(why);
                return {};
            },
            [] { return std::string("[]"); }, [this](const State& state) { server->push(state); }});
        server->set_minter(*minter);
        ASSERT_TRUE(minter->start(std::move(stored)));
    }

    void connect() {
        client.emplace(MintClient::Parts{
            loop, clock, log, path / "socket", minter_user,
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

    /// What the owner signs in answer to the challenge that is open.
    OwnerRequest signed_request(owner::Purpose purpose, const json::Value& request) {
        return signed_request(purpose, request, owner_key);
    }
    OwnerRequest signed_request(owner::Purpose purpose, const json::Value& request,
                                const crypto::P256PrivateKey& key) {
        const auto open = std::get<OpenChallenge>(raw(AskChallenge{}));
        return {purpose, key.public_key().spki(),
                owner::sign({purpose, disk->instance_id, open.challenge}, request, key)};
    }
    json::Value csr_step() const { return {{"step", "request-csr"}, {"nonce", base64(nonce)}}; }
    static json::Value chain_step(const std::string& chain) {
        return {{"step", "complete"}, {"ca_chain", chain}};
    }
    static json::Value time_step(UnixTime time) { return {{"time", rfc3339(time)}}; }
    /// Of a claim: the step with what proves the token that is `given`.
    json::Value claim(json::Value step, const std::string& given,
                      const std::string& name = "vm.example.test") {
        const Bytes bytes = from_hex(given).value();
        step["token"] = hex(owner::token_proof(bytes, disk->instance_id, owner));
        if (step["step"] == "request-csr") step["platform_name"] = name;
        return step;
    }

    using Made = std::optional<CaRequest>;
    /// By way of the proxy's client.
    Result<Made> as_owner(owner::Purpose purpose, const json::Value& request) {
        return wait<Made>([&](auto done) {
            client->owner_request(signed_request(purpose, request), std::move(done));
        });
    }
    Result<void> reload() {
        return wait<void>([&](auto done) { client->reload(std::move(done)); });
    }

    /// Log lines go to standard error: what the minter logs is read there.
    void provision() {
        using owner::Purpose;
        const std::string given = token();
        const auto request = as_owner(Purpose::kProvision, claim(csr_step(), given));
        ASSERT_TRUE(request) << request.error().message();
        const Bytes& csr = (*request)->csr;
        EXPECT_EQ((*request)->evidence,
                  to_bytes(ratls::ReportData::ca_csr({csr, nonce, owner}).bytes()));
        const auto owned = as_owner(Purpose::kProvision, claim(chain_step(sign_ca(csr)), given));
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
    TestClock clock;
    TestRandom random;
    FakeTee tee;
    Config file = config();
    uid_t minter_user = ::getuid();
    std::optional<MinterState> disk;
    bool disk_is_full = false;
    std::vector<crypto::Digest32> measured;
    std::vector<PolicyChange> measured_for;
    bool register_fails = false;
    std::string version = "test 1";
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
    crypto::P256PrivateKey owner_key = crypto::P256PrivateKey::generate();
    crypto::Digest32 owner = owner_key.public_key().spki_hash();
};

}  // namespace eos::cvm::testing
