// SPDX-License-Identifier: AGPL-3.0-only
// Each drill as the production verifier judges it: it makes exactly what it is named after happen.
#include "emulation/quoting/drill.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ctime>
#include <map>

#include "common/attestation/verify/verify.h"
#include "common/x509/pem.h"

namespace eos::emulation::quoting {
namespace {

namespace verify = attestation::verify;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class Drills : public ::testing::Test {
  protected:
    void SetUp() override {
        sgx_cpu::Cpu cpu(sgx_cpu::generate_identity());
        Provisioned made = provision(cpu, now_).value();
        const DrillSubject subject{cpu.identity(), made.issuing, made.pck_chain_pem,
                                   made.collateral_json};
        const std::vector<Drill> drills = make_drills(subject, now_).value();
        for (const Drill& drill : drills) collateral_[drill.name] = drill.collateral_json;
        auto root = x509::parse_pem_certificates(made.root_pem).value();
        roots_ = verify::Roots::test({{"drilled", root.front()}}).value();
        QuotingEnclave enclave =
            QuotingEnclave::create(std::move(cpu), std::move(made.keys), made.pck_chain_pem)
                .value();
        auto report = enclave.cpu().report({}, enclave.target_info(), {}).value();
        quote_ = enclave.quote(encode(report)).value();
    }

    verify::Verification run(const std::string& name) const {
        auto endorsements =
            attestation::endorsements::parse_endorsements(as_bytes(collateral_.at(name))).value();
        return verify::verify_quote(quote_, endorsements, *roots_, now_);
    }
    std::vector<std::string> failed(const std::string& name) const {
        return verify::summarise(run(name).tree()).failed;
    }
    std::string status(const std::string& name) const {
        verify::Verification verification = run(name);
        EXPECT_THAT(verify::summarise(verification.tree()).failed, IsEmpty());
        return std::string(tcb_status_name(verification.evidence()->tcb()->status));
    }

    const UnixTime now_{::time(nullptr)};
    std::map<std::string, std::string> collateral_;
    std::optional<verify::Roots> roots_;
    Bytes quote_;
};

TEST_F(Drills, StatusesAreWhatTheyAreNamedAfter) {
    EXPECT_EQ(status("unchanged"), "UpToDate");
    EXPECT_EQ(status("tcb-bar-raised"), "OutOfDate");
    EXPECT_EQ(status("svn-rolled-back"), "OutOfDate");
    EXPECT_EQ(status("sw-hardening-needed"), "SWHardeningNeeded");
    EXPECT_EQ(status("configuration-needed"), "ConfigurationNeeded");
    EXPECT_EQ(status("evaluation-number-rolled-back"), "UpToDate");
    EXPECT_EQ(run("evaluation-number-rolled-back").evidence()->tcb()->evaluation_data_number, 16u);
}

TEST_F(Drills, FailuresAreAtTheirNodes) {
    EXPECT_THAT(failed("tcb-level-revoked"), ElementsAre("tcb.level"));
    EXPECT_THAT(failed("tcb-unsupported"), ElementsAre("tcb.level"));
    EXPECT_THAT(failed("pck-revoked"), ElementsAre("crl.pck"));
    EXPECT_THAT(failed("tcb-signer-revoked"), ElementsAre("crl.root"));
    EXPECT_THAT(failed("collateral-expired"),
                ::testing::UnorderedElementsAre("qe_identity.dates", "tcb_info.dates", "crl.root",
                                                "crl.pck"));
    EXPECT_EQ(collateral_.size(), 11u);
}

}  // namespace
}  // namespace eos::emulation::quoting
