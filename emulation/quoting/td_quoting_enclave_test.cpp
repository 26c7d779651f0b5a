// SPDX-License-Identifier: AGPL-3.0-only
// Emulated trust domains through the production verifier.
#include "emulation/quoting/td_quoting_enclave.h"

#include <gtest/gtest.h>

#include <ctime>

#include "common/attestation/verify/verify.h"
#include "common/x509/pem.h"
#include "emulation/quoting/provisioning.h"

namespace eos::emulation::quoting {
namespace {

namespace endorsements = attestation::endorsements;
namespace verify = attestation::verify;
using attestation::evidence::TdReport;
using attestation::evidence::TdReportKind;

constexpr std::array kKinds{TdReportKind::tdx10, TdReportKind::tdx15, TdReportKind::tdx15_extended};

class TdQuoting : public ::testing::Test {
  protected:
    TdQuoting() : cpu_(sgx_cpu::generate_identity()) {
        Provisioned made = provision(cpu_, now_).value();
        roots_.emplace(
            verify::Roots::test({{"demo", x509::parse_pem_certificates(made.root_pem)->at(0)}})
                .value());
        tdx_ = endorsements::parse_endorsements(as_bytes(made.tdx_collateral_json)).value();
        sgx_ = endorsements::parse_endorsements(as_bytes(made.collateral_json)).value();
        chain_ = made.pck_chain_pem;
        sgx_keys_.emplace(std::move(made.keys));
        enclave_.emplace(TdQuotingEnclave::create(std::move(made.td_keys), chain_).value());
    }

    static TdReport report(TdReportKind kind) {
        TdReport out = emulated_td_report(kind);
        out.mr_td.fill(std::byte{0x11});
        out.rtmr[2].fill(std::byte{0x22});
        out.report_data.fill(std::byte{0x33});
        return out;
    }
    verify::Verification check(const Bytes& quote, const endorsements::Endorsements& given) const {
        return verify::verify_quote(quote, given, *roots_, now_);
    }

    const UnixTime now_{::time(nullptr)};
    sgx_cpu::Cpu cpu_;
    std::optional<verify::Roots> roots_;
    endorsements::Endorsements tdx_;
    endorsements::Endorsements sgx_;
    std::string chain_;
    std::optional<QuotingKeys> sgx_keys_;
    std::optional<TdQuotingEnclave> enclave_;
};

TEST_F(TdQuoting, EveryCheckPassesUnderTheTestRoot) {
    for (TdReportKind kind : kKinds) {
        const auto outcome = check(enclave_->quote(report(kind)).value(), tdx_);
        EXPECT_EQ(verify::summarise(outcome.tree()).verdict, verify::Verdict::pass)
            << verify::render_text(outcome.tree());
        ASSERT_NE(outcome.evidence(), nullptr);
        EXPECT_EQ(outcome.evidence()->root().kind, verify::RootKind::test);
        const auto& claims = std::get<verify::TdxClaims>(outcome.evidence()->claims());
        EXPECT_EQ(claims.report, report(kind));
        EXPECT_EQ(claims.platform.ppid, cpu_.identity().ppid);
        const verify::TcbResult& tcb = outcome.evidence()->tcb().value();
        EXPECT_EQ(tcb.status, endorsements::TcbStatus::up_to_date);
        EXPECT_EQ(tcb.tdx_module, endorsements::TcbStatus::up_to_date);
    }
}

TEST_F(TdQuoting, VendorRootsAndCollateralForSgxRefuseIt) {
    const Bytes quote = enclave_->quote(report(TdReportKind::tdx10)).value();
    EXPECT_EQ(verify::verify_quote(quote, tdx_, verify::Roots::intel(), now_).evidence(), nullptr);
    const auto outcome = check(quote, sgx_);
    EXPECT_EQ(outcome.evidence(), nullptr);
    EXPECT_EQ(verify::find_check(outcome.tree(), "tcb_info.platform")->verdict,
              verify::Verdict::fail);
    EXPECT_EQ(verify::find_check(outcome.tree(), "qe_identity.id")->verdict, verify::Verdict::fail);
}

TEST_F(TdQuoting, TheSgxQuotingEnclavesKeyDoesNotQuoteTrustDomains) {
    const auto impostor = TdQuotingEnclave::create(std::move(*sgx_keys_), chain_).value();
    const auto outcome = check(impostor.quote(report(TdReportKind::tdx15)).value(), tdx_);
    EXPECT_EQ(verify::summarise(outcome.tree()).failed, std::vector<std::string>{"qe.identity"});
}

TEST_F(TdQuoting, OnlyDebugTrustDomainsOnTheEmulatedModuleAreQuoted) {
    auto refused = [&](TdReportKind kind, void (*alter)(TdReport&)) {
        TdReport altered = report(kind);
        alter(altered);
        Result<Bytes> quote = enclave_->quote(altered);
        return !quote.has_value() && quote.error().code() == not_an_emulated_td;
    };
    for (TdReportKind kind : kKinds) {
        EXPECT_TRUE(refused(kind, [](TdReport& td) {
            td.td_attributes = attestation::evidence::kTdSeptVeDisable;
        }));
        EXPECT_TRUE(refused(kind, [](TdReport& td) { td.mr_seam[0] ^= std::byte{1}; }));
        EXPECT_TRUE(refused(kind, [](TdReport& td) { td.mr_signer_seam[9] = std::byte{1}; }));
        EXPECT_TRUE(refused(kind, [](TdReport& td) { td.seam_attributes[0] = std::byte{1}; }));
        EXPECT_TRUE(refused(kind, [](TdReport& td) { td.tee_tcb_svn[0] = std::byte{99}; }));
    }
    EXPECT_TRUE(refused(TdReportKind::tdx15,
                        [](TdReport& td) { td.td15->tee_tcb_svn_2[2] = std::byte{99}; }));
}

}  // namespace
}  // namespace eos::emulation::quoting
