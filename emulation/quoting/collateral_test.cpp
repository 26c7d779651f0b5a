// SPDX-License-Identifier: AGPL-3.0-only
// The emulated platform's statements as the production parsers read them.
#include "emulation/quoting/collateral.h"

#include <gtest/gtest.h>

#include <ctime>

#include "common/attestation/endorsements/endorsements.h"
#include "common/attestation/endorsements/pck.h"
#include "common/attestation/endorsements/tcb.h"
#include "common/oid/registry.h"
#include "common/x509/crl.h"
#include "common/x509/pem.h"
#include "emulation/quoting/provisioning.h"

namespace eos::emulation::quoting {
namespace {

namespace endorsements = attestation::endorsements;

class Collateral : public ::testing::Test {
  protected:
    std::vector<x509::Certificate> chain() const {
        return x509::parse_pem_chain(as_bytes(made_.pck_chain_pem)).value();
    }
    endorsements::Endorsements parsed() const {
        return endorsements::parse_endorsements(as_bytes(made_.collateral_json)).value();
    }

    const UnixTime now_{::time(nullptr)};
    const sgx_cpu::Cpu cpu_{sgx_cpu::generate_identity()};
    const Provisioned made_ = provision(cpu_, now_).value();
};

TEST_F(Collateral, PckCertificateDescribesTheCpu) {
    const auto pck = endorsements::parse_pck_extension(chain().at(0)).value();
    const sgx_cpu::CpuIdentity& cpu = cpu_.identity();
    EXPECT_EQ(pck.ppid, cpu.ppid);
    EXPECT_EQ(pck.cpu_svn, cpu.cpu_svn);
    EXPECT_EQ(pck.tcb.components, cpu.cpu_svn);
    EXPECT_EQ(pck.tcb.pce_svn, cpu.pce_svn);
    EXPECT_EQ(pck.pce_id, cpu.pce_id);
    EXPECT_EQ(pck.fmspc, cpu.fmspc);
    EXPECT_EQ(pck.sgx_type, endorsements::SgxType::scalable);
    EXPECT_EQ(pck.platform_instance_id, cpu.platform_instance_id);
    ASSERT_TRUE(pck.configuration.has_value());
    EXPECT_EQ(pck.configuration->dynamic_platform, false);
    EXPECT_EQ(pck.configuration->cached_keys, false);
    EXPECT_EQ(pck.configuration->smt_enabled, true);
}

TEST_F(Collateral, TcbInfoSaysUpToDateForThisCpuAndOutOfDateBelow) {
    const auto info = endorsements::parse_tcb_info(parsed().tcb_info.value().body).value();
    EXPECT_EQ(info.fmspc, cpu_.identity().fmspc);
    EXPECT_EQ(info.pce_id, cpu_.identity().pce_id);
    EXPECT_LE(info.issue_date, now_);
    EXPECT_GT(info.next_update, now_);
    endorsements::PlatformTcb tcb{.components = cpu_.identity().cpu_svn,
                                  .pce_svn = cpu_.identity().pce_svn};
    EXPECT_EQ(match(info, tcb)->status, endorsements::TcbStatus::up_to_date);
    tcb.components[15] = static_cast<std::byte>(std::to_integer<int>(tcb.components[15]) - 1);
    EXPECT_EQ(match(info, tcb)->status, endorsements::TcbStatus::out_of_date);
    tcb.components = {};
    EXPECT_EQ(match(info, tcb), nullptr);
}

TEST_F(Collateral, QeIdentityFitsTheQuotingEnclave) {
    const auto identity =
        endorsements::parse_qe_identity(parsed().qe_identity.value().body).value();
    const sgx_cpu::EnclaveIdentity qe = quoting_enclave_identity();
    EXPECT_EQ(identity.mr_signer, qe.mr_signer);
    EXPECT_EQ(identity.isv_prod_id, qe.isv_prod_id);
    EXPECT_EQ(match(identity, qe.isv_svn)->status, endorsements::TcbStatus::up_to_date);
    EXPECT_EQ(match(identity, static_cast<std::uint16_t>(qe.isv_svn - 1))->status,
              endorsements::TcbStatus::out_of_date);
    for (std::size_t i = 0; i < 16; ++i) {
        EXPECT_EQ(made_.keys.qe_report[48 + i] & identity.attributes_mask[i],
                  identity.attributes[i])
            << i;
    }
}

TEST_F(Collateral, CrlsAreOfTheirIssuersAndEmpty) {
    const auto collateral = parsed();
    const auto root_crl = x509::Crl::parse(collateral.root_ca_crl.value()).value();
    const auto pck_crl = x509::Crl::parse(collateral.pck_crl.value()).value();
    EXPECT_TRUE(root_crl.verify(chain().at(2), now_).has_value());
    EXPECT_TRUE(pck_crl.verify(chain().at(1), now_).has_value());
    EXPECT_FALSE(pck_crl.verify(chain().at(2), now_).has_value());
    EXPECT_TRUE(root_crl.revoked().empty());
    EXPECT_TRUE(pck_crl.revoked().empty());
}

TEST_F(Collateral, OnlyTheRootCarriesTheMarkerAndItIsCritical) {
    const auto certificates = chain();
    const auto* marker = certificates.at(2).find_extension(oid::kEmulationRootMarker);
    ASSERT_NE(marker, nullptr);
    EXPECT_EQ(marker->critical, x509::Critical::kYes);
    EXPECT_EQ(certificates.at(0).find_extension(oid::kEmulationRootMarker), nullptr);
    EXPECT_EQ(certificates.at(1).find_extension(oid::kEmulationRootMarker), nullptr);
    EXPECT_EQ(x509::encode_pem("CERTIFICATE", certificates.at(2).der()), made_.root_pem);
}

}  // namespace
}  // namespace eos::emulation::quoting
