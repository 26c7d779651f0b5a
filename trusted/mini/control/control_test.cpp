// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/mini/control/control.h"

#include <gtest/gtest.h>

#include <optional>

#include "common/base/codec.h"
#include "common/base/encoding.h"
#include "common/crypto/random.h"
#include "common/x509/builder.h"
#include "common/x509/pem.h"
#include "common/x509/request.h"
#include "trusted/runtime/testing.h"

namespace eos::mini {
namespace {

inline constexpr Code quoting_down{"test", "quoting_down", "no quotes today"};
constexpr UnixTime kNow{1'788'516'900};
constexpr const char* kPlatform = "mini.example.test";

class FakeClock : public runtime::Clock {
  public:
    UnixTime now() const override { return time; }
    std::uint64_t monotonic_ms() const override { return ms; }
    UnixTime time = kNow;
    std::uint64_t ms = 1000;
};

class TestRandom : public runtime::Random {
  public:
    void fill(MutableByteView out) override { crypto::fill_random(out); }
};

class FakeEvidence : public runtime::EvidenceSource {
  public:
    void request(const ratls::ReportData& report_data, runtime::Done<Bytes> done) override {
        asked.push_back(report_data);
        if (is_down) return done(fail(quoting_down));
        done(Bytes(100, std::byte{7}));
    }
    std::vector<ratls::ReportData> asked;
    bool is_down = false;
};

// The operator's side: a root that signs what it is told to.
struct Operator {
    crypto::P256PrivateKey root_key = crypto::P256PrivateKey::generate();
    x509::Certificate root =
        *x509::make_root_ca({.subject = *x509::DistinguishedName::common_name("Root"),
                             .validity = {kNow - 3 * kSecondsPerDay, kNow + 1000 * kSecondsPerDay},
                             .path_length = 1,
                             .name_constraints = std::nullopt,
                             .more_extensions = {}},
                            root_key);
    crypto::P256PublicKey owner = crypto::P256PrivateKey::generate().public_key();

    struct Ca {
        std::optional<std::uint32_t> path_length = 0;
        std::vector<std::string> permitted = {"example.test"};
        std::int64_t days = 90;
    };
    std::string sign(const crypto::P256PublicKey& key, const Ca& ca) const {
        x509::NameConstraints constraints;
        constraints.permitted_dns = ca.permitted;
        std::optional<x509::NameConstraints> names;
        if (!ca.permitted.empty()) names = constraints;
        x509::Certificate made = *x509::make_intermediate_ca(
            {.subject = *x509::DistinguishedName::common_name("Enclave CA"),
             .validity = {kNow - 2 * kSecondsPerDay, kNow + ca.days * kSecondsPerDay},
             .path_length = ca.path_length,
             .name_constraints = names,
             .more_extensions = {}},
            key, root, root_key);
        return x509::encode_pem("CERTIFICATE", made.der()) +
               x509::encode_pem("CERTIFICATE", root.der());
    }
};

class ControlTest : public ::testing::Test {
  protected:
    std::unique_ptr<Control> make() {
        ProgramFacts facts;
        facts.version = "test 1";
        facts.assurance = "process";
        facts.build = {"engine", "flags"};
        return std::make_unique<Control>(Control::Parts{
            .blobs = blobs,
            .keys = keys,
            .random = random,
            .evidence = evidence,
            .clock = clock,
            .facts = facts,
            .publish =
                [this](SnapshotPtr snapshot, std::move_only_function<void()> done) {
                    published.push_back(std::move(snapshot));
                    done();
                },
            .log =
                [this](boundary::LogCode code, std::initializer_list<std::uint64_t> numbers) {
                    if (code == boundary::LogCode::kProvisioningToken) {
                        token = hex(
                            std::move(Writer().u64be(numbers.begin()[0]).u64be(numbers.begin()[1]))
                                .take());
                    }
                    logged.push_back(code);
                },
            .stop = [this](boundary::Exit::Why why) { stopped = why; }});
    }
    void start() {
        control = make();
        control->start();
    }
    // Both steps; the CSR's key is what the operator signs.
    Result<SnapshotPtr> provision(const Operator::Ca& ca) {
        Result<CaRequest> request = ask_for_ca();
        if (!request) return fail(std::move(request).error());
        crypto::P256PublicKey key = *x509::CertificateRequest::parse(request->csr)->p256_key();
        return complete(op.sign(key, ca));
    }
    Result<CaRequest> ask_for_ca() {
        std::optional<Result<CaRequest>> out;
        control->request_ca({token, kPlatform, ByteArray<32>{}, op.owner.spki_hash()},
                            [&](Result<CaRequest> r) { out = std::move(r); });
        return std::move(*out);
    }
    Result<SnapshotPtr> complete(const std::string& chain) {
        std::optional<Result<SnapshotPtr>> out;
        control->complete_provisioning(token, op.owner.spki_hash(), chain,
                                       [&](Result<SnapshotPtr> r) { out = std::move(r); });
        return std::move(*out);
    }
    Result<SnapshotPtr> load(const std::string& name, const std::string& code) {
        std::optional<Result<SnapshotPtr>> out;
        Control::Change change;
        change.modules.emplace(name, SecretBytes(to_bytes(code)));
        change.edit = [name, code](runtime::PlatformState& state) -> Result<void> {
            runtime::App app;
            app.hostname = name + ".example.test";
            app.code_digest = crypto::sha256(as_bytes(code));
            app.module_bytes = static_cast<std::uint32_t>(code.size());
            app.loaded_at = kNow;
            state.apps.insert_or_assign(name, std::move(app));
            return {};
        };
        control->change(std::move(change), [&](Result<SnapshotPtr> r) { out = std::move(r); });
        return std::move(*out);
    }

    runtime::testing::MemoryBlobStore blobs;
    runtime::testing::FakeSealingKeys keys;
    TestRandom random;
    FakeEvidence evidence;
    FakeClock clock;
    Operator op;
    std::vector<SnapshotPtr> published;
    std::vector<boundary::LogCode> logged;
    std::optional<boundary::Exit::Why> stopped;
    std::string token;
    std::unique_ptr<Control> control;
};

TEST_F(ControlTest, StartsWithoutOwnerAndServesOneLeaf) {
    start();
    ASSERT_EQ(published.size(), 1u);
    EXPECT_EQ(published[0]->stage, Stage::kUnowned);
    EXPECT_EQ(published[0]->served->names.size(), 1u);
    EXPECT_EQ(published[0]->served->issuer, nullptr);
    EXPECT_EQ(token.size(), 32u);
}

TEST_F(ControlTest, ProvisioningBindsTheRequestToOwnerAndNonce) {
    start();
    Result<CaRequest> request = ask_for_ca();
    ASSERT_TRUE(request.has_value());
    EXPECT_EQ(evidence.asked.back(),
              ratls::ReportData::ca_csr({request->csr, ByteArray<32>{}, op.owner.spki_hash()}));
}

TEST_F(ControlTest, ProvisionedItHasItsNameAndCa) {
    start();
    Result<SnapshotPtr> owned = provision({});
    ASSERT_TRUE(owned.has_value()) << owned.error().message();
    EXPECT_EQ((*owned)->stage, Stage::kOwned);
    EXPECT_EQ((*owned)->generation, 1u);
    EXPECT_NE((*owned)->served->find(kPlatform), nullptr);
    EXPECT_EQ((*owned)->served->issuer->chain.size(), 1u) << "the root is not sent";
}

TEST_F(ControlTest, ThereIsNoSecondFirstRun) {
    start();
    ASSERT_TRUE(provision({}).has_value());
    EXPECT_EQ(ask_for_ca().error().code(), wrong_stage);
    EXPECT_EQ(complete("").error().code(), wrong_stage);
}

TEST_F(ControlTest, AWrongTokenGetsNothing) {
    start();
    token = std::string(32, '0');
    EXPECT_EQ(ask_for_ca().error().code(), wrong_token);
    EXPECT_EQ(complete("").error().code(), wrong_token);
    EXPECT_EQ(evidence.asked.size(), 1u) << "only the first leaf's quote was asked for";
}

TEST_F(ControlTest, OnlyTheOwnerWhoAskedCanComplete) {
    start();
    Result<CaRequest> request = ask_for_ca();
    crypto::P256PublicKey key = *x509::CertificateRequest::parse(request->csr)->p256_key();
    op.owner = crypto::P256PrivateKey::generate().public_key();
    EXPECT_EQ(complete(op.sign(key, {})).error().code(), no_pending_request);
}

TEST_F(ControlTest, CaCertificatesThatPromiseTooMuchAreRefused) {
    start();
    EXPECT_EQ(provision({.path_length = std::nullopt}).error().code(), bad_ca);
    EXPECT_EQ(provision({.path_length = 1}).error().code(), bad_ca);
    EXPECT_EQ(provision({.permitted = {}}).error().code(), bad_ca);
    EXPECT_EQ(provision({.permitted = {"other.test"}}).error().code(), name_not_permitted);
    EXPECT_EQ(provision({.days = 92}).error().code(), bad_ca);
    EXPECT_EQ(provision({.days = -1}).error().code(), bad_ca);
    EXPECT_EQ(control->snapshot()->stage, Stage::kUnowned);
    EXPECT_TRUE(provision({}).has_value());
}

TEST_F(ControlTest, ACertificateForAnotherKeyIsRefused) {
    start();
    ASSERT_TRUE(ask_for_ca().has_value());
    std::string chain = op.sign(crypto::P256PrivateKey::generate().public_key(), {});
    EXPECT_EQ(complete(chain).error().code(), bad_ca);
}

TEST_F(ControlTest, AChangedAppGetsANewKeyAndUnchangedNamesKeepTheirs) {
    start();
    ASSERT_TRUE(provision({}).has_value());
    ASSERT_TRUE(load("one", "code 1").has_value());
    SnapshotPtr before = *load("two", "code 2");
    SnapshotPtr after = *load("one", "code 3");
    auto epoch = [](const SnapshotPtr& s, const char* name) {
        return s->served->find(name)->epoch;
    };
    EXPECT_NE(epoch(before, "one.example.test"), epoch(after, "one.example.test"));
    EXPECT_EQ(epoch(before, "two.example.test"), epoch(after, "two.example.test"));
    EXPECT_NE(before->served->find("one.example.test")->tag,
              after->served->find("one.example.test")->tag);
    EXPECT_EQ(before->served->find("two.example.test")->tag,
              after->served->find("two.example.test")->tag);
    // The platform's leaf says which workloads there are.
    EXPECT_NE(before->served->find(kPlatform)->tag, after->served->find(kPlatform)->tag);
}

TEST_F(ControlTest, WithoutAQuoteAChangeDoesNotHappen) {
    start();
    ASSERT_TRUE(provision({}).has_value());
    std::uint64_t generation = control->snapshot()->generation;
    evidence.is_down = true;
    EXPECT_EQ(load("one", "code").error().code(), quoting_down);
    EXPECT_EQ(control->snapshot()->generation, generation);
    EXPECT_TRUE(control->snapshot()->state->apps.empty());
    evidence.is_down = false;
    EXPECT_TRUE(load("one", "code").has_value());
}

TEST_F(ControlTest, AFailedWriteLeavesTheOldStateInForce) {
    start();
    ASSERT_TRUE(provision({}).has_value());
    blobs.fault_kind = runtime::testing::MemoryBlobStore::Fault::kNotApplied;
    blobs.writes_until_fault = 0;
    EXPECT_FALSE(load("one", "code").has_value());
    EXPECT_TRUE(control->snapshot()->state->apps.empty());
}

TEST_F(ControlTest, ARestartFindsOwnerCaAndApps) {
    start();
    ASSERT_TRUE(provision({}).has_value());
    SnapshotPtr before = *load("one", "code");
    start();
    SnapshotPtr after = published.back();
    EXPECT_EQ(after->stage, Stage::kOwned);
    EXPECT_EQ(after->generation, before->generation);
    EXPECT_EQ(after->instance_id, before->instance_id);
    EXPECT_EQ(after->policy_tree->root(), before->policy_tree->root());
    EXPECT_EQ(after->workload_trees.at("one")->root(), before->workload_trees.at("one")->root());
    EXPECT_TRUE(
        equal(after->modules.at(crypto::sha256(as_bytes("code")))->view(), as_bytes("code")));
}

TEST_F(ControlTest, DamagedStateIsNeverAFirstRun) {
    start();
    ASSERT_TRUE(provision({}).has_value());
    for (auto& [key, value] : blobs.blobs) value[value.size() / 2] ^= std::byte{1};
    std::size_t count = published.size();
    start();
    EXPECT_EQ(published.size(), count);
    EXPECT_EQ(stopped, boundary::Exit::Why::kStateRefused);
}

TEST_F(ControlTest, FactoryResetNeedsTheInstanceAndMakesANewOne) {
    start();
    ASSERT_TRUE(provision({}).has_value());
    ByteArray<16> instance = control->snapshot()->instance_id;
    std::optional<Result<void>> outcome;
    control->factory_reset(ByteArray<16>{}, [&](Result<void> r) { outcome = std::move(r); });
    EXPECT_EQ(outcome->error().code(), wrong_instance);
    control->factory_reset(instance, [&](Result<void> r) { outcome = std::move(r); });
    ASSERT_TRUE(outcome->has_value());
    EXPECT_EQ(control->snapshot()->stage, Stage::kUnowned);
    EXPECT_NE(control->snapshot()->instance_id, instance);
    EXPECT_TRUE(provision({}).has_value());
}

TEST_F(ControlTest, NoQuoteAtStartIsTriedAgain) {
    evidence.is_down = true;
    start();
    EXPECT_TRUE(published.empty());
    ASSERT_TRUE(control->next_deadline_ms().has_value());
    clock.ms = *control->next_deadline_ms();
    evidence.is_down = false;
    control->turn();
    ASSERT_EQ(published.size(), 1u);
    EXPECT_EQ(published[0]->stage, Stage::kUnowned);
}

TEST_F(ControlTest, QuotesAreRenewedWhenIdle) {
    start();
    auto first = published.back()->served->find("")->epoch;
    clock.time = kNow + runtime::kEpochRenewalSeconds + 60;
    clock.ms += static_cast<std::uint64_t>(runtime::kEpochRenewalSeconds + 60) * 1000;
    control->turn();
    EXPECT_NE(published.back()->served->find("")->epoch, first);
    // The same values: connections are not drained for a renewal.
    EXPECT_EQ(published.back()->served->find("")->tag, published.front()->served->find("")->tag);
}

TEST_F(ControlTest, RotationReplacesTheCaAndKeepsTheName) {
    start();
    ASSERT_TRUE(provision({}).has_value());
    Bytes before = control->snapshot()->served->issuer->chain.front();
    std::optional<Result<CaRequest>> request;
    control->request_ca_rotation(ByteArray<32>{},
                                 [&](Result<CaRequest> r) { request = std::move(r); });
    ASSERT_TRUE(request->has_value());
    crypto::P256PublicKey key = *x509::CertificateRequest::parse((*request)->csr)->p256_key();
    std::optional<Result<SnapshotPtr>> outcome;
    control->complete_ca_rotation(op.sign(key, {}),
                                  [&](Result<SnapshotPtr> r) { outcome = std::move(r); });
    ASSERT_TRUE(outcome->has_value()) << outcome->error().message();
    EXPECT_NE((**outcome)->served->issuer->chain.front(), before);
    EXPECT_NE((**outcome)->served->find(kPlatform), nullptr);
}

}  // namespace
}  // namespace eos::mini
