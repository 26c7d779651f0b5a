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
        const MadeReport made = maker_->make(data.bytes()).value();
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
        const std::vector<Bytes> chain{ratls::mint_leaf(content, key, nullptr)};
        const auto endorsements =
            attestation::endorsements::parse_endorsements(as_bytes(collateral)).value();
        return ratls::appraise_leaf(
            {.chain = chain, .anchors = {}, .server_name = "guest.example.test", .handshake = {}},
            endorsements, policy, kNow);
    }
    std::vector<std::string> refused_by() { return summarise(result().tree()).failed; }

    attestation::appraise::Policy policy;
    std::string collateral;

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
