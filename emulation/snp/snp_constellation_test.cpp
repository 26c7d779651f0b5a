// SPDX-License-Identifier: AGPL-3.0-only
// Certificates of Constellation's variants with SNP, over emulated reports.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/ratls/foreign_constellation_test.h"
#include "common/x509/pem.h"
#include "emulation/snp/snp_scene_test.h"

namespace eos::emulation::snp {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using namespace ratls::testing;

/// InstanceInfo for a report with this report data.
json::Value instance_info(testing::Scene& scene, const ByteArray<64>& report_data) {
    scene.amd.report.report_data = report_data;
    const std::string vcek = x509::encode_pem("CERTIFICATE", scene.amd.vek_certificate().der());
    scene.endorsements.amd.certificates = {to_bytes(scene.amd.ask().der())};
    return {{"ReportSigner", base64(as_bytes(vcek))},
            {"CertChain", nullptr},
            {"AttestationReport", base64(scene.amd.signed_report())},
            {"Azure", nullptr},
            {"GCP", nullptr}};
}

std::vector<std::string> failures(const testing::Scene& scene, const oid::Oid& variant,
                                  const json::Value& document) {
    const ratls::ConstellationLeaf leaf = read(variant, json::compact(document)).value();
    const auto verification =
        verify_constellation_leaf(leaf, scene.endorsements, scene.roots(), the_nonce(), scene.time);
    std::vector<std::string> out = summarise(verification.tree).failed;
    EXPECT_EQ(verification.is_genuine, out.empty());
    return out;
}

TEST(SnpConstellation, ReportBindsKeyAndNonce) {
    testing::Scene scene;
    const oid::Oid variant = oid::kConstellationGcpSnp;
    json::Value document = fake_tpm().document(instance_info(scene, report_data(bound())));
    EXPECT_THAT(failures(scene, variant, document), IsEmpty());
    document = fake_tpm().document(instance_info(scene, report_data(key_hash())));
    EXPECT_THAT(failures(scene, variant, document), ElementsAre("report_data"));
}

TEST(SnpConstellation, TpmOnAzureBindsKeyAndNonce) {
    testing::Scene scene;
    const oid::Oid variant = oid::kConstellationAzureSnp;
    const std::string runtime = fake_tpm().runtime_data();
    json::Value info = instance_info(scene, report_data(crypto::sha256(as_bytes(runtime))));
    info["Azure"] = {{"RuntimeData", base64(as_bytes(runtime))}, {"MAAToken", ""}};
    EXPECT_THAT(failures(scene, variant, fake_tpm().document(info)), IsEmpty());
    // A quote in a trust domain's place; a report that is not this TPM's.
    EXPECT_FALSE(read(oid::kConstellationAzureTdx, json::compact(fake_tpm().document(info))));
    info = instance_info(scene, report_data(bound()));
    info["Azure"] = {{"RuntimeData", base64(as_bytes(runtime))}, {"MAAToken", ""}};
    EXPECT_THAT(failures(scene, variant, fake_tpm().document(info)),
                ElementsAre("hcl.report_data"));
}

}  // namespace
}  // namespace eos::emulation::snp
