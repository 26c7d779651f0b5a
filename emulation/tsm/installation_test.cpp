// SPDX-License-Identifier: AGPL-3.0-only
// Each machine's evidence, in a leaf, before a verifier that has what init wrote.
#include "emulation/tsm/installation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "common/attestation/appraise/policy.h"
#include "common/attestation/endorsements/endorsements.h"
#include "common/ratls/appraise_leaf.h"
#include "common/ratls/leaf.h"
#include "emulation/quoting/platform_directory.h"
#include "trusted/virtual/evidence/measurement.h"
#include "trusted/virtual/evidence/tee_evidence.h"

namespace eos::emulation::tsm {
namespace {

using attestation::appraise::AttestationResult;
using attestation::appraise::Outcome;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr UnixTime kNow{1'780'000'020};

/// One installation for the whole program: RSA keys are slow to make.
struct TestInstallation {
    TestInstallation() {
        ::mkdtemp(path.data());
        EXPECT_TRUE(init_installation(path, kNow));
    }
    ~TestInstallation() { std::filesystem::remove_all(path); }

    std::string path = ::testing::TempDir() + "tsm-installation-XXXXXX";
};

const std::string& installation() {
    static const TestInstallation made;
    return made.path;
}

std::string file_of(Machine machine, const char* name) {
    return to_string(
        quoting::read_file(std::filesystem::path(installation()) / vendor_directory(machine) / name)
            .value());
}

/// RTMR3 of an emulated guest, as the production code sees it.
class GuestRegister final : public cvm::RuntimeRegister {
  public:
    explicit GuestRegister(Registers& registers) : registers_(registers) {}
    Result<cvm::Digest48> read() override { return registers_.rtmrs()[3]; }
    Result<void> expect_extendable() override { return {}; }
    Result<void> extend(const cvm::Digest48& digest) override {
        EXPECT_EQ(registers_.write(*Registers::file("rtmr3:sha384"), digest, 0), 48);
        return {};
    }

  private:
    Registers& registers_;
};

/// A leaf with the machine's evidence, judged by the policy that init wrote.
class Judged {
  public:
    Judged(Machine machine, const MachineOptions& options)
        : machine_(machine),
          maker_(load_machine(installation(), machine, options, registers_).value()) {
        policy =
            attestation::appraise::parse_policy(as_bytes(file_of(machine, "policy.json"))).value();
        policy.bindings = {"v1-deterministic"};
        collateral = file_of(machine, is_tdx(machine) ? "collateral-tdx.json" : "collateral.json");
    }

    AttestationResult result() {
        const UnixTime minute{kNow.seconds - kNow.seconds % 60};
        const auto key = crypto::P256PrivateKey::generate();
        const auto data = ratls::ReportData::v1_deterministic(key.public_key(), minute);
        const MadeReport made = maker_->make(data.bytes(), 0).value();
        const auto kind = is_tdx(machine_) ? cvm::TeeKind::kTdx : cvm::TeeKind::kSevSnp;
        const auto evidence =
            cvm::check_answer(kind, concat({made.outblob, made.auxblob}), data).value();
        ratls::LeafContent content;
        content.name = "guest.example.test";
        content.not_before = minute;
        content.not_after = minute + ratls::kDeterministicLifeSeconds;
        content.evidence = evidence.bytes;
        content.evidence_oid = cvm::evidence_oid(kind);
        content.assurance = cvm::assurance_name(evidence.assurance);
        content.policy_root = policy_root;
        const std::vector<Bytes> chain{ratls::mint_leaf(content, key, nullptr)};
        const auto endorsements =
            attestation::endorsements::parse_endorsements(as_bytes(collateral)).value();
        return ratls::appraise_leaf({.chain = chain,
                                     .anchors = {},
                                     .server_name = "guest.example.test",
                                     .handshake = {},
                                     .event_log = event_log ? &*event_log : nullptr},
                                    endorsements, policy, kNow);
    }
    std::vector<std::string> refused_by() { return summarise(result().tree()).failed; }

    Registers& registers() { return registers_; }

    attestation::appraise::Policy policy;
    crypto::Digest32 policy_root{};  ///< of the leaf
    std::string collateral;
    std::optional<Result<attestation::event_log::EventLog>> event_log;

  private:
    Registers registers_;
    Machine machine_;
    std::unique_ptr<ReportMaker> maker_;
};

class Machines : public ::testing::TestWithParam<const char*> {
  protected:
    Machine machine() const { return machine_from_name(GetParam()).value(); }
};

TEST_P(Machines, evidence_is_accepted_as_emulated) {
    AttestationResult result = Judged(machine(), {}).result();
    EXPECT_EQ(result.outcome(), Outcome::accepted_emulated) << result.text();
}

TEST_P(Machines, no_policy_without_the_test_root_takes_it) {
    Judged judged(machine(), {});
    judged.policy.debug = attestation::appraise::DebugRule::forbid;
    judged.policy.roots =
        is_tdx(machine()) ? attestation::verify::Roots::intel() : attestation::verify::Roots::amd();
    EXPECT_THAT(judged.refused_by(), ::testing::Not(IsEmpty()));
}

TEST_P(Machines, an_outdated_tcb_is_refused) {
    if (is_tdx(machine())) {
        Judged judged(machine(), {});
        judged.collateral = tdx_collateral(installation(), "OutOfDate", kNow).value();
        EXPECT_THAT(judged.refused_by(), ElementsAre("tcb.status"));
    } else {
        Judged judged(machine(), {.tcb_status = "OutOfDate"});
        EXPECT_THAT(judged.refused_by(), ElementsAre("snp.tcb"));
    }
}

TEST_P(Machines, a_provider_s_key_can_sign_where_there_is_one) {
    if (is_tdx(machine())) return;
    Judged judged(machine(), {.snp_key = SnpKey::kVlek});
    AttestationResult result = judged.result();
    EXPECT_EQ(result.outcome(), Outcome::accepted_emulated) << result.text();
    judged.policy.snp.csp_ids.clear();
    EXPECT_THAT(judged.refused_by(), ::testing::Not(IsEmpty()));
}

INSTANTIATE_TEST_SUITE_P(All, Machines,
                         ::testing::Values("tdx-v4", "tdx-v5", "snp-milan", "snp-genoa",
                                           "snp-turin"));

/// A guest that measured two policies, and a verifier that has its logs, as `enclavectl verify
/// --event-log boot-log.json --event-log rtmr3.json` reads them.
class PolicyLog : public ::testing::Test {
  protected:
    PolicyLog() : judged_(Machine::kTdxV4, {}) {
        std::string path = ::testing::TempDir() + "policy-log-XXXXXX";
        directory_ = ::mkdtemp(path.data());
        auto rtmr3 = std::make_unique<GuestRegister>(judged_.registers());
        policy_.emplace(
            cvm::PolicyMeasurement::open(std::move(rtmr3), directory_ + "/rtmr3.json").value());
        EXPECT_TRUE(policy_->extend(first_));
        EXPECT_TRUE(policy_->extend(second_));
        judged_.policy_root = second_;
        take_logs();
    }
    ~PolicyLog() override { std::filesystem::remove_all(directory_); }

    void take_logs() {
        namespace event_log = attestation::event_log;
        const std::string boot = file_of(Machine::kTdxV4, "boot-log.json");
        event_log::EventLog all = event_log::parse_runtime_log(as_bytes(boot)).value();
        const auto own = event_log::parse_runtime_log(as_bytes(policy_->log_json())).value();
        for (const event_log::Event& event : own.events) all.events.push_back(event);
        judged_.event_log = std::move(all);
    }
    void require(const crypto::Digest32& root) {
        judged_.policy.tdx.event_log.emplace();
        judged_.policy.tdx.event_log->events.insert(
            {3, attestation::event_log::policy_root_event(root).digest});
    }

    const crypto::Digest32 first_ = crypto::sha256(as_bytes("first policy"));
    const crypto::Digest32 second_ = crypto::sha256(as_bytes("second policy"));
    Judged judged_;
    std::string directory_;
    std::optional<cvm::PolicyMeasurement> policy_;
};

TEST_F(PolicyLog, replays_before_a_verifier) {
    require(second_);
    AttestationResult result = judged_.result();
    EXPECT_EQ(result.outcome(), Outcome::accepted_emulated) << result.text();
}

TEST_F(PolicyLog, a_policy_that_was_never_measured_is_missed) {
    require(crypto::sha256(as_bytes("another policy")));
    EXPECT_THAT(judged_.refused_by(), ElementsAre("event_log.required_events"));
}

TEST_F(PolicyLog, an_event_that_is_left_out_shows) {
    judged_.event_log->value().events.erase(judged_.event_log->value().events.end() - 2);
    EXPECT_THAT(judged_.refused_by(), ElementsAre("event_log.rtmr3"));
}

TEST_F(PolicyLog, a_quote_from_before_a_change_does_not_go_with_the_log_after_it) {
    judged_.event_log->value().events.push_back(
        attestation::event_log::policy_root_event(crypto::sha256(as_bytes("later policy"))));
    EXPECT_THAT(judged_.refused_by(), ElementsAre("event_log.rtmr3"));
}

TEST_F(PolicyLog, a_leaf_shows_the_policy_that_was_measured_last) {
    judged_.policy_root = first_;
    EXPECT_THAT(judged_.refused_by(), ElementsAre("event_log.policy_root"));
}

TEST(Installation, only_an_empty_directory_is_taken) {
    EXPECT_EQ(init_installation(installation(), kNow).error().code(), installation_unusable);
}

TEST(Installation, private_files_are_private) {
    for (const char* name : {"snp-genoa/chip.key", "tdx/issuing.keys", "tdx/cpu.identity"}) {
        const auto mode =
            std::filesystem::status(std::filesystem::path(installation()) / name).permissions();
        EXPECT_EQ(mode, std::filesystem::perms{0600}) << name;
    }
}

TEST(Installation, unknown_wishes_are_refused) {
    EXPECT_EQ(machine_from_name("tdx").error().code(), unknown_machine);
    EXPECT_EQ(tdx_collateral(installation(), "Fine", kNow).error().code(), not_offered);
    const Registers registers;
    EXPECT_EQ(load_machine(installation(), Machine::kSnpGenoa, {.tcb_status = "Revoked"}, registers)
                  .error()
                  .code(),
              not_offered);
}

}  // namespace
}  // namespace eos::emulation::tsm
