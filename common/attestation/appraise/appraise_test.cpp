// SPDX-License-Identifier: AGPL-3.0-only
#include "common/attestation/appraise/appraise.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <concepts>

#include "common/attestation/verify/synthetic_intel_test.h"
#include "common/base/codec.h"
#include "common/base/encoding.h"
#include "common/oid/registry.h"

namespace eos::attestation::appraise {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::kNow;
using ::testing::StartsWith;
using testing::SyntheticIntel;
using verify::Check;
using verify::failed;
using verify::passed;
using verify::Verdict;

static_assert(!std::default_initializable<AttestationResult>);

constexpr std::string_view kEmulated = "accepted, EMULATED: protects nothing";

Bytes instance_value(std::uint64_t generation) {
    Writer out;
    out.bytes(Bytes(16, std::byte{0x22})).bytes(Bytes(16, std::byte{0x33})).u64be(generation);
    return std::move(out).take();
}

/// Evidence, certificate and policy that fit each other, for a test to alter.
struct Scene {
    SyntheticIntel intel;
    LeafClaims leaf;
    Policy policy;
    std::optional<verify::Roots> roots;  ///< for verification, if not the policy's
    bool with_endorsements = true;
    std::optional<InstanceMemory> memory;

    Scene() {
        policy.name = "lab";
        policy.roots = intel.roots();
        policy.identity = {{MrEnclavePin{intel.report.mr_enclave}, {}}};
        leaf.extensions[oid::kAssurance] = to_bytes("production");
        leaf.extensions[oid::kPolicyRoot] = Bytes(32, std::byte{0x44});
        leaf.extensions[oid::kInstance] = instance_value(7);
        leaf.binding = BindingClaim{.format = std::string(kBindingV1Challenge),
                                    .report_data = passed({"report_data", "test"}),
                                    .level = passed({"binding.level", "test"}, "level 2")};
        leaf.leaf_binding = passed({"leaf_binding", "test"});
    }

    AttestationResult run() const {
        return appraise(verify::verify_quote(
                            intel.quote(),
                            with_endorsements ? intel.endorsements() : endorsements::Endorsements{},
                            roots.value_or(policy.roots), kNow),
                        leaf, policy, memory ? &*memory : nullptr);
    }

