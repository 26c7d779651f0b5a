// SPDX-License-Identifier: AGPL-3.0-only
// Trust domains against policies: synthetic ones, where each rule has a twin that fails at exactly
// its node, and the real ones of the corpus.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/attestation/appraise/appraise.h"
#include "common/attestation/verify/corpus_test.h"
#include "common/attestation/verify/synthetic_intel_test.h"
#include "common/base/encoding.h"
#include "common/oid/registry.h"

namespace eos::attestation::appraise {
namespace {

using evidence::TdReportKind;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::kNow;
using testing::Row;
using testing::SyntheticIntel;
using verify::passed;

LeafClaims good_leaf() {
    LeafClaims out;
    out.extensions[oid::kAssurance] = to_bytes("production");
    out.binding = BindingClaim{.format = std::string(kBindingV1Challenge),
                               .report_data = passed({"report_data", "test"}),
                               .level = passed({"binding.level", "test"})};
    out.leaf_binding = passed({"leaf_binding", "test"});
    return out;
}

/// A pin for exactly this TD.
TdPin pin_of(const evidence::TdReport& td) {
    TdPin out{.mr_td = td.mr_td,
              .mr_config_id = td.mr_config_id,
              .mr_owner = td.mr_owner,
              .mr_owner_config = td.mr_owner_config};
    for (std::size_t i = 0; i < out.rtmr.size(); ++i) out.rtmr[i] = td.rtmr[i];
    return out;
}

/// A trust domain and a policy that fit each other, for a test to alter.
struct Scene {
    SyntheticIntel intel;
    Policy policy;
    LeafClaims leaf = good_leaf();

    explicit Scene(TdReportKind kind = TdReportKind::tdx15) {
        intel.make_tdx(kind);
        policy.name = "lab";
        policy.roots = intel.roots();
        policy.tees = {std::string(kTeeTdx)};
        policy.identity = {{pin_of(*intel.td), {}}};
    }

