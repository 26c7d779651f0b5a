// SPDX-License-Identifier: AGPL-3.0-only
// Guests of SEV-SNP under a policy: each rule of the member "snp", and the pins.
#include <fstream>
#include <iterator>

#include "common/attestation/appraise/appraise.h"
#include "common/base/encoding.h"
#include "common/oid/registry.h"
#include "common/x509/pem.h"
#include "emulation/snp/snp_scene_test.h"

namespace eos::emulation::snp {
namespace {

using attestation::appraise::AttestationResult;
using attestation::appraise::bad_policy;
using attestation::appraise::LeafClaims;
using attestation::appraise::parse_policy;
using attestation::appraise::Policy;
using attestation::appraise::SnpPin;
using attestation::verify::find_check;
using attestation::verify::passed;
using attestation::verify::Verdict;
using snp_arch::Product;
using snp_arch::SigningKey;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::Scene;

/// A scene with a policy, as JSON, that accepts it.
struct Appraised : Scene {
    explicit Appraised(Product product = Product::genoa) : Scene(product) {
        policy = {{"version", 1},
                  {"name", "guests"},
                  {"tees", {"snp"}},
                  {"identity", {{{"measurement", hex(amd.report.measurement)}}}},
                  {"assurance", {"process"}},
                  {"snp", json::Value::object()}};
    }

    Policy parsed() const {
        json::Value value = policy;
        const json::Value root = {
            {"name", "lab"},
            {"sha256", hex(crypto::sha256(amd.ark().der()))},
            {"certificate_pem", x509::encode_pem("CERTIFICATE", amd.ark().der())}};
        value["roots"]["test"] = json::Value::array({root});
        Result<Policy> out = parse_policy(as_bytes(json::compact(value)));
        EXPECT_TRUE(out.has_value()) << out.error().message();
        return *std::move(out);
    }

    AttestationResult run() const {
        LeafClaims leaf;
        leaf.extensions[oid::kAssurance] = to_bytes("process");
        leaf.binding = attestation::appraise::BindingClaim{
            .format = std::string(attestation::appraise::kBindingV1Challenge),
            .evidence_time = {},
            .report_data = passed({"report_data", "test"}),
            .level = passed({"binding.level", "test"})};
        leaf.leaf_binding = passed({"leaf_binding", "test"});
        return appraise(verify(), leaf, parsed());
    }
    std::vector<std::string> refused_by() const { return summarise(run().tree()).failed; }