    /// The leaf of another start (`boot`: a number for its boot id) at another generation.
    void set_instance(unsigned boot, std::uint64_t generation) {
        Bytes value = instance_value(generation);
        value[16] = static_cast<std::byte>(boot);
        leaf.extensions[oid::kInstance] = value;
    }
    /// Accepts and remembers.
    void see(unsigned boot, std::uint64_t generation) {
        set_instance(boot, generation);
        AttestationResult result = run();
        ASSERT_EQ(result.outcome(), Outcome::accepted_emulated) << result.text();
        ASSERT_TRUE(memory->remember({*result.instance(), "a.test", kNow}));
    }
};

std::vector<std::string> failures(const AttestationResult& result) {
    return summarise(result.tree()).failed;
}

void expect_rejected(const Scene& scene, const std::string& id, int exit_code) {
    AttestationResult result = scene.run();
    EXPECT_EQ(result.outcome(), Outcome::rejected);
    EXPECT_THAT(failures(result), ElementsAre(id)) << result.text();
    EXPECT_EQ(result.exit_code(), exit_code);
    EXPECT_EQ(result.summary(), "rejected: " + id);
    const Check* node = find_check(result.tree(), id);
    ASSERT_NE(node, nullptr);
    EXPECT_FALSE(node->expected.empty() && node->notes.empty()) << id;
    EXPECT_FALSE(node->remedy.empty()) << id;
    EXPECT_FALSE(node->source.empty()) << id;
}

TEST(Appraise, EmulatedEvidenceIsOnlyEverAcceptedAsEmulated) {
    Scene scene;
    AttestationResult result = scene.run();
    EXPECT_EQ(result.outcome(), Outcome::accepted_emulated) << result.text();
    EXPECT_EQ(result.exit_code(), 10);
    EXPECT_EQ(result.summary(), kEmulated);
    EXPECT_THAT(result.text(), StartsWith(std::string(kEmulated) + "\n"));
    json::Value json = result.to_json();
    EXPECT_EQ(json["outcome"], "accepted_emulated");
    EXPECT_EQ(json["summary"], kEmulated);
    EXPECT_EQ(json["exit_code"], 10);
    EXPECT_EQ(json["claims"]["emulated"], true);
    EXPECT_EQ(json["tree"]["verdict"], "pass");
    EXPECT_EQ(json["policy"]["sha256"], hex(policy_hash(scene.policy)));
    EXPECT_EQ(json["time"], rfc3339(kNow));
}

/// Whatever a policy says and whatever roots verification was given: evidence under a test root
/// never gives the outcome `accepted`.
TEST(Appraise, NoPathLeadsFromATestRootToAccepted) {
    Scene base;
    SyntheticIntel other;
    const Bytes quote = base.intel.quote();
    const verify::Roots all_roots[] = {
        verify::Roots::intel(), base.intel.roots(), other.roots(),
        verify::Roots::test({{"a", base.intel.root()}, {"b", other.root()}}).value()};
    int emulated = 0;
    for (const verify::Roots& verified_under : all_roots) {
        const verify::Verification verifications[] = {
            verify::verify_quote(quote, base.intel.endorsements(), verified_under, kNow),
            verify::verify_quote(quote, {}, verified_under, kNow)};
        for (const verify::Roots& in_policy : all_roots) {
            for (unsigned bits = 0; bits < 32; ++bits) {
                Policy policy = base.policy;
                policy.roots = in_policy;
                policy.allow_any_identity = (bits & 1) != 0;
                if ((bits & 2) != 0) policy.debug = DebugRule::allow_emulated;
                if ((bits & 4) != 0) {
                    auto waivable = waivable_checks(verify::RootKind::test);
                    policy.waivers.insert(waivable.begin(), waivable.end());
                }
                if ((bits & 8) != 0) policy.leaf_binding = LeafBindingRule::optional;
                if ((bits & 16) != 0) policy.identity.clear();
                for (const verify::Verification& verification : verifications) {
                    AttestationResult result = appraise(verification, base.leaf, policy);
                    ASSERT_NE(result.outcome(), Outcome::accepted);
                    ASSERT_NE(result.exit_code(), kExitAccepted);
                    ASSERT_NE(result.summary(), "accepted");
                    emulated += result.outcome() == Outcome::accepted_emulated ? 1 : 0;
                }
            }
        }
    }
    EXPECT_GT(emulated, 0);
}

TEST(Appraise, RootsOfVerificationMustBeThePolicys) {
    Scene scene;
    SyntheticIntel other;
    scene.roots = scene.intel.roots();
    scene.policy.roots = other.roots();
    expect_rejected(scene, "policy.roots", kExitNotAcceptable);
    scene.policy.roots = verify::Roots::intel();
    expect_rejected(scene, "policy.roots", kExitNotAcceptable);
}

TEST(Appraise, EvidenceThatIsNotGenuineHasNoClaims) {
    Scene scene;
    scene.intel.alter_quote = [](Bytes& quote) { quote[112] ^= std::byte{1}; };
    AttestationResult result = scene.run();
    EXPECT_EQ(result.exit_code(), kExitNotGenuine);
    EXPECT_THAT(failures(result), ElementsAre("quote.signature"));
    EXPECT_TRUE(result.claims().is_null());
    EXPECT_FALSE(result.to_json().contains("claims"));
    EXPECT_EQ(find_check(result.tree(), "identity.enclave")->verdict, Verdict::not_evaluated);
    // What the checks of the certificate found is shown all the same.
    EXPECT_EQ(find_check(result.tree(), "report_data")->verdict, Verdict::pass);
}

TEST(Appraise, IdentityPins) {
    Scene scene;
    scene.policy.identity = {{MrEnclavePin{}, {}},
                             {MrSignerPin{scene.intel.report.mr_signer, 1, 8}, {}}};
    EXPECT_EQ(scene.run().outcome(), Outcome::accepted_emulated);
    for (const MrSignerPin& wrong : {MrSignerPin{scene.intel.report.mr_signer, 1, 9},
                                     MrSignerPin{scene.intel.report.mr_signer, 2, 8},
                                     MrSignerPin{scene.intel.report.mr_enclave, 1, 8}}) {
        scene.policy.identity = {{wrong, {}}};
        AttestationResult result = scene.run();
        EXPECT_THAT(failures(result), ElementsAre("identity.enclave"));
        EXPECT_EQ(result.exit_code(), kExitNotAcceptable);
    }
    scene.policy.identity.clear();
    AttestationResult none = scene.run();
    EXPECT_EQ(none.outcome(), Outcome::rejected);
    EXPECT_THAT(find_check(none.tree(), "identity.enclave")->expected, HasSubstr("has none"));
    scene.policy.allow_any_identity = true;
    AttestationResult any = scene.run();
    EXPECT_EQ(any.outcome(), Outcome::accepted_emulated);
    EXPECT_THAT(any.text(), HasSubstr("ANY enclave is accepted"));
}

TEST(Appraise, AChangedEnclaveIsNamed) {
    Scene scene;
    scene.intel.report.mr_enclave.fill(std::byte{0x99});
    AttestationResult result = scene.run();
    const Check* node = find_check(result.tree(), "identity.enclave");
    EXPECT_EQ(node->verdict, Verdict::fail);
    EXPECT_THAT(node->found, HasSubstr("mr_enclave 9999"));
    EXPECT_THAT(node->expected, HasSubstr("mr_enclave 6060"));
}

TEST(Appraise, DebugAndInit) {
    Scene scene;
    scene.intel.report.attributes.flags |= sgx_arch::kAttributeDebug;
    scene.leaf.extensions[oid::kAssurance] = to_bytes("debug");
    scene.policy.assurance = {"debug"};
    expect_rejected(scene, "attributes.debug", kExitNotAcceptable);
    scene.policy.debug = DebugRule::allow_emulated;
    EXPECT_EQ(scene.run().outcome(), Outcome::accepted_emulated);
    scene.leaf.extensions[oid::kAssurance] = to_bytes("production");
    scene.policy.assurance = {"production"};
    expect_rejected(scene, "assurance", kExitNotAcceptable);

    Scene dead;
    dead.intel.report.attributes.flags &= ~sgx_arch::kAttributeInit;
    expect_rejected(dead, "attributes.init", kExitNotAcceptable);
}

TEST(Appraise, Assurance) {
    Scene scene;
    scene.leaf.extensions[oid::kAssurance] = to_bytes("process");
    expect_rejected(scene, "assurance", kExitNotAcceptable);
    scene.leaf.extensions.erase(oid::kAssurance);
    AttestationResult result = scene.run();
    EXPECT_EQ(result.exit_code(), kExitIncomplete);
    EXPECT_EQ(result.summary(), "rejected: not evaluated: assurance");
    scene.policy.waivers = {"assurance"};
    EXPECT_EQ(scene.run().outcome(), Outcome::accepted_emulated);
}

TEST(Appraise, WhatIsNotEvaluatedNeedsAWaiverOfItsOwn) {
    Scene scene;
    scene.with_endorsements = false;
    AttestationResult result = scene.run();
    EXPECT_EQ(result.exit_code(), kExitIncomplete);
    EXPECT_EQ(result.summary(),
              "rejected: not evaluated: qe.identity, tcb.level, crl.root, crl.pck");
    scene.policy.waivers = {"qe.identity", "tcb.level", "crl.root"};
    EXPECT_EQ(scene.run().summary(), "rejected: not evaluated: crl.pck");
    scene.policy.waivers.insert("crl.pck");
    AttestationResult waived = scene.run();
    EXPECT_EQ(waived.outcome(), Outcome::accepted_emulated);
    EXPECT_EQ(waived.to_json()["waived"],
              json::Value({"qe.identity", "tcb.level", "crl.root", "crl.pck"}));
    EXPECT_THAT(waived.text(), HasSubstr("crl.pck (not evaluated, waived by the policy)"));
}

// A policy that was made by code, and not read, cannot waive more than one that was read.
TEST(Appraise, WhatMayNotBeWaivedDecidesWhateverThePolicySays) {
    Scene scene;
    scene.leaf.binding.reset();
    scene.leaf.leaf_binding.reset();
    scene.policy.waivers = {"report_data", "binding.level", "leaf_binding"};
    EXPECT_EQ(scene.run().summary(),
              "rejected: not evaluated: report_data, binding.level, leaf_binding");
    EXPECT_EQ(scene.run().to_json()["waived"], json::Value::array());

    Scene real;
    real.with_endorsements = false;
    real.roots = real.policy.roots;
    real.policy.roots = verify::Roots::intel();
    real.policy.waivers = {"qe.identity", "tcb.level", "crl.root", "crl.pck"};
    EXPECT_EQ(real.run().summary(), "rejected: policy.roots; not evaluated: qe.identity");
}

TEST(Appraise, AWaiverDoesNotHideAFailure) {
    Scene scene;
    scene.policy.waivers = {"crl.pck", "tcb.level"};
    scene.intel.pck_revoked = {scene.intel.pck_recipe.serial};
    expect_rejected(scene, "crl.pck", kExitNotGenuine);
}

TEST(AppraiseMemory, WithoutOneNothingIsSaidAboutIt) {
    AttestationResult result = Scene().run();
    EXPECT_EQ(find_check(result.tree(), kStateRollback), nullptr);
    EXPECT_EQ(find_check(result.tree(), kStateFork), nullptr);
    EXPECT_EQ(result.instance()->generation, 7u);
}

TEST(AppraiseMemory, AnInstanceMayGoOnAndStartAnew) {
    Scene scene;
    scene.memory.emplace();
    scene.see(1, 7);
    scene.see(1, 7);
    scene.see(1, 9);
    scene.see(2, 9);
    scene.see(3, 12);
}

TEST(AppraiseMemory, OlderStateOfTheSameInstanceIsARollback) {
    Scene scene;
    scene.memory.emplace();
    scene.see(1, 7);
    scene.set_instance(2, 6);
    expect_rejected(scene, "state_rollback", kExitOldState);
    EXPECT_FALSE(scene.run().instance().has_value());
    EXPECT_EQ(scene.memory->find(scene.memory->instances().begin()->first)->generation, 7u);
    // Nor under another name: an instance has one state.
    scene.leaf.server_name = "other.test";
    expect_rejected(scene, "state_rollback", kExitOldState);
    // Another instance is another story.
    scene.leaf.extensions[oid::kInstance][0] ^= std::byte{1};
    EXPECT_EQ(scene.run().outcome(), Outcome::accepted_emulated);
}

TEST(AppraiseMemory, ALeafThatWasBegunBeforeAChangeIsNoRollback) {
    Scene scene;
    scene.memory.emplace();
    scene.see(1, 7);
    scene.see(1, 6);
    EXPECT_EQ(scene.memory->instances().begin()->second.generation, 7u);
    scene.set_instance(2, 6);
    expect_rejected(scene, "state_rollback", kExitOldState);
}

TEST(AppraiseMemory, StartsThatAlternateAreAFork) {
    Scene scene;
    scene.memory.emplace();
    scene.see(1, 7);
    scene.see(2, 7);
    scene.set_instance(1, 7);
    expect_rejected(scene, "state_fork", kExitOldState);
    scene.set_instance(1, 8);
    expect_rejected(scene, "state_fork", kExitOldState);
    scene.see(2, 8);
    scene.set_instance(1, 7);
    EXPECT_THAT(failures(scene.run()), ElementsAre("state_rollback", "state_fork"));
}

TEST(AppraiseMemory, ANameThatMovedToAnotherInstanceIsPointedOut) {
    Scene scene;
    scene.leaf.server_name = "a.test";
    scene.memory.emplace();
    scene.see(1, 7);
    scene.leaf.extensions[oid::kInstance][0] ^= std::byte{1};
    AttestationResult result = scene.run();
    EXPECT_EQ(result.outcome(), Outcome::accepted_emulated);
    EXPECT_THAT(result.text(), HasSubstr("this name was that of instance 22222222"));
}

TEST(AppraiseMemory, ALeafWithoutInstanceHasNoStateToRollBack) {
    Scene scene;
    scene.memory.emplace();
    scene.see(1, 7);
    scene.leaf.extensions.erase(oid::kInstance);
    AttestationResult result = scene.run();
    EXPECT_EQ(result.outcome(), Outcome::accepted_emulated);
    EXPECT_EQ(find_check(result.tree(), kStateRollback)->verdict, Verdict::not_evaluated);
}

TEST(AppraiseMemory, WhatIsWorseDecidesTheExitCode) {
    Scene scene;
    scene.memory.emplace();
    scene.see(1, 7);
    scene.set_instance(2, 6);
    scene.leaf.leaf_binding = failed({"leaf_binding", "test"}, {"a", "b"});
    EXPECT_EQ(scene.run().exit_code(), kExitNotBound);
    scene.leaf.leaf_binding = passed({"leaf_binding", "test"});
    scene.leaf.extensions[oid::kAssurance] = to_bytes("process");
    EXPECT_EQ(scene.run().exit_code(), kExitOldState);
}

TEST(Appraise, TcbStatusAndAdvisories) {
    Scene scene;
    scene.intel.tcb_info["tcbLevels"][0]["tcbStatus"] = "SWHardeningNeeded";
    scene.intel.tcb_info["tcbLevels"][0]["advisoryIDs"] = {"INTEL-SA-00615"};
    expect_rejected(scene, "tcb.status", kExitNotAcceptable);
    scene.policy.tcb.statuses.insert(endorsements::TcbStatus::sw_hardening_needed);
    expect_rejected(scene, "tcb.status", kExitNotAcceptable);
    scene.policy.tcb.advisories = {"INTEL-SA-00615"};
    EXPECT_EQ(scene.run().outcome(), Outcome::accepted_emulated);
    scene.policy.tcb.min_evaluation_data_number = 21;
    expect_rejected(scene, "tcb.evaluation_data_number", kExitNotAcceptable);

    Scene old;
    old.intel.platform.tcb.components[2] = std::byte{4};
    expect_rejected(old, "tcb.status", kExitNotAcceptable);
    AttestationResult result = old.run();
    EXPECT_THAT(find_check(result.tree(), "tcb.status")->remedy,
                HasSubstr("SGX component 3 has SVN 4, the newest level needs 5"));
}

TEST(Appraise, AStatusInItsGraceIsGoodEnoughUntilThatEnds) {
    constexpr std::int64_t kDay_s = 24 * 3600;
    Scene scene;
    json::Value& level = scene.intel.tcb_info["tcbLevels"][0];
    level["tcbStatus"] = "OutOfDate";
    level["advisoryIDs"] = {"INTEL-SA-00615"};
    level["tcbDate"] = rfc3339(kNow - 30 * kDay_s + 1);
    expect_rejected(scene, "tcb.status", kExitNotAcceptable);
    scene.policy.tcb.grace_days[endorsements::TcbStatus::sw_hardening_needed] = 365;
    expect_rejected(scene, "tcb.status", kExitNotAcceptable);
    scene.policy.tcb.grace_days[endorsements::TcbStatus::out_of_date] = 30;
    const AttestationResult result = scene.run();
    EXPECT_EQ(result.outcome(), Outcome::accepted_emulated);
    EXPECT_THAT(find_check(result.tree(), "tcb.status")->notes,
                ElementsAre(HasSubstr("accepted until " + rfc3339(kNow + 1))));
    level["tcbDate"] = rfc3339(kNow - 30 * kDay_s);
    expect_rejected(scene, "tcb.status", kExitNotAcceptable);
    EXPECT_THAT(find_check(scene.run().tree(), "tcb.status")->found,
                HasSubstr("its grace ended " + rfc3339(kNow)));
    level["tcbStatus"] = "Revoked";
    scene.policy.tcb.grace_days[endorsements::TcbStatus::revoked] = 365;
    EXPECT_EQ(scene.run().summary(), "rejected: tcb.level");
}

TEST(Appraise, AgeOfCollateralIsByItsVendorsDates) {
    Scene scene;
    scene.intel.tcb_info["issueDate"] = rfc3339(kNow - 1000);
    scene.intel.qe_identity["issueDate"] = rfc3339(kNow - 500);
    scene.intel.crl_validity.not_before = kNow - 900;
    EXPECT_EQ(find_check(scene.run().tree(), "collateral.age"), nullptr);
    scene.policy.max_collateral_age_s = 1000;
    EXPECT_EQ(scene.run().summary(), kEmulated);
    scene.policy.max_collateral_age_s = 999;
    expect_rejected(scene, "collateral.age", kExitNotAcceptable);
    EXPECT_EQ(find_check(scene.run().tree(), "collateral.age")->found,
              "TCB info of " + rfc3339(kNow - 1000));
    scene.policy.max_collateral_age_s = 0;
    std::string found = find_check(scene.run().tree(), "collateral.age")->found;
    EXPECT_THAT(found, HasSubstr("QE identity of"));
    EXPECT_THAT(found, HasSubstr("list of"));
    // A waiver is for what is missing; this is not.
    scene.policy.waivers = {"tcb.level", "crl.pck", "crl.root"};
    EXPECT_EQ(scene.run().summary(), "rejected: collateral.age");
}

TEST(Appraise, PlatformIsShownAndDecidesOnlyIfListed) {
    Scene scene;
    AttestationResult open = scene.run();
    const Check* node = find_check(open.tree(), "identity.platform");
    EXPECT_EQ(node->verdict, Verdict::not_evaluated);
    EXPECT_EQ(node->weight, verify::Weight::informative);
    EXPECT_THAT(node->found, HasSubstr(hex(scene.intel.platform.ppid)));
    scene.policy.platforms = {scene.intel.platform.ppid};
    EXPECT_EQ(scene.run().outcome(), Outcome::accepted_emulated);
    scene.policy.platforms = {ByteArray<16>{}};
    expect_rejected(scene, "identity.platform", kExitNotAcceptable);
    scene.intel.platform.platform_instance_id = ByteArray<16>{};
    EXPECT_EQ(scene.run().outcome(), Outcome::accepted_emulated);
}

TEST(Appraise, BindingFormsComeFromTheMatchingPin) {
    Scene scene;
    scene.leaf.binding->format = std::string(kBindingV1Deterministic);
    expect_rejected(scene, "binding.format", kExitNotBound);
    scene.policy.identity.push_back(
        {MrEnclavePin{}, {std::string(kBindingV1Deterministic)}});  // of another enclave
    expect_rejected(scene, "binding.format", kExitNotBound);
    scene.policy.identity[0].bindings = {std::string(kBindingV1Deterministic)};
    EXPECT_EQ(scene.run().outcome(), Outcome::accepted_emulated);
    scene.leaf.binding->format = std::string(kBindingV1Challenge);
    expect_rejected(scene, "binding.format", kExitNotBound);
}

TEST(Appraise, AgeOfEvidenceWithoutNonce) {
    Scene scene;
    for (auto [age_s, is_good] :
         {std::pair{0, true}, {86400, true}, {86401, false}, {-300, true}, {-301, false}}) {
        scene.leaf.binding->evidence_time = kNow - age_s;
        if (is_good) {
            EXPECT_EQ(scene.run().outcome(), Outcome::accepted_emulated) << age_s;
        } else {
            expect_rejected(scene, "binding.age", kExitNotBound);
        }
    }
}

TEST(Appraise, ReportDataAndLevelOfTheCallerCount) {
    Scene scene;
    scene.leaf.binding->report_data = failed({"report_data", "test", "ask again"}, {"aa", "bb"});
    expect_rejected(scene, "report_data", kExitNotBound);
    Scene level;
    level.leaf.binding->level = failed({"binding.level", "test", "ask again"}, {"2", "0"});
    expect_rejected(level, "binding.level", kExitNotBound);
    Scene more;
    more.leaf.more.push_back(failed({"leaf.chain", "test", "trust the CA"}, {"a", "b"}));
    expect_rejected(more, "leaf.chain", kExitNotBound);
    Scene nothing;
    nothing.leaf.binding.reset();
    EXPECT_EQ(nothing.run().summary(), "rejected: not evaluated: report_data, binding.level");
}

TEST(Appraise, LeafBindingIsRequiredUnlessThePolicySaysOtherwise) {
    Scene scene;
    scene.leaf.leaf_binding.reset();
    EXPECT_EQ(scene.run().summary(), "rejected: not evaluated: leaf_binding");
    scene.policy.leaf_binding = LeafBindingRule::optional;
    AttestationResult result = scene.run();
    EXPECT_EQ(result.outcome(), Outcome::accepted_emulated);
    EXPECT_THAT(result.text(), HasSubstr("leaf_binding (not evaluated, does not decide)"));
    // A signature that is there and wrong fails even where none is required.
    scene.leaf.leaf_binding = failed({"leaf_binding", "test", "renew"}, {"valid", "not"});
    expect_rejected(scene, "leaf_binding", kExitNotBound);
}

TEST(Appraise, RequiredValues) {
    Scene scene;
    scene.policy.required[oid::kPolicyRoot] = Bytes(32, std::byte{0x44});
    EXPECT_EQ(scene.run().outcome(), Outcome::accepted_emulated);
    scene.leaf.extensions[oid::kPolicyRoot].back() = std::byte{0x45};
    expect_rejected(scene, "required.policy_root", kExitNotAcceptable);
    scene.leaf.extensions.erase(oid::kPolicyRoot);
    expect_rejected(scene, "required.policy_root", kExitNotAcceptable);
    Scene app;
    app.policy.required[oid::kWorkloadConfigHash.child(4)] = to_bytes("v1");
    expect_rejected(app, "required.1.3.6.1.4.1.65230.3.5.4", kExitNotAcceptable);
    app.leaf.extensions[oid::kWorkloadConfigHash.child(4)] = to_bytes("v1\n✓ forged");
    expect_rejected(app, "required.1.3.6.1.4.1.65230.3.5.4", kExitNotAcceptable);
}

TEST(Appraise, CaPin) {
    Scene scene;
    scene.policy.ca = {ByteArray<32>{std::byte{1}}};
    expect_rejected(scene, "ca.pin", kExitNotAcceptable);
    scene.leaf.chain = {ByteArray<32>{std::byte{2}}};
    expect_rejected(scene, "ca.pin", kExitNotAcceptable);
    scene.leaf.chain.push_back(ByteArray<32>{std::byte{1}});
    EXPECT_EQ(scene.run().outcome(), Outcome::accepted_emulated);
}

TEST(Appraise, InstanceContinuity) {
    Scene scene;
    InstanceRule rule;
    rule.id.fill(std::byte{0x22});
    rule.min_generation = 7;
    scene.policy.instance = rule;
    AttestationResult result = scene.run();
    EXPECT_EQ(result.outcome(), Outcome::accepted_emulated);
    EXPECT_EQ(result.claims()["instance"]["generation"], 7);
    EXPECT_EQ(find_check(result.tree(), "identity.platform")->verdict, Verdict::pass);
    scene.leaf.extensions[oid::kInstance] = instance_value(6);
    expect_rejected(scene, "instance.generation", kExitNotAcceptable);
    EXPECT_THAT(scene.run().text(), HasSubstr("state_rollback"));
    scene.policy.instance->id[0] = std::byte{0};
    scene.leaf.extensions[oid::kInstance] = instance_value(8);
    expect_rejected(scene, "instance.id", kExitNotAcceptable);
    scene.leaf.extensions[oid::kInstance].pop_back();
    EXPECT_THAT(failures(scene.run()), ElementsAre("instance.id"));
}

TEST(Appraise, EveryFailureIsReportedAndTheWorstDecidesTheCode) {
    Scene scene;
    scene.policy.required[oid::kAppId] = Bytes(16);
    EXPECT_EQ(scene.run().exit_code(), kExitNotAcceptable);
    scene.leaf.leaf_binding = failed({"leaf_binding", "test"}, {"a", "b"});
    EXPECT_EQ(scene.run().exit_code(), kExitNotBound);
    scene.intel.pck_revoked = {scene.intel.pck_recipe.serial};
    AttestationResult result = scene.run();
    EXPECT_EQ(result.exit_code(), kExitNotGenuine);
    EXPECT_THAT(failures(result), ElementsAre("crl.pck", "leaf_binding", "required.app_id"));
}

}  // namespace
}  // namespace eos::attestation::appraise
