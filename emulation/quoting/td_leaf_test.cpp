// SPDX-License-Identifier: AGPL-3.0-only
// RA-TLS leaves that carry a TDX quote, in modes A and B.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/oid/registry.h"
#include "common/ratls/appraise_leaf.h"
#include "common/x509/pem.h"
#include "emulation/quoting/provisioning.h"
#include "emulation/quoting/td_quoting_enclave.h"

namespace eos::emulation::quoting {
namespace {

using attestation::appraise::AttestationResult;
using attestation::appraise::Outcome;
using attestation::evidence::TdReport;
using attestation::evidence::TdReportKind;
using ratls::ReportData;
using ::testing::ElementsAre;

constexpr UnixTime kNow{1'780'000'000};

attestation::appraise::TdPin pin_of(const TdReport& td) {
    attestation::appraise::TdPin out{.mr_td = td.mr_td};
    for (std::size_t i = 0; i < out.rtmr.size(); ++i) out.rtmr[i] = td.rtmr[i];
    return out;
}

/// A trust domain's leaf, and a client that looks at it.
class TdLeaf : public ::testing::TestWithParam<TdReportKind> {
  protected:
    TdLeaf() : td_(emulated_td_report(GetParam())) {
        const sgx_cpu::Cpu cpu(sgx_cpu::generate_identity());
        Provisioned made = provision(cpu, kNow).value();
        collateral_ =
            attestation::endorsements::parse_endorsements(as_bytes(made.tdx_collateral_json))
                .value();
        enclave_.emplace(
            TdQuotingEnclave::create(std::move(made.td_keys), made.pck_chain_pem).value());
        td_.mr_td.fill(std::byte{0x11});
        td_.rtmr[1].fill(std::byte{0x22});
        bind(ReportData::v1_deterministic(leaf_key_.public_key(), minute_));
        policy_.name = "leaves of trust domains";
        policy_.roots = attestation::verify::Roots::test(
                            {{"demo", x509::parse_pem_certificates(made.root_pem)->at(0)}})
                            .value();
        policy_.tees = {"tdx"};
        policy_.identity = {{pin_of(td_), {}}};
        policy_.bindings = {"v1-challenge", "v1-deterministic"};
        policy_.assurance = {"debug"};
        policy_.debug = attestation::appraise::DebugRule::allow_emulated;
    }

    void bind(const ReportData& data) { td_.report_data = to_array<64>(data.bytes()); }

    Bytes leaf() const {
        const Bytes evidence = enclave_->quote(td_).value();
        ratls::LeafContent content;
        content.name = "td.example.test";
        content.not_before = minute_;
        content.not_after = minute_ + ratls::kDeterministicLifeSeconds;
        content.evidence = evidence;
        content.evidence_oid = evidence_oid_;
        content.assurance = "debug";
        return ratls::mint_leaf(content, leaf_key_, nullptr);
    }
    AttestationResult look_at(Bytes leaf) const {
        const std::vector<Bytes> chain{std::move(leaf)};
        ratls::LeafInput input{.chain = chain,
                               .anchors = {},
                               .server_name = "td.example.test",
                               .handshake = handshake_};
        return appraise_leaf(input, collateral_, policy_, kNow);
    }
    std::vector<std::string> refused_by() const { return summarise(look_at(leaf()).tree()).failed; }

    const UnixTime minute_{kNow.seconds - kNow.seconds % 60};
    crypto::P256PrivateKey leaf_key_ = crypto::P256PrivateKey::generate();
    oid::Oid evidence_oid_ = oid::kTdxQuote;
    TdReport td_;
    std::optional<TdQuotingEnclave> enclave_;
    attestation::endorsements::Endorsements collateral_;
    std::optional<ratls::HandshakeEvidence> handshake_;
    attestation::appraise::Policy policy_;
};

TEST_P(TdLeaf, DeterministicLeavesAreAccepted) {
    AttestationResult result = look_at(leaf());
    EXPECT_EQ(result.outcome(), Outcome::accepted_emulated) << result.text();
    EXPECT_EQ(result.claims()["binding"], "v1-deterministic");
    EXPECT_EQ(result.claims()["tee"], "tdx");
    policy_.bindings = {"v1-challenge"};
    EXPECT_THAT(refused_by(), ElementsAre("binding.format"));
}

TEST_P(TdLeaf, ChallengeLeavesAreBoundToTheHandshake) {
    handshake_ = ratls::HandshakeEvidence{Bytes(32, std::byte{7}), {}};
    handshake_->binder.fill(std::byte{9});
    EXPECT_THAT(refused_by(), ElementsAre("report_data"));  // bound to the minute
    bind(ReportData::v1_challenge(leaf_key_.public_key(), handshake_->nonce, handshake_->binder)
             .value());
    EXPECT_EQ(look_at(leaf()).outcome(), Outcome::accepted_emulated) << look_at(leaf()).text();
    handshake_->binder[31] ^= std::byte{1};
    EXPECT_THAT(refused_by(), ElementsAre("report_data"));
    handshake_->binder[31] ^= std::byte{1};
    handshake_->nonce[0] ^= std::byte{1};
    EXPECT_THAT(refused_by(), ElementsAre("report_data"));
}

// P05: another key, one half alone, nothing at all.
TEST_P(TdLeaf, AllOfTheReportDataCounts) {
    for (std::size_t at : {0u, 31u, 32u, 63u}) {
        td_.report_data[at] ^= std::byte{1};
        EXPECT_THAT(refused_by(), ElementsAre("report_data")) << at;
        td_.report_data[at] ^= std::byte{1};
    }
    const auto good = td_.report_data;
    td_.report_data = {};
    EXPECT_THAT(refused_by(), ElementsAre("report_data"));
    td_.report_data = good;
    leaf_key_ = crypto::P256PrivateKey::generate();
    EXPECT_THAT(refused_by(), ElementsAre("report_data"));
}

// R04: evidence of one kind under the identifier of another.
TEST_P(TdLeaf, TheIdentifierMustBeThatOfTdxQuotes) {
    for (const oid::Oid& oid : {oid::kSgxQuote, oid::kSnpReport}) {
        evidence_oid_ = oid;
        EXPECT_THAT(refused_by(), ::testing::Contains("certificate.evidence"));
    }
}

// R11: whoever holds only the CA key moves key and quote to a leaf with another value.
TEST_P(TdLeaf, OtherValuesUnderTheSameKeyBreakTheLeafBinding) {
    Bytes altered = leaf();
    const std::string_view word = "debug";
    auto at = std::ranges::search(altered, as_bytes(word));
    ASSERT_FALSE(at.empty());
    at.front() ^= std::byte{1};
    policy_.assurance = {"debug", "eebug"};
    EXPECT_THAT(summarise(look_at(altered).tree()).failed,
                ElementsAre("leaf_binding", "certificate.signature"));
}

INSTANTIATE_TEST_SUITE_P(Kinds, TdLeaf,
                         ::testing::Values(TdReportKind::tdx10, TdReportKind::tdx15,
                                           TdReportKind::tdx15_extended));

}  // namespace
}  // namespace eos::emulation::quoting