    AttestationResult run() const {
        return appraise(
            verify::verify_quote(intel.quote(), intel.endorsements(), policy.roots, kNow), leaf,
            policy);
    }
    std::vector<std::string> failures() const { return summarise(run().tree()).failed; }
};

TEST(TdAppraise, FittingTrustDomainsAreAccepted) {
    for (TdReportKind kind :
         {TdReportKind::tdx10, TdReportKind::tdx15, TdReportKind::tdx15_extended}) {
        Scene scene(kind);
        AttestationResult result = scene.run();
        EXPECT_EQ(result.outcome(), Outcome::accepted_emulated) << result.text();
        const json::Value& claims = result.claims();
        EXPECT_EQ(claims["tee"], "tdx");
        EXPECT_EQ(claims["debug"], false);
        EXPECT_EQ(claims["report_kind"], td_report_kind_name(kind));
        EXPECT_EQ(claims["rtmr3"], hex(scene.intel.td->rtmr[3]));
        EXPECT_EQ(claims["td_attributes"], "0000001000000000");
        EXPECT_EQ(claims["platform"]["ppid"], hex(scene.intel.platform.ppid));
        EXPECT_EQ(claims["platform"]["fmspc"], hex(scene.intel.platform.fmspc));
        EXPECT_EQ(claims["tcb"]["tdx_module_status"], "UpToDate");
    }
}

struct Twin {
    const char* what;
    void (*alter)(Scene&);
    const char* node;
};

TEST(TdAppraise, EveryRuleHasItsNode) {
    const Twin twins[] = {
        {"policy for SGX only", [](Scene& s) { s.policy.tees = {std::string(kTeeSgx)}; },
         "policy.tees"},
        {"mr_td", [](Scene& s) { s.intel.td->mr_td[0] ^= std::byte{1}; }, "identity.td"},
        {"rtmr0", [](Scene& s) { s.intel.td->rtmr[0][1] ^= std::byte{1}; }, "identity.td"},
        {"rtmr3", [](Scene& s) { s.intel.td->rtmr[3][47] ^= std::byte{1}; }, "identity.td"},
        {"mr_config_id", [](Scene& s) { s.intel.td->mr_config_id[0] ^= std::byte{1}; },
         "identity.td"},
        {"mr_owner", [](Scene& s) { s.intel.td->mr_owner[0] ^= std::byte{1}; }, "identity.td"},
        {"mr_owner_config", [](Scene& s) { s.intel.td->mr_owner_config[0] ^= std::byte{1}; },
         "identity.td"},
        {"no pin", [](Scene& s) { s.policy.identity.clear(); }, "identity.td"},
        {"a pin for SGX",
         [](Scene& s) { s.policy.identity = {{MrEnclavePin{s.intel.report.mr_enclave}, {}}}; },
         "identity.td"},
        {"a pin that forgot the kernel",
         [](Scene& s) { std::get<TdPin>(s.policy.identity[0].identity).rtmr[2].reset(); },
         "identity.td"},
        {"MIGRATABLE", [](Scene& s) { s.intel.td->td_attributes |= evidence::kTdMigratable; },
         "td.attributes"},
        {"PKS", [](Scene& s) { s.intel.td->td_attributes |= evidence::kTdPks; }, "td.attributes"},
        {"KL", [](Scene& s) { s.intel.td->td_attributes |= evidence::kTdKeyLocker; },
         "td.attributes"},
        {"PERFMON", [](Scene& s) { s.intel.td->td_attributes |= evidence::kTdPerfmon; },
         "td.attributes"},
        {"reserved", [](Scene& s) { s.intel.td->td_attributes |= 1u << 20; }, "td.attributes"},
        {"SEPT_VE_DISABLE 0", [](Scene& s) { s.intel.td->td_attributes = 0; }, "td.attributes"},
        {"unknown XFAM", [](Scene& s) { s.intel.td->xfam |= 1u << 20; }, "td.xfam"},
        {"XFAM without SSE", [](Scene& s) { s.intel.td->xfam = 1; }, "td.xfam"},
        {"XFAM narrowed", [](Scene& s) { s.policy.tdx.xfam = 3; }, "td.xfam"},
        {"another module", [](Scene& s) { s.policy.tdx.mr_seam = {{}}; }, "td.mr_seam"},
        {"another module signer",
         [](Scene& s) { s.policy.tdx.mr_signer_seam = {s.intel.td->mr_td}; }, "td.mr_signer_seam"},
        {"service TD", [](Scene& s) { s.intel.td->td15->mr_service_td[0] = std::byte{1}; },
         "td.mr_service_td"},
        {"min evaluation number", [](Scene& s) { s.policy.tcb.min_evaluation_data_number = 21; },
         "tcb.evaluation_data_number"},
        {"platform", [](Scene& s) { s.policy.platforms = {{}}; }, "identity.platform"},
    };
    for (const Twin& twin : twins) {
        Scene scene;
        twin.alter(scene);
        AttestationResult result = scene.run();
        EXPECT_EQ(result.outcome(), Outcome::rejected) << twin.what;
        EXPECT_THAT(summarise(result.tree()).failed, ElementsAre(twin.node)) << twin.what;
        EXPECT_EQ(result.exit_code(), kExitNotAcceptable) << twin.what;
        EXPECT_FALSE(find_check(result.tree(), twin.node)->remedy.empty()) << twin.what;
    }
}

TEST(TdAppraise, ExtendedReports) {
    Scene inner(TdReportKind::tdx15_extended);
    inner.intel.td->extended->vm_id = 1;
    EXPECT_THAT(inner.failures(), ElementsAre("td.vm"));
    inner.policy.tdx.allow = {TdFreedom::inner_vm};
    EXPECT_EQ(inner.run().outcome(), Outcome::accepted_emulated);
    for (auto member : {&evidence::Td15ExtendedFields::initial_service_td_hash,
                        &evidence::Td15ExtendedFields::current_service_td_hash}) {
        Scene migrated(TdReportKind::tdx15_extended);
        ((*migrated.intel.td->extended).*member)[3] = std::byte{9};
        EXPECT_THAT(migrated.failures(), ElementsAre("td.mr_service_td"));
    }
}

TEST(TdAppraise, EachFreedomAllowsItsOwnAttributeOnly) {
    const std::pair<TdFreedom, std::uint64_t> freedoms[] = {
        {TdFreedom::migratable, evidence::kTdMigratable | evidence::kTdSeptVeDisable},
        {TdFreedom::pks, evidence::kTdPks | evidence::kTdSeptVeDisable},
        {TdFreedom::key_locker, evidence::kTdKeyLocker | evidence::kTdSeptVeDisable},
        {TdFreedom::perfmon, evidence::kTdPerfmon | evidence::kTdSeptVeDisable},
        {TdFreedom::sept_ve_enabled, 0}};
    for (const auto& [allowed, unused] : freedoms) {
        for (const auto& [freedom, attributes] : freedoms) {
            Scene scene;
            scene.policy.tdx.allow = {allowed};
            scene.intel.td->td_attributes = attributes;
            EXPECT_EQ(scene.failures().empty(), allowed == freedom)
                << td_freedom_name(allowed) << ", " << td_freedom_name(freedom);
        }
    }
}

TEST(TdAppraise, AnyBitOfTudIsDebug) {
    for (unsigned bit = 0; bit < 8; ++bit) {
        Scene scene;
        scene.intel.td->td_attributes |= 1u << bit;
        scene.leaf.extensions[oid::kAssurance] = to_bytes("debug");
        scene.policy.assurance = {"debug"};
        EXPECT_THAT(scene.failures(), ElementsAre("attributes.debug"));
        scene.policy.debug = DebugRule::allow_emulated;
        EXPECT_EQ(scene.run().outcome(), Outcome::accepted_emulated);
        scene.policy.assurance = {"production"};
        scene.leaf.extensions[oid::kAssurance] = to_bytes("production");
        EXPECT_THAT(scene.failures(), ElementsAre("assurance"));
    }
}

TEST(TdAppraise, WhatAPinLeavesOpenIsNamed) {
    Scene scene;
    auto& pin = std::get<TdPin>(scene.policy.identity[0].identity);
    pin.rtmr[0].reset();
    pin.rtmr[3].reset();
    pin.mr_owner.reset();  // zero in the report: nothing is open
    EXPECT_THAT(find_check(scene.run().tree(), "identity.td")->notes.at(0),
                HasSubstr("; not pinned: rtmr0, rtmr3"));
    pin.rtmr[1].reset();
    EXPECT_THAT(scene.failures(), ElementsAre("identity.td"));
    pin.scope = TdScope::firmware_only;
    AttestationResult result = scene.run();
    EXPECT_EQ(result.outcome(), Outcome::accepted_emulated);
    EXPECT_THAT(find_check(result.tree(), "identity.td")->notes.at(0), HasSubstr("ANY kernel"));
}

TEST(TdAppraise, RemediesAreInWords) {
    auto remedy = [](const Scene& scene) {
        AttestationResult result = scene.run();
        EXPECT_THAT(summarise(result.tree()).failed, ElementsAre("tcb.status"));
        return find_check(result.tree(), "tcb.status")->remedy;
    };
    Scene old(TdReportKind::tdx10);
    old.intel.td->tee_tcb_svn[0] = std::byte{6};
    EXPECT_EQ(remedy(old), "TDX module SVN 6, level needs 11: update the SEAM module");
    Scene relaunch;
    relaunch.intel.td->tee_tcb_svn[0] = std::byte{6};
    EXPECT_EQ(remedy(relaunch), "start the TD anew: its TDX module was updated after its launch");
    relaunch.policy.tcb.statuses.insert(endorsements::TcbStatus::td_relaunch_advised);
    EXPECT_EQ(relaunch.run().outcome(), Outcome::accepted_emulated);
    Scene qe(TdReportKind::tdx10);
    qe.intel.qe_report.isv_svn = 5;
    EXPECT_EQ(remedy(qe), "quoting enclave SVN 5, level needs 8: update the quoting enclave");
}

TEST(TdAppraise, ATdPinDoesNotNameAnEnclave) {
    SyntheticIntel intel;
    Scene scene;
    Policy policy = scene.policy;
    policy.roots = intel.roots();
    policy.tees = {std::string(kTeeSgx), std::string(kTeeTdx)};
    AttestationResult result =
        appraise(verify::verify_quote(intel.quote(), intel.endorsements(), intel.roots(), kNow),
                 good_leaf(), policy);
    EXPECT_THAT(summarise(result.tree()).failed, ElementsAre("identity.enclave"));
}

// --- the policy's JSON ---

const std::string kM(96, 'a');

json::Value td_policy() {
    return {{"version", 1},
            {"name", "td"},
            {"tees", {"tdx"}},
            {"roots", {{"vendor", {"intel"}}}},
            {"identity", {{{"mr_td", kM}, {"rtmr1", kM}, {"rtmr2", kM}}}}};
}

Result<Policy> parse(const json::Value& value) {
    return parse_policy(as_bytes(json::compact(value)));
}

TEST(TdPolicy, WhatIsLeftOutIsStrict) {
    Result<Policy> policy = parse(td_policy());
    ASSERT_TRUE(policy.has_value()) << policy.error().message();
    EXPECT_EQ(policy->tdx, TdxRule{});
    EXPECT_TRUE(policy->tdx.allow.empty());
    EXPECT_THAT(policy->tdx.mr_service_td, ElementsAre(ByteArray<48>{}));
    EXPECT_THAT(policy->tdx.mr_signer_seam, ElementsAre(ByteArray<48>{}));
    EXPECT_EQ(std::get<TdPin>(policy->identity[0].identity).scope, TdScope::whole_system);
}

TEST(TdPolicy, EveryMemberSurvivesItsCanonicalForm) {
    json::Value value = td_policy();
    json::Value& pin = value["identity"][0];
    for (const char* name : {"rtmr0", "rtmr3", "mr_config_id", "mr_owner", "mr_owner_config"})
        pin[name] = kM;
    pin["bindings"] = {"v1-deterministic"};
    value["identity"].push_back(
        {{"mr_td", kM}, {"any_kernel", "i-understand-any-kernel-is-accepted"}});
    value["tcb"] = {{"statuses", {"UpToDate", "TDRelaunchAdvised"}}};
    value["waivers"] = {"tdx_module.identity"};
    value["tdx"] = {{"mr_seam", {kM}},
                    {"mr_signer_seam", {kM}},
                    {"mr_service_td", {kM, std::string(96, '0')}},
                    {"allow", {"pks", "inner_vm", "sept_ve_enabled"}},
                    {"xfam", "e702060000000000"}};
    Result<Policy> policy = parse(value);
    ASSERT_TRUE(policy.has_value()) << policy.error().message();
    EXPECT_EQ(policy->tdx.xfam, 0x000602e7u);
    EXPECT_EQ(policy->tdx.allow.size(), 3u);
    EXPECT_EQ(std::get<TdPin>(policy->identity[1].identity).scope, TdScope::firmware_only);
    std::string canonical = canonical_policy(*policy);
    Result<Policy> again = parse_policy(as_bytes(canonical));
    ASSERT_TRUE(again.has_value()) << again.error().message();
    EXPECT_EQ(canonical_policy(*again), canonical);
    EXPECT_EQ(again->tdx, policy->tdx);
    EXPECT_THAT(again->identity, ::testing::UnorderedElementsAreArray(policy->identity));
}

TEST(TdPolicy, TwinsFail) {
    struct PolicyTwin {
        std::string pointer;
        json::Value value;  ///< null removes the member
        Code code;
    };
    const PolicyTwin twins[] = {
        {"/tees", {"sgx"}, bad_policy},  // a pin that no accepted TEE can match
        {"/tees", {}, bad_policy},
        {"/tees", {"tdx", "tdx"}, bad_policy},
        {"/tees", {"tdx2"}, bad_policy},
        {"/identity/0/rtmr1", {}, bad_policy},
        {"/identity/0/rtmr2", {}, bad_policy},
        {"/identity/0/any_kernel", "i-understand-any-kernel-is-accepted", bad_policy},
        {"/identity/0/any_kernel", true, json::wrong_type},
        {"/identity/0/rtmr4", kM, json::unknown_member},
        {"/identity/0/mr_td", std::string(64, 'a'), bad_encoding},
        {"/identity/0/mr_enclave", std::string(64, 'a'), json::unknown_member},
        {"/identity/0/mr_owner", 1, json::wrong_type},
        {"/tdx", {{"allow", {"debug"}}}, bad_policy},
        {"/tdx", {{"allow", {"pks", "pks"}}}, bad_policy},
        {"/tdx", {{"xfam", "ff"}}, bad_encoding},
        {"/tdx", {{"mr_service_td", json::Value::array()}}, bad_policy},
        {"/tdx", {{"mr_signer_seam", json::Value::array()}}, bad_policy},
        {"/tdx", {{"mr_seam", {"00"}}}, bad_encoding},
        {"/tdx", {{"mrseam", {kM}}}, json::unknown_member},
        {"/tdx", "strict", json::wrong_type},
    };
    for (const PolicyTwin& twin : twins) {
        SCOPED_TRACE(twin.pointer + " " + json::compact(twin.value));
        json::Value whole = td_policy();
        json::Value::json_pointer pointer{twin.pointer};
        if (twin.value.is_null()) {
            whole[pointer.parent_pointer()].erase(pointer.back());
        } else {
            whole[pointer] = twin.value;
        }
        Result<Policy> policy = parse(whole);
        ASSERT_FALSE(policy.has_value());
        EXPECT_EQ(policy.error().code(), twin.code) << policy.error().message();
    }
    json::Value sgx = td_policy();
    sgx["tees"] = {"sgx"};
    sgx["identity"] = {{{"mr_enclave", std::string(64, 'a')}}};
    sgx["tdx"] = json::Value::object();
    EXPECT_EQ(parse(sgx).error().code(), bad_policy);
    json::Value wrong_word = td_policy();
    wrong_word["identity"][0].erase("rtmr1");
    wrong_word["identity"][0]["any_kernel"] = "yes";
    EXPECT_EQ(parse(wrong_word).error().code(), bad_policy);
}

// --- real trust domains ---

class RealTd : public testing::Corpus {
  protected:
    static AttestationResult run(const Row& row, const std::function<void(Policy&)>& alter) {
        verify::Verification verification =
            verify::verify_quote(row.quote, row.endorsements, verify::Roots::intel(), row.time);
        const auto& claims = std::get<verify::TdxClaims>(verification.evidence()->claims());
        Policy policy;
        policy.name = row.text("id");
        policy.tees = {std::string(kTeeTdx)};
        policy.identity = {{pin_of(claims.report), {}}};
        alter(policy);
        return appraise(verification, good_leaf(), policy);
    }
    static std::vector<std::string> failures(const Row& row) {
        return summarise(run(row, [](Policy&) {}).tree()).failed;
    }
};

TEST_F(RealTd, UpToDateOnesAreAcceptedByAStrictPolicy) {
    for (const char* id : {"tdx4-dcapqvl-sample", "tdx4-dcapqvl-near", "tdx4-teepot-tdx1",
                           "tdx4-gcp-cos113", "tdx4-dstack-report", "tdx4-dstack-attestation"}) {
        AttestationResult result = run(row(id), [](Policy&) {});
        EXPECT_EQ(result.outcome(), Outcome::accepted) << id << result.text();
        EXPECT_EQ(result.claims()["tcb"]["status"], "UpToDate");
    }
}

TEST_F(RealTd, EachIsRefusedForItsOwnReason) {
    EXPECT_THAT(failures(row("tdx4-itaclient")), ElementsAre("td.attributes"));  // SEPT_VE
    EXPECT_THAT(failures(row("tdx5-automata-alibaba")), ElementsAre("td.mr_service_td"));
    EXPECT_THAT(failures(row("tdx4-dcaprs")), ElementsAre("tcb.status"));
    EXPECT_THAT(failures(row("tdx5-oe-outofdate")),
                ElementsAre("td.attributes", "td.mr_service_td", "tcb.status"));
    const std::vector<std::string> debug = failures(row("tdx4-trustee-debugtd"));
    EXPECT_THAT(debug, ElementsAre("attributes.debug", "assurance"));
    AttestationResult azure = run(row("tdx4-itaclient"), [](Policy& policy) {
        policy.tdx.allow = {TdFreedom::sept_ve_enabled};
    });
    EXPECT_EQ(azure.outcome(), Outcome::accepted) << azure.text();
}

TEST_F(RealTd, OldModulesAreNamedInTheRemedy) {
    AttestationResult result = run(row("tdx4-gcp-cos113-2026"), [](Policy&) {});
    EXPECT_THAT(find_check(result.tree(), "tcb.status")->remedy,
                HasSubstr("TDX module SVN 4, level needs 13: update the SEAM module"));
}

}  // namespace
}  // namespace eos::attestation::appraise