    json::Value policy;
};

TEST(SnpPolicy, AGuestThatFitsIsAccepted) {
    Appraised scene;
    AttestationResult result = scene.run();
    EXPECT_EQ(result.outcome(), attestation::appraise::Outcome::accepted_emulated) << result.text();
    EXPECT_EQ(result.claims()["tee"], "snp");
    EXPECT_EQ(result.claims()["product"], "Genoa");
    EXPECT_EQ(result.claims()["reported_tcb"]["microcode"], 219);
    // Diversion: no chip is listed.
    EXPECT_EQ(find_check(result.tree(), "identity.platform")->verdict, Verdict::not_evaluated);
}

TEST(SnpPolicy, PinsNameGuests) {
    Appraised scene;
    scene.amd.report.measurement[0] ^= std::byte{1};
    EXPECT_THAT(scene.refused_by(), ElementsAre("identity.guest"));
    scene = Appraised();
    json::Value& pin = scene.policy["identity"][0];
    pin["host_data"] = std::string(64, '1');
    EXPECT_THAT(scene.refused_by(), ElementsAre("identity.guest"));
    scene.amd.report.host_data.fill(std::byte{0x11});
    EXPECT_THAT(scene.refused_by(), IsEmpty());
    pin["min_guest_svn"] = 4;
    EXPECT_THAT(scene.refused_by(), ElementsAre("identity.guest"));
    scene.amd.report.guest_svn = 4;
    EXPECT_THAT(scene.refused_by(), IsEmpty());
}

TEST(SnpPolicy, AnIdBlockNamesAGuestByItsSigner) {
    Appraised scene;
    scene.amd.report.id_key_digest.fill(std::byte{0xaa});
    scene.amd.report.author_key_digest.fill(std::byte{0xbb});
    scene.amd.report.family_id.fill(std::byte{0xcc});
    scene.amd.report.image_id.fill(std::byte{0xdd});
    json::Value pin = {{"family_id", std::string(32, 'c')}, {"image_id", std::string(32, 'd')}};
    pin["id_key_digest"] = std::string(96, 'a');
    scene.policy["identity"] = json::Value::array({pin});
    EXPECT_THAT(scene.refused_by(), IsEmpty());
    pin["author_key_digest"] = std::string(96, 'b');
    scene.policy["identity"] = json::Value::array({pin});
    EXPECT_THAT(scene.refused_by(), ElementsAre("identity.guest"));  // the field is not in force
    scene.amd.report.author_key_enabled = true;
    EXPECT_THAT(scene.refused_by(), IsEmpty());
    scene.amd.report.image_id[15] ^= std::byte{1};
    EXPECT_THAT(scene.refused_by(), ElementsAre("identity.guest"));
}

TEST(SnpPolicy, PinsOfOtherTeesNameNoGuest) {
    Appraised scene;
    Policy policy = scene.parsed();
    policy.identity = {{attestation::appraise::MrEnclavePin{}, {}}};
    EXPECT_THAT(summarise(appraise(scene.verify(), {}, policy).tree()).failed,
                ::testing::Contains("identity.guest"));
    policy.identity = {{SnpPin{}, {}}};  // made in code, names nothing
    EXPECT_THAT(summarise(appraise(scene.verify(), {}, policy).tree()).failed,
                ::testing::Contains("identity.guest"));
    policy.identity.clear();
    EXPECT_THAT(summarise(appraise(scene.verify(), {}, policy).tree()).failed,
                ::testing::Contains("identity.guest"));
    policy = scene.parsed();
    policy.tees = {"sgx"};
    EXPECT_THAT(summarise(appraise(scene.verify(), {}, policy).tree()).failed,
                ::testing::Contains("policy.tees"));
}

TEST(SnpPolicy, MilanMustBeNamed) {
    Appraised scene(Product::milan);
    EXPECT_THAT(scene.refused_by(), ElementsAre("snp.product"));
    scene.policy["snp"]["products"] = {"milan"};
    EXPECT_THAT(scene.refused_by(), IsEmpty());
}

TEST(SnpPolicy, ProvidersOfVleksMustBeNamed) {
    Appraised scene;
    scene.amd.set_kind(SigningKey::vlek);
    EXPECT_THAT(scene.refused_by(), ElementsAre("snp.signing_key"));
    scene.policy["snp"]["csp_ids"] = {"CN=cc-other.example"};
    EXPECT_THAT(scene.refused_by(), ElementsAre("snp.signing_key"));
    scene.policy["snp"]["csp_ids"] = {"CN=cc-lab.example"};
    EXPECT_THAT(scene.refused_by(), IsEmpty());
    // A list of chips cannot be met by a key that names none.
    scene.policy["snp"]["chip_ids"] = {std::string(128, '0')};
    EXPECT_THAT(scene.refused_by(), ElementsAre("identity.platform"));
}

TEST(SnpPolicy, ChipsCanBeListed) {
    Appraised scene;
    scene.policy["snp"]["chip_ids"] = {hex(scene.amd.report.chip_id)};
    EXPECT_EQ(find_check(scene.run().tree(), "identity.platform")->verdict, Verdict::pass);
    scene.policy["snp"]["chip_ids"] = {std::string(128, '7')};
    EXPECT_THAT(scene.refused_by(), ElementsAre("identity.platform"));
}

// P07: each part on its own.
TEST(SnpPolicy, TheTcbIsComparedPartByPart) {
    Appraised scene;
    json::Value minimum = {{"boot_loader", 4}, {"tee", 0}, {"snp", 24}, {"microcode", 219}};
    scene.policy["snp"]["min_tcb"] = {{"genoa", minimum}};
    EXPECT_THAT(scene.refused_by(), IsEmpty());
    for (const char* part : {"boot_loader", "tee", "snp", "microcode"}) {
        json::Value higher = minimum;
        higher[part] = higher[part].get<int>() + 1;
        scene.policy["snp"]["min_tcb"] = {{"genoa", higher}};
        EXPECT_THAT(scene.refused_by(), ElementsAre("snp.tcb")) << part;
    }
    scene.policy["snp"]["min_tcb"] = {{"genoa", {{"snp", 25}}}};
    EXPECT_THAT(find_check(scene.run().tree(), "snp.tcb")->remedy, HasSubstr("SNP 24, needed 25"));
    // A minimum for another product is not this one's.
    scene.policy["snp"]["min_tcb"] = {{"turin", {{"snp", 200}}}};
    EXPECT_THAT(scene.refused_by(), IsEmpty());
}

// P01, P03: what a guest's launch policy leaves to the host.
TEST(SnpPolicy, LaunchPoliciesAreChecked) {
    auto refused = [](std::uint64_t bits, json::Value rules) {
        Appraised scene;
        scene.amd.report.policy.raw ^= bits;
        scene.policy["snp"] = std::move(rules);
        return scene.refused_by();
    };
    const std::uint64_t one = 1;
    const json::Value none = json::Value::object();
    EXPECT_THAT(refused(one << 19, none), ElementsAre("attributes.debug"));
    EXPECT_THAT(refused(one << 18, none), ElementsAre("snp.policy"));
    EXPECT_THAT(refused(one << 18, {{"allow", {"migration_agent", "smt"}}}), IsEmpty());
    EXPECT_THAT(refused(one << 21, none), ElementsAre("snp.policy"));
    EXPECT_THAT(refused(0, {{"allow", json::Value::array()}}), ElementsAre("snp.policy"));
    EXPECT_THAT(refused(0, {{"require", {"single_socket"}}}), ElementsAre("snp.policy"));
    EXPECT_THAT(refused(one << 20, {{"require", {"single_socket"}}}), IsEmpty());
    EXPECT_THAT(refused(0, {{"require", {"page_swap_disabled"}}}), ElementsAre("snp.policy"));
    EXPECT_THAT(refused(0, {{"min_abi", {{"major", 1}, {"minor", 0}}}}), ElementsAre("snp.policy"));
    EXPECT_THAT(refused(0, {{"min_abi", {{"major", 0}, {"minor", 51}}}}), IsEmpty());
}

TEST(SnpPolicy, ThePlatformMustBeAsDemanded) {
    auto refused = [](std::uint64_t platform, json::Value require) {
        Appraised scene;
        scene.amd.report.platform_info.raw = platform;
        scene.policy["snp"]["require"] = std::move(require);
        return scene.refused_by();
    };
    EXPECT_THAT(refused(0x25, {"ecc", "alias_check_complete"}), IsEmpty());
    EXPECT_THAT(refused(0x05, {"alias_check_complete"}), ElementsAre("snp.platform_info"));
    EXPECT_THAT(refused(0x25, {"tsme"}), ElementsAre("snp.platform_info"));
    EXPECT_THAT(refused(0x24, {"smt_disabled"}), IsEmpty());
    EXPECT_THAT(refused(0x25, {"smt_disabled"}), ElementsAre("snp.platform_info"));
    // The launch policy forbids SMT, and it is on all the same.
    Appraised scene;
    scene.amd.report.policy.raw &= ~(std::uint64_t{1} << 16);
    EXPECT_THAT(scene.refused_by(), ElementsAre("snp.platform_info"));
}

TEST(SnpPolicy, VmplAndMitigationsAreChecked) {
    Appraised scene(Product::turin);
    scene.amd.report.vmpl = 1;
    EXPECT_THAT(scene.refused_by(), ElementsAre("snp.vmpl"));
    scene.policy["snp"]["vmpl"] = {0, 1};
    EXPECT_THAT(scene.refused_by(), IsEmpty());
    scene.policy["snp"]["mitigations"] = "0300000000000000";
    EXPECT_THAT(scene.refused_by(), IsEmpty());
    scene.policy["snp"]["mitigations"] = "0400000000000000";  // now, but not at launch
    EXPECT_THAT(scene.refused_by(), ElementsAre("snp.mitigations"));
    Appraised genoa;
    genoa.policy["snp"]["mitigations"] = "0100000000000000";
    EXPECT_THAT(genoa.refused_by(), ElementsAre("snp.mitigations"));
}

/// A policy with every member of "snp".
json::Value every_member() {
    return {{"version", 1},
            {"name", "all"},
            {"tees", {"sgx", "snp"}},
            {"roots", {{"vendor", {"amd", "intel"}}}},
            {"identity",
             {{{"measurement", std::string(96, 'a')},
               {"host_data", std::string(64, 'b')},
               {"id_key_digest", std::string(96, 'c')},
               {"author_key_digest", std::string(96, 'd')},
               {"family_id", std::string(32, 'e')},
               {"image_id", std::string(32, 'f')},
               {"min_guest_svn", 3}}}},
            {"snp",
             {{"products", {"milan", "turin"}},
              {"min_tcb", {{"turin", {{"fmc", 1}, {"snp", 2}}}, {"milan", {{"microcode", 219}}}}},
              {"vmpl", {0, 2}},
              {"allow", {"cxl"}},
              {"require", {"ecc", "single_socket"}},
              {"min_abi", {{"major", 1}, {"minor", 51}}},
              {"mitigations", "0100000000000080"},
              {"chip_ids", {std::string(128, '1')}},
              {"csp_ids", {"CN=cc.example"}}}}};
}

TEST(SnpPolicy, EveryMemberSurvives) {
    Policy policy = parse_policy(as_bytes(json::compact(every_member()))).value();
    EXPECT_EQ(policy.snp.min_abi, 0x0133);
    EXPECT_EQ(policy.snp.mitigations, 0x8000000000000001u);
    EXPECT_EQ(policy.snp.min_tcb.at(Product::turin).fmc, 1);
    EXPECT_EQ(policy.roots.vendors().size(), 2u);
    Policy again = parse_policy(as_bytes(canonical_policy(policy))).value();
    EXPECT_EQ(again.snp, policy.snp);
    EXPECT_EQ(again.identity, policy.identity);
    EXPECT_EQ(canonical_policy(again), canonical_policy(policy));
}

TEST(SnpPolicy, TwinsFailWithTheirPlace) {
    struct Twin {
        const char* pointer;
        json::Value value;
        Code code;
    };
    const Twin twins[] = {{"/tees", {"sgx"}, bad_policy},
                          {"/roots/vendor", {"intel"}, bad_policy},
                          {"/roots/vendor", {"amd"}, bad_policy},
                          {"/snp/products", json::Value::array(), bad_policy},
                          {"/snp/products", {"rome"}, bad_policy},
                          {"/snp/min_tcb/milan/fmc", 1, bad_policy},
                          {"/snp/min_tcb/milan/snp", 256, json::out_of_range},
                          {"/snp/min_tcb/rome", json::Value::object(), json::unknown_member},
                          {"/snp/vmpl", {4}, json::out_of_range},
                          {"/snp/vmpl", {1, 1}, bad_policy},
                          {"/snp/vmpl", json::Value::array(), bad_policy},
                          {"/snp/allow", {"debug"}, bad_policy},
                          {"/snp/require", {"speed"}, bad_policy},
                          {"/snp/min_abi/minor", 256, json::out_of_range},
                          {"/snp/mitigations", "01", bad_encoding},
                          {"/snp/chip_ids", {"00"}, bad_encoding},
                          {"/snp/else", 1, json::unknown_member},
                          {"/identity/0/measurement", "00", bad_encoding},
                          {"/identity/0/mr_td", std::string(96, 'a'), bad_policy}};
    for (const Twin& twin : twins) {
        json::Value value = every_member();
        value[json::Value::json_pointer(twin.pointer)] = twin.value;
        Result<Policy> policy = parse_policy(as_bytes(json::compact(value)));
        ASSERT_FALSE(policy.has_value()) << twin.pointer;
        EXPECT_EQ(policy.error().code(), twin.code) << twin.pointer;
    }
    // Family and image alone name nobody's guest.
    json::Value value = every_member();
    value["identity"][0] = {{"id_key_digest", std::string(96, 'c')},
                            {"family_id", std::string(32, 'e')}};
    EXPECT_EQ(parse_policy(as_bytes(json::compact(value))).error().code(), bad_policy);
}

/// The schema knows the members that the parser knows.
TEST(SnpPolicy, SchemaNamesExactlyTheMembers) {
    std::ifstream file(EOS_SOURCE_DIR "/docs/formats/policy.schema.json");
    std::string text(std::istreambuf_iterator<char>(file), {});
    json::Value schema = json::parse(as_bytes(text), {}).value();
    std::set<std::string> found;
    for (const auto& [name, value] : schema["properties"]["snp"]["properties"].items())
        found.insert(name);
    Policy policy = parse_policy(as_bytes(json::compact(every_member()))).value();
    std::set<std::string> expected;
    const json::Value written = policy_to_json(policy);
    for (const auto& [name, value] : written["snp"].items()) expected.insert(name);
    EXPECT_EQ(found, expected);
}

}  // namespace
}  // namespace eos::emulation::snp
