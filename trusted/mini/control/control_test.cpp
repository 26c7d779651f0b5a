// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/mini/control/control.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "trusted/mini/control/testing.h"

namespace eos::mini {
namespace {

using testing::kNow;
using testing::kPlatform;
using testing::Operator;
using testing::quoting_down;

class ControlTest : public ::testing::Test, protected testing::ControlRig {};

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
    EXPECT_EQ(provision({.path_length = std::nullopt}).error().code(), runtime::bad_ca);
    EXPECT_EQ(provision({.path_length = 1}).error().code(), runtime::bad_ca);
    EXPECT_EQ(provision({.permitted = {}}).error().code(), runtime::bad_ca);
    EXPECT_EQ(provision({.permitted = {"other.test"}}).error().code(), runtime::name_not_permitted);
    EXPECT_EQ(provision({.days = 92}).error().code(), runtime::bad_ca);
    EXPECT_EQ(provision({.days = -1}).error().code(), runtime::bad_ca);
    EXPECT_EQ(control->snapshot()->stage, Stage::kUnowned);
    EXPECT_TRUE(provision({}).has_value());
}

TEST_F(ControlTest, ACertificateForAnotherKeyIsRefused) {
    start();
    ASSERT_TRUE(ask_for_ca().has_value());
    std::string chain = op.sign(crypto::P256PrivateKey::generate().public_key(), {});
    EXPECT_EQ(complete(chain).error().code(), runtime::bad_ca);
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
    EXPECT_EQ(load("one", "code").error().code(), runtime::commit_failed);
    EXPECT_TRUE(control->snapshot()->state->apps.empty());
    EXPECT_TRUE(load("one", "code").has_value());
}

TEST_F(ControlTest, SeveralAppsAreOneChange) {
    start();
    ASSERT_TRUE(provision({}).has_value());
    std::uint64_t generation = control->snapshot()->generation;
    std::size_t published_before = published.size();
    std::size_t quotes_before = evidence.asked.size();
    Outcome out;
    begin(change_of({{"one", "code 1"}, {"two", "code 2"}, {"three", "code 1"}}), out);
    ASSERT_TRUE(out->has_value()) << out->error().message();
    EXPECT_EQ((**out)->generation, generation + 1);
    EXPECT_EQ((**out)->state->history.changes.size(), generation + 1);
    EXPECT_EQ(published.size(), published_before + 1);
    EXPECT_EQ(evidence.asked.size(), quotes_before + 1);
    start();
    EXPECT_EQ(published.back()->state->apps.size(), 3u);
    EXPECT_EQ(published.back()->modules.size(), 2u) << "two apps have the same code";
}

TEST_F(ControlTest, OfABatchThatCannotBeStoredNothingIsDone) {
    start();
    ASSERT_TRUE(provision({}).has_value());
    for (int writes = 0;; ++writes) {
        ASSERT_LT(writes, 100);
        blobs.fault_kind = runtime::testing::MemoryBlobStore::Fault::kNotApplied;
        blobs.writes_until_fault = writes;
        Outcome out;
        begin(change_of({{"one", "code 1"}, {"two", std::string(300'000, '2')}}), out);
        bool done = out->has_value();
        blobs.writes_until_fault = -1;
        start();
        ASSERT_EQ(control->snapshot()->state->apps.size(), done ? 2u : 0u) << writes;
        if (done) break;
    }
}

// Whether a module is new is decided when the change's turn comes, not when it is asked for.
TEST_F(ControlTest, TheSameLoadTwiceInARowIsNotInconsistent) {
    start();
    ASSERT_TRUE(provision({}).has_value());
    ASSERT_TRUE(load("one", "code 1").has_value());
    evidence.is_held = true;
    Outcome first, second, back;
    begin(change_of({{"one", "code 2"}}), first);
    begin(change_of({{"one", "code 2"}}), second);
    begin(change_of({{"one", "code 1"}}), back);
    evidence.release();
    for (const Outcome* out : {&first, &second, &back})
        ASSERT_TRUE(out->value().has_value()) << out->value().error().message();
    start();
    EXPECT_EQ(published.back()->state->apps.at("one").code_digest,
              crypto::sha256(as_bytes("code 1")));
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

TEST_F(ControlTest, StorageThatIsNotThereAtStartIsAskedAgain) {
    start();
    ASSERT_TRUE(provision({}).has_value());
    ASSERT_TRUE(load("hello", "code").has_value());
    published.clear();
    blobs.is_unavailable = true;
    start();
    EXPECT_EQ(logged.back(), boundary::LogCode::kStateUnavailable);
    control->turn();
    EXPECT_EQ(std::ranges::count(logged, boundary::LogCode::kStateUnavailable), 1) << "not yet due";
    clock.ms += kStorageRetryMs;
    control->turn();
    EXPECT_EQ(std::ranges::count(logged, boundary::LogCode::kStateUnavailable), 2);
    EXPECT_TRUE(published.empty());
    blobs.is_unavailable = false;
    clock.ms += kStorageRetryMs;
    control->turn();
    ASSERT_EQ(published.size(), 1u);
    EXPECT_EQ(published[0]->stage, Stage::kOwned);
    EXPECT_EQ(published[0]->modules.size(), 1u);
    EXPECT_FALSE(stopped.has_value());
}

TEST_F(ControlTest, AFirstStateThatCannotBeWrittenIsTriedAgain) {
    blobs.fault_kind = runtime::testing::MemoryBlobStore::Fault::kNotApplied;
    blobs.writes_until_fault = 0;
    start();
    EXPECT_EQ(logged.back(), boundary::LogCode::kStateUnavailable);
    clock.ms += kStorageRetryMs;
    control->turn();
    ASSERT_EQ(published.size(), 1u);
    EXPECT_EQ(published[0]->stage, Stage::kUnowned);
    EXPECT_FALSE(stopped.has_value());
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

TEST_F(ControlTest, WithoutAQuoteAFactoryResetDestroysNothing) {
    start();
    ASSERT_TRUE(provision({}).has_value());
    const SnapshotPtr before = control->snapshot();
    std::optional<Result<void>> outcome;
    evidence.is_down = true;
    control->factory_reset(before->instance_id, [&](Result<void> r) { outcome = std::move(r); });
    EXPECT_EQ(outcome->error().code(), quoting_down);
    EXPECT_EQ(control->snapshot(), before);
    evidence.is_down = false;
    EXPECT_TRUE(load("one", "code 1").has_value()) << "the state is there, and changes go on";
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

// The host may have been right: what was made before is still served, and nothing is made anew.
TEST_F(ControlTest, AJumpOfTimeStopsLeavesAndChangesUntilTheOwnerConfirms) {
    start();
    ASSERT_TRUE(provision({}).has_value());
    ASSERT_TRUE(load("one", "code").has_value());
    EXPECT_EQ(published.back()->time_trust, runtime::TimeTrust::kUnconfirmed);
    auto epoch = published.back()->served->find(kPlatform)->epoch;
    std::size_t quotes = evidence.asked.size();
    std::uint64_t generation = control->snapshot()->generation;

    clock.time = clock.time + 30 * 3600;
    control->turn();
    EXPECT_EQ(logged.back(), boundary::LogCode::kTimeJumped);
    EXPECT_EQ(published.back()->time_trust, runtime::TimeTrust::kJumped);
    EXPECT_EQ(published.back()->served->find(kPlatform)->epoch, epoch);
    EXPECT_EQ(control->next_deadline_ms(), std::nullopt) << "no renewal";
    clock.ms += 100 * 3600 * 1000;
    control->turn();
    EXPECT_EQ(load("two", "code 2").error().code(), runtime::time_jumped);
    EXPECT_EQ(evidence.asked.size(), quotes);
    EXPECT_EQ(control->snapshot()->generation, generation);

    Outcome out;
    auto take = [&out](Result<SnapshotPtr> r) { out = std::move(r); };
    control->confirm_time(clock.time - 30 * 3600, take);
    EXPECT_EQ(out->error().code(), runtime::time_disputed);
    control->confirm_time(clock.time, take);
    ASSERT_TRUE(out->has_value());
    EXPECT_EQ((**out)->time_trust, runtime::TimeTrust::kConfirmed);
    control->turn();
    EXPECT_NE(published.back()->served->find(kPlatform)->epoch, epoch) << "renewed at once";
    EXPECT_TRUE(load("two", "code 2").has_value());
}

// A change must not raise the sealed floor to a time that nobody has confirmed, even if nothing
// looked at the clock since it jumped.
TEST_F(ControlTest, AChangeRightAfterAJumpIsRefused) {
    start();
    ASSERT_TRUE(provision({}).has_value());
    UnixTime floor = control->snapshot()->state->time_floor;
    clock.time = clock.time + 26 * 3600;
    EXPECT_EQ(load("one", "code").error().code(), runtime::time_jumped);
    EXPECT_EQ(control->snapshot()->state->time_floor, floor);
}

TEST_F(ControlTest, WithoutAnOwnerAJumpIsAccepted) {
    start();
    std::size_t quotes = evidence.asked.size();
    clock.time = clock.time + 30 * 3600;
    control->turn();
    EXPECT_EQ(evidence.asked.size(), quotes + 1) << "renewed";
    std::optional<Result<SnapshotPtr>> out;
    control->confirm_time(clock.time, [&](Result<SnapshotPtr> r) { out = std::move(r); });
    EXPECT_EQ(out->error().code(), wrong_stage);
}

TEST_F(ControlTest, NoTimeBeforeTheSealedFloorIsBelieved) {
    start();
    ASSERT_TRUE(provision({}).has_value());
    clock.time = kNow + 3600;
    ASSERT_TRUE(load("one", "code").has_value());
    clock.time = kNow - 1000 * 3600;
    start();
    EXPECT_EQ(clock.time, kNow + 3600);
    EXPECT_NE(std::ranges::find(logged, boundary::LogCode::kTimeBehind), logged.end());
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
    control->complete_ca_rotation(control->snapshot()->instance_id, op.sign(key, {}),
                                  [&](Result<SnapshotPtr> r) { outcome = std::move(r); });
    ASSERT_TRUE(outcome->has_value()) << outcome->error().message();
    EXPECT_NE((**outcome)->served->issuer->chain.front(), before);
    EXPECT_NE((**outcome)->served->find(kPlatform), nullptr);
}

TEST_F(ControlTest, ACaRotationBehindAResetHasNothingToRotate) {
    start();
    ASSERT_TRUE(provision({}).has_value());
    std::optional<Result<CaRequest>> request;
    control->request_ca_rotation({}, [&](Result<CaRequest> r) { request = std::move(r); });
    crypto::P256PublicKey key = *x509::CertificateRequest::parse((*request)->csr)->p256_key();
    const ByteArray<16> instance = control->snapshot()->instance_id;
    evidence.is_held = true;
    std::optional<Result<void>> reset;
    control->factory_reset(instance, [&](Result<void> r) { reset = std::move(r); });
    Outcome rotated;
    control->complete_ca_rotation(instance, op.sign(key, {}),
                                  [&](Result<SnapshotPtr> r) { rotated = std::move(r); });
    evidence.release();
    ASSERT_TRUE(reset && reset->has_value() && rotated);
    ASSERT_FALSE(rotated->has_value());
    EXPECT_EQ(rotated->error().code(), wrong_instance);
    EXPECT_EQ(control->snapshot()->stage, Stage::kUnowned);
}

TEST_F(ControlTest, WhatAnEarlierOwnerBeganEndsWithTheReset) {
    start();
    ASSERT_TRUE(provision({}).has_value());
    Control::Change begun = change_of({{"one", "code"}});
    std::optional<Result<void>> reset;
    control->factory_reset(control->snapshot()->instance_id,
                           [&](Result<void> r) { reset = std::move(r); });
    ASSERT_TRUE(reset && reset->has_value());
    op.owner = crypto::P256PrivateKey::generate().public_key();
    ASSERT_TRUE(provision({}).has_value());
    Outcome out;
    begin(std::move(begun), out);
    ASSERT_TRUE(out && !out->has_value());
    EXPECT_EQ(out->error().code(), wrong_instance);
    EXPECT_TRUE(control->snapshot()->state->apps.empty());
}

TEST_F(ControlTest, ARootInPlaceOfAnIntermediateIsRefusedByName) {
    start();
    auto key = crypto::P256PrivateKey::generate();
    x509::NameConstraints constraints;
    constraints.permitted_dns = {"example.test"};
    x509::Certificate root =
        *x509::make_root_ca({.subject = *x509::DistinguishedName::common_name("Root"),
                             .validity = {kNow - 1000, kNow + 1000},
                             .path_length = 0,
                             .name_constraints = constraints,
                             .more_extensions = {}},
                            key);
    Outcome out;
    control->import_provisioning({token, kPlatform, {}, op.owner.spki_hash()},
                                 {x509::encode_pem("CERTIFICATE", root.der()), key.to_pkcs8()},
                                 [&](Result<SnapshotPtr> r) { out = std::move(r); });
    ASSERT_TRUE(out && !out->has_value());
    EXPECT_EQ(out->error().code(), runtime::bad_ca);
}

}  // namespace
}  // namespace eos::mini
