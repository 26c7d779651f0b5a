// SPDX-License-Identifier: AGPL-3.0-only
// RA-TLS leaves that carry a report of SEV-SNP, in modes A and B.
#include "common/base/encoding.h"
#include "common/oid/registry.h"
#include "common/ratls/appraise_leaf.h"
#include "emulation/snp/snp_scene_test.h"

namespace eos::emulation::snp {
namespace {

using attestation::appraise::AttestationResult;
using attestation::appraise::Outcome;
using attestation::appraise::Policy;
using attestation::appraise::SnpPin;
using attestation::verify::find_check;
using ratls::ReportData;
using ::testing::ElementsAre;
using testing::kNow;
using testing::Scene;

/// A guest's leaf, and a client that looks at it.
struct LeafScene : Scene {
    LeafScene() {
        SnpPin pin;
        pin.measurement = amd.report.measurement;
        policy.name = "leaves of guests";
        policy.roots = roots();
        policy.tees = {"snp"};
        policy.identity = {{pin, {}}};
        policy.bindings = {"v1-challenge", "v1-deterministic"};
        policy.assurance = {"debug"};
        amd.report.report_data =
            to_array<64>(ReportData::v1_deterministic(leaf_key.public_key(), minute).bytes());
    }

    Bytes leaf() const {
        Bytes evidence = amd.evidence();
        ratls::LeafContent content;
        content.name = "guest.example.test";
        content.not_before = minute;
        content.not_after = minute + ratls::kDeterministicLifeSeconds;
        content.evidence = evidence;
        content.evidence_oid = evidence_oid;
        content.assurance = "debug";
        return ratls::mint_leaf(content, leaf_key, nullptr);
    }

    AttestationResult run() const {
        const std::vector<Bytes> chain{leaf()};
        ratls::LeafInput input{.chain = chain,
                               .anchors = {},
                               .server_name = "guest.example.test",
                               .handshake = handshake};
        return appraise_leaf(input, endorsements, policy, kNow);
    }
    std::vector<std::string> refused_by() const { return summarise(run().tree()).failed; }

    UnixTime minute{kNow.seconds - kNow.seconds % 60};
    crypto::P256PrivateKey leaf_key = crypto::P256PrivateKey::generate();
    oid::Oid evidence_oid = oid::kSnpReport;
    std::optional<ratls::HandshakeEvidence> handshake;
    Policy policy;
};

TEST(SnpLeaf, DeterministicLeavesAreAccepted) {
    LeafScene scene;
    AttestationResult result = scene.run();
    EXPECT_EQ(result.outcome(), Outcome::accepted_emulated) << result.text();
    EXPECT_EQ(result.claims()["binding"], "v1-deterministic");
    scene.policy.bindings = {"v1-challenge"};
    EXPECT_THAT(scene.refused_by(), ElementsAre("binding.format"));
}

TEST(SnpLeaf, ChallengeLeavesAreBoundToTheHandshake) {
    LeafScene scene;
    scene.handshake = ratls::HandshakeEvidence{Bytes(32, std::byte{7}), {}};
    scene.handshake->binder.fill(std::byte{9});
    EXPECT_THAT(scene.refused_by(), ElementsAre("report_data"));
    scene.amd.report.report_data =
        to_array<64>(ReportData::v1_challenge(scene.leaf_key.public_key(), scene.handshake->nonce,
                                              scene.handshake->binder)
                         .value()
                         .bytes());
    EXPECT_EQ(scene.run().outcome(), Outcome::accepted_emulated) << scene.run().text();
    scene.handshake->binder[31] ^= std::byte{1};
    EXPECT_THAT(scene.refused_by(), ElementsAre("report_data"));
    scene.handshake->binder[31] ^= std::byte{1};
    scene.handshake->nonce[0] ^= std::byte{1};
    EXPECT_THAT(scene.refused_by(), ElementsAre("report_data"));
}

// P05: another key, another time, one half alone, nothing at all.
TEST(SnpLeaf, AllOfTheReportDataCounts) {
    LeafScene scene;
    const ByteArray<64> good = scene.amd.report.report_data;
    scene.amd.report.report_data[63] ^= std::byte{1};
    EXPECT_THAT(scene.refused_by(), ElementsAre("report_data"));
    scene.amd.report.report_data = {};
    EXPECT_THAT(scene.refused_by(), ElementsAre("report_data"));
    scene.amd.report.report_data = good;
    scene.leaf_key = crypto::P256PrivateKey::generate();
    EXPECT_THAT(scene.refused_by(), ElementsAre("report_data"));
}

// R04: evidence of one kind under the identifier of another.
TEST(SnpLeaf, TheIdentifierMustBeThatOfReports) {
    for (const oid::Oid& oid : {oid::kSgxQuote, oid::kTdxQuote}) {
        LeafScene scene;
        scene.evidence_oid = oid;
        EXPECT_THAT(scene.refused_by(), ElementsAre("certificate.evidence"));
    }
}

TEST(SnpLeaf, EvidenceWithoutCertificatesNeedsThemBeside) {
    LeafScene scene;
    Bytes evidence = scene.amd.signed_report();
    ratls::LeafContent content;
    content.not_before = scene.minute;
    content.not_after = scene.minute + 60;
    content.evidence = evidence;
    content.evidence_oid = oid::kSnpReport;
    content.assurance = "debug";
    const std::vector<Bytes> chain{mint_leaf(content, scene.leaf_key, nullptr)};
    ratls::LeafInput input{.chain = chain, .anchors = {}, .server_name = {}, .handshake = {}};
    auto failed = [&] {
        return summarise(appraise_leaf(input, scene.endorsements, scene.policy, kNow).tree())
            .failed;
    };
    EXPECT_THAT(failed(), ElementsAre("vek.certificates"));
    scene.endorsements.amd.certificates = {to_bytes(scene.amd.vek_certificate().der()),
                                           to_bytes(scene.amd.ask().der())};
    EXPECT_THAT(failed(), ::testing::IsEmpty());
}

}  // namespace
}  // namespace eos::emulation::snp
