// SPDX-License-Identifier: AGPL-3.0-only
// The emulated platform's evidence and collateral through the production verifier: every check
// there is passes under the test root, and none of it passes without.
#include <gtest/gtest.h>

#include <ctime>

#include "common/attestation/verify/verify.h"
#include "common/x509/pem.h"
#include "emulation/quoting/provisioning.h"

namespace eos::emulation::quoting {
namespace {

namespace endorsements = attestation::endorsements;
namespace verify = attestation::verify;

class ProductionVerifier : public ::testing::Test {
  protected:
    ProductionVerifier() {
        sgx_cpu::Cpu cpu(sgx_cpu::generate_identity());
        Provisioned made = provision(cpu, now_).value();
        root_pem_ = made.root_pem;
        collateral_ = endorsements::parse_endorsements(as_bytes(made.collateral_json)).value();
        const QuotingEnclave enclave =
            QuotingEnclave::create(std::move(cpu), std::move(made.keys), made.pck_chain_pem)
                .value();
        const auto report = enclave.cpu().report({}, enclave.target_info(), {}).value();
        quote_ = enclave.quote(encode(report)).value();
    }
    static verify::Roots test_roots(const std::string& pem) {
        return verify::Roots::test(
                   {{.name = "demo", .certificate = x509::parse_pem_certificates(pem)->at(0)}})
            .value();
    }

    const UnixTime now_{::time(nullptr)};
    std::string root_pem_;
    endorsements::Endorsements collateral_;
    Bytes quote_;
};

TEST_F(ProductionVerifier, EveryCheckPassesUnderTheTestRoot) {
    const auto outcome = verify::verify_quote(quote_, collateral_, test_roots(root_pem_), now_);
    EXPECT_EQ(verify::summarise(outcome.tree()).verdict, verify::Verdict::pass)
        << verify::render_text(outcome.tree());
    ASSERT_NE(outcome.evidence(), nullptr);
    EXPECT_EQ(outcome.evidence()->root().kind, verify::RootKind::test);
    ASSERT_TRUE(outcome.evidence()->tcb().has_value());
    EXPECT_EQ(outcome.evidence()->tcb()->status, endorsements::TcbStatus::up_to_date);
    EXPECT_EQ(outcome.evidence()->tcb()->quoting_enclave, endorsements::TcbStatus::up_to_date);
}

TEST_F(ProductionVerifier, VendorRootsRefuseIt) {
    const auto outcome = verify::verify_quote(quote_, collateral_, verify::Roots::intel(), now_);
    EXPECT_EQ(outcome.evidence(), nullptr);
    EXPECT_EQ(verify::summarise(outcome.tree()).verdict, verify::Verdict::fail);
}

TEST_F(ProductionVerifier, AnotherInstallationsRootRefusesIt) {
    const sgx_cpu::Cpu cpu(sgx_cpu::generate_identity());
    const Provisioned other = provision(cpu, now_).value();
    EXPECT_EQ(
        verify::verify_quote(quote_, collateral_, test_roots(other.root_pem), now_).evidence(),
        nullptr);
}

TEST_F(ProductionVerifier, EverySignedByteCounts) {
    const verify::Roots roots = test_roots(root_pem_);
    for (std::size_t at = 28; at < 432; at += 13) {
        Bytes altered = quote_;
        altered[at] ^= std::byte{1};
        const auto outcome = verify::verify_quote(altered, collateral_, roots, now_);
        EXPECT_EQ(outcome.evidence(), nullptr) << at;
        const verify::Check* check = verify::find_check(outcome.tree(), "quote.signature");
        ASSERT_NE(check, nullptr) << at;
        EXPECT_EQ(check->verdict, verify::Verdict::fail) << at;
    }
}

TEST_F(ProductionVerifier, ItHoldsForTheYearsItSaysAndNoLonger) {
    const verify::Roots roots = test_roots(root_pem_);
    const auto holds = [&](UnixTime time) {
        return verify::verify_quote(quote_, collateral_, roots, time).evidence() != nullptr;
    };
    EXPECT_TRUE(holds(now_ + (kValiditySeconds - 1)));
    EXPECT_FALSE(holds(now_ + (kValiditySeconds + 1)));
    EXPECT_FALSE(holds(now_ - 2 * kSecondsPerDay));
}

}  // namespace
}  // namespace eos::emulation::quoting
