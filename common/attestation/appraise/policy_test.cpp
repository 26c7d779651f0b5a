// SPDX-License-Identifier: AGPL-3.0-only
#include "common/attestation/appraise/policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "common/attestation/verify/synthetic_intel_test.h"
#include "common/base/encoding.h"
#include "common/oid/registry.h"

namespace eos::attestation::appraise {
namespace {

using ::testing::HasSubstr;
using testing::pem;
using testing::SyntheticIntel;

const std::string kA(64, 'a');
const std::string kB(64, 'b');

json::Value minimal() {
    return {{"version", 1},
            {"name", "shop"},
            {"roots", {{"vendor", {"intel"}}}},
            {"identity", {{{"mr_enclave", kA}}}}};
}

json::Value full() {
    json::Value out = minimal();
    out["tees"] = {"sgx"};
    out["identity"].push_back({{"mr_signer", kB},
                               {"isv_prod_id", 7},
                               {"min_isv_svn", 3},
                               {"bindings", {"v1-deterministic"}}});
    out["bindings"] = {"v1-challenge", "v1-deterministic"};
    out["max_evidence_age_s"] = 3600;
    out["max_collateral_age_s"] = 7200;
    out["assurance"] = {"production"};
    out["debug"] = "forbid";
    out["tcb"] = {{"statuses", {"UpToDate", "SWHardeningNeeded"}},
                  {"advisories", {"INTEL-SA-00615"}},
                  {"min_evaluation_data_number", 17}};
    out["platforms"] = {std::string(32, '1')};
    out["ca"] = {kB};
    out["required"] = {{"policy_root", {{"hex", kA}}},
                       {"1.3.6.1.4.1.65230.3.3", {{"utf8", "registry/app:1"}}}};
    out["instance"] = {{"id", std::string(32, '2')}, {"min_generation", 9}};
    out["require_leaf_binding"] = false;
    out["waivers"] = {"crl.root", "crl.pck"};
    return out;
}

Result<Policy> parse(const json::Value& value) {
    return parse_policy(as_bytes(json::compact(value)));
}

TEST(Policy, WhatIsLeftOutIsStrict) {
    Result<Policy> policy = parse(minimal());
    ASSERT_TRUE(policy.has_value()) << policy.error().message();
    EXPECT_EQ(policy->roots.kind(), verify::RootKind::vendor);
    EXPECT_EQ(policy->debug, DebugRule::forbid);
    EXPECT_EQ(policy->leaf_binding, LeafBindingRule::required);
    EXPECT_THAT(policy->assurance, ::testing::ElementsAre("production"));
    EXPECT_THAT(policy->bindings, ::testing::ElementsAre("ca-csr", "v1-challenge", "v2-challenge"));
    EXPECT_THAT(policy->tcb.statuses, ::testing::ElementsAre(endorsements::TcbStatus::up_to_date));
    EXPECT_TRUE(policy->waivers.empty());
    EXPECT_FALSE(policy->allow_any_identity);
}

TEST(Policy, EveryMemberIsRead) {
    Result<Policy> policy = parse(full());
    ASSERT_TRUE(policy.has_value()) << policy.error().message();
    ASSERT_EQ(policy->identity.size(), 2u);
    const auto* signer = std::get_if<MrSignerPin>(&policy->identity[1].identity);
    ASSERT_NE(signer, nullptr);
    EXPECT_EQ(hex(signer->mr_signer), kB);
    EXPECT_EQ(signer->isv_prod_id, 7);
    EXPECT_EQ(signer->min_isv_svn, 3);
    EXPECT_THAT(policy->identity[1].bindings, ::testing::ElementsAre("v1-deterministic"));
    EXPECT_EQ(policy->max_evidence_age_s, 3600u);
    EXPECT_EQ(policy->tcb.statuses.size(), 2u);
    EXPECT_EQ(policy->tcb.min_evaluation_data_number, 17u);
    EXPECT_EQ(policy->platforms.size(), 1u);
    EXPECT_EQ(policy->ca.size(), 1u);
    EXPECT_EQ(hex(policy->required.at(oid::kPolicyRoot)), kA);
    EXPECT_EQ(to_string(policy->required.at(oid::kImageReference)), "registry/app:1");
    EXPECT_EQ(policy->instance.value().min_generation, 9u);
    EXPECT_EQ(policy->leaf_binding, LeafBindingRule::optional);
    EXPECT_THAT(policy->waivers, ::testing::ElementsAre("crl.pck", "crl.root"));
}

TEST(Policy, TestRootsAreReadAndChecked) {
    SyntheticIntel intel;
    json::Value root = {{"name", "lab"},
                        {"sha256", hex(crypto::sha256(intel.root().der()))},
                        {"certificate_pem", pem(intel.root())}};
    json::Value value = minimal();
    value["roots"] = {{"test", json::Value::array({root})}};
    value["debug"] = "allow-emulated";
    value["assurance"] = {"process", "debug"};
    Result<Policy> policy = parse(value);
    ASSERT_TRUE(policy.has_value()) << policy.error().message();
    EXPECT_EQ(policy->roots.kind(), verify::RootKind::test);
    EXPECT_EQ(policy->debug, DebugRule::allow_emulated);
    EXPECT_EQ(parse(policy_to_json(*policy)).value().roots.test_roots().size(), 1u);

    json::Value both = value;
    both["roots"]["vendor"] = {"intel"};
    EXPECT_EQ(parse(both).error().code(), bad_policy);
    json::Value wrong_hash = value;
    wrong_hash["roots"]["test"][0]["sha256"] = kA;
    EXPECT_EQ(parse(wrong_hash).error().code(), bad_policy);
    json::Value two = value;
    two["roots"]["test"][0]["certificate_pem"] = pem(intel.root()) + pem(intel.root());
    EXPECT_EQ(parse(two).error().code(), bad_policy);
    json::Value none = value;
    none["roots"]["test"] = json::Value::array();
    EXPECT_EQ(parse(none).error().code(), verify::bad_test_root);
    SyntheticIntel unmarked;
    unmarked.root_recipe.extensions.pop_back();
    json::Value real = value;
    real["roots"]["test"][0]["sha256"] = hex(crypto::sha256(unmarked.root().der()));
    real["roots"]["test"][0]["certificate_pem"] = pem(unmarked.root());
    EXPECT_EQ(parse(real).error().code(), verify::bad_test_root);
}

struct Twin {
    std::string pointer;
    json::Value value;  ///< null removes the member
    Code code;
};

const std::vector<Twin>& twins() {
    static const std::vector<Twin> table{
        {"/version", 2, bad_policy},
        {"/version", {}, json::missing_member},
        {"/version", "1", json::wrong_type},
        {"/name", {}, json::missing_member},
        {"/roots", {}, json::missing_member},
        {"/roots", json::Value::object(), bad_policy},
        {"/roots/vendor", {"intel", "arm"}, bad_policy},
        {"/roots/vendor", {"amd"}, bad_policy},
        {"/roots/vendor", {"amd"}, bad_policy},
        {"/roots/vendor", json::Value::array(), bad_policy},
        {"/roots/other", 1, json::unknown_member},
        {"/tees", {"sev"}, bad_policy},
        {"/identity", {}, bad_policy},
        {"/identity", json::Value::array(), bad_policy},
        {"/identity/0/mr_enclave", kA + "0", json::out_of_range},
        {"/identity/0/mr_enclave", "xx", bad_encoding},
        {"/identity/0/mr_signer", kA, json::unknown_member},
        {"/identity/0", json::Value::object(), json::missing_member},
        {"/identity/1/isv_prod_id", {}, json::missing_member},
        {"/identity/1/min_isv_svn", {}, json::missing_member},
        {"/identity/1/isv_prod_id", 65536, json::out_of_range},
        {"/identity/1/bindings", json::Value::array(), bad_policy},
        {"/identity/1/bindings", {"gramine"}, bad_policy},
        {"/allow_any_identity", true, json::wrong_type},
        {"/allow_any_identity", "yes", bad_policy},
        {"/allow_any_identity", kAnyIdentityWord, bad_policy},  // pins are there too
        {"/bindings", {"v1"}, bad_policy},
        {"/bindings", {"v1-challenge", "v1-challenge"}, bad_policy},
        {"/max_evidence_age_s", -1, json::out_of_range},
        {"/max_evidence_age_s", 400 * 86400, json::out_of_range},
        {"/assurance", {"Production"}, bad_policy},
        {"/assurance", json::Value::array(), bad_policy},
        {"/debug", "allow", bad_policy},
        {"/debug", "allow-emulated", bad_policy},  // vendor roots
        {"/debug", false, json::wrong_type},
        {"/tcb/statuses", {"Revoked"}, bad_policy},
        {"/tcb/statuses", {"uptodate"}, bad_policy},
        {"/tcb/grace", 1, json::unknown_member},
        {"/platforms", {"11"}, bad_encoding},
        {"/ca", {"11"}, bad_encoding},
        {"/required/policy_rot", {{"hex", "00"}}, oid::bad_oid},
        {"/required/policy_root", {{"hex", "0"}}, bad_encoding},
        {"/required/policy_root", {{"hex", "00"}, {"utf8", "x"}}, bad_policy},
        {"/required/policy_root", json::Value::object(), bad_policy},
        {"/required/1.3.6.1.4.1.65230.3.1", 1, json::wrong_type},
        {"/required", {1}, json::wrong_type},
        {"/instance/id", {}, json::missing_member},
        {"/instance/min_generation", "9", json::wrong_type},
        {"/require_leaf_binding", 0, json::wrong_type},
        {"/waivers", {"quote.signature"}, bad_policy},
        {"/waivers", {"pck.root"}, bad_policy},
        {"/waivers", {"identity.enclave"}, bad_policy},
        {"/waivers", {"attributes.debug"}, bad_policy},
        {"/waivers", {"leaf_binding"}, bad_policy},
        {"/waivers", {"report_data"}, bad_policy},
        {"/waivers", {"binding.level"}, bad_policy},
        {"/waivers", {"binding.format"}, bad_policy},
        {"/waivers", {"certificate.chain"}, bad_policy},
        {"/waivers", {"crl.pck", "qe.identity"}, bad_policy},  // vendor roots
        {"/waivers", {"*"}, bad_policy},
        {"/waivers", {"crl"}, bad_policy},
        {"/waivers", "crl.root", json::wrong_type},
        {"/Waivers", json::Value::array(), json::unknown_member},
    };
    return table;
}

void expect_refused(const Twin& twin) {
    SCOPED_TRACE(twin.pointer + " " + json::compact(twin.value));
    json::Value value = full();
    json::Value::json_pointer pointer(twin.pointer);
    if (twin.value.is_null()) {
        value[pointer.parent_pointer()].erase(pointer.back());
    } else {
        value[pointer] = twin.value;
    }
    Result<Policy> policy = parse(value);
    ASSERT_FALSE(policy.has_value());
    EXPECT_EQ(policy.error().code(), twin.code) << policy.error().message();
    EXPECT_FALSE(policy.error().detail().empty());
}

TEST(Policy, TwinsFailWithTheirPlace) {
    for (const Twin& twin : twins()) expect_refused(twin);
}

TEST(Policy, GraceIsForAStatusThatIsNotAcceptedAndMayBe) {
    const Twin cases[] = {{"/tcb/grace_days", 1, json::wrong_type},
                          {"/tcb/grace_days/Revoked", 1, bad_policy},
                          {"/tcb/grace_days/UpToDate", 1, bad_policy},  // accepted anyway
                          {"/tcb/grace_days/outofdate", 1, bad_policy},
                          {"/tcb/grace_days/OutOfDate", 367, json::out_of_range},
                          {"/tcb/grace_days/OutOfDate", "30", json::wrong_type}};
    for (const Twin& twin : cases) expect_refused(twin);
}

TEST(Policy, ARefusedWaiverSaysWhatWouldBeLeftOfTheVerdict) {
    const std::pair<std::string, std::string> cases[] = {
        {"quote.signature", "anybody can forge the evidence"},
        {"report_data", "that of another peer"},
        {"qe.identity", "give the vendor's QE identity"},
        {"leaf_binding", "require_leaf_binding"},
        {"crl", "docs/formats/policy.md"}};
    for (const auto& [id, words] : cases) {
        json::Value value = minimal();
        value["waivers"] = {id};
        Result<Policy> policy = parse(value);
        ASSERT_FALSE(policy.has_value()) << id;
        EXPECT_THAT(policy.error().detail(), ::testing::HasSubstr("\"" + id + "\" may not be"));
        EXPECT_THAT(policy.error().detail(), ::testing::HasSubstr(words));
    }
}

TEST(Policy, EveryWaivableCheckMayBeWaived) {
    json::Value value = minimal();
    value["waivers"] = json::Value::array();
    for (std::string_view id : waivable_checks(verify::RootKind::vendor))
        value["waivers"].push_back(id);
    EXPECT_EQ(parse(value).value().waivers.size(), 6u);
    value["waivers"].push_back("qe.identity");
    EXPECT_EQ(parse(value).error().code(), bad_policy);
    SyntheticIntel intel;
    value["roots"] = {{"test",
                       {{{"name", "lab"},
                         {"sha256", hex(crypto::sha256(intel.root().der()))},
                         {"certificate_pem", pem(intel.root())}}}}};
    EXPECT_EQ(parse(value).value().waivers.size(), 7u);
}

TEST(Policy, AgeOfCollateralIsKeptAndHashed) {
    json::Value value = minimal();
    Policy without = parse(value).value();
    EXPECT_FALSE(without.max_collateral_age_s.has_value());
    value["max_collateral_age_s"] = 2592000;
    Policy with = parse(value).value();
    EXPECT_EQ(with.max_collateral_age_s, 2592000u);
    EXPECT_NE(policy_hash(with), policy_hash(without));
    std::string text = canonical_policy(with);
    EXPECT_EQ(policy_hash(parse_policy(as_bytes(text)).value()), policy_hash(with));
    value["max_collateral_age_s"] = -1;
    EXPECT_FALSE(parse(value).has_value());
    value["max_collateral_age_s"] = "30 days";
    EXPECT_EQ(parse(value).error().code(), json::wrong_type);
}

TEST(Policy, RepeatedMembersAndRepeatedIdentifiersAreRefused) {
    std::string text = json::compact(minimal());
    text.insert(1, "\"name\":\"x\",");
    EXPECT_EQ(parse_policy(as_bytes(text)).error().code(), json::repeated_member);
    json::Value value = minimal();
    value["required"] = {{"policy_root", {{"hex", "00"}}},
                         {oid::kPolicyRoot.dotted(), {{"hex", "00"}}}};
    EXPECT_EQ(parse(value).error().code(), bad_policy);
}

TEST(Policy, AnyIdentityNeedsItsWord) {
    json::Value value = minimal();
    value.erase("identity");
    value["allow_any_identity"] = kAnyIdentityWord;
    EXPECT_TRUE(parse(value).value().allow_any_identity);
}

TEST(Policy, CanonicalFormIsAFixedPointAndIgnoresLayout) {
    Policy policy = parse(full()).value();
    std::string canonical = canonical_policy(policy);
    Policy again = parse_policy(as_bytes(canonical)).value();
    EXPECT_EQ(canonical_policy(again), canonical);

    json::Value shuffled = full();
    std::swap(shuffled["identity"][0], shuffled["identity"][1]);
    shuffled["identity"].push_back(shuffled["identity"][0]);
    std::swap(shuffled["waivers"][0], shuffled["waivers"][1]);
    shuffled["identity"][1]["mr_enclave"] = std::string(64, 'A');
    std::string text = json::pretty(shuffled);
    EXPECT_EQ(policy_hash(parse_policy(as_bytes(text)).value()), policy_hash(policy));
    // A default is the same demand whether it is written or not.
    json::Value spelt = minimal();
    spelt["debug"] = "forbid";
    spelt["require_leaf_binding"] = true;
    EXPECT_EQ(policy_hash(parse(spelt).value()), policy_hash(parse(minimal()).value()));
}

TEST(Policy, EveryChangeOfADemandChangesTheHash) {
    Policy base = parse(full()).value();
    std::set<std::string> hashes{hex(policy_hash(base))};
    const std::pair<const char*, json::Value> changes[] = {
        {"/name", "other"},
        {"/identity/0/mr_enclave", kB},
        {"/identity/1/min_isv_svn", 4},
        {"/identity/1/bindings", {"v1-challenge"}},
        {"/bindings", {"v1-challenge"}},
        {"/max_evidence_age_s", 3601},
        {"/assurance", {"production", "debug"}},
        {"/tcb/statuses", {"UpToDate"}},
        {"/tcb/advisories", json::Value::array()},
        {"/tcb/min_evaluation_data_number", 18},
        {"/tcb/grace_days/OutOfDate", 31},
        {"/platforms", json::Value::array()},
        {"/ca", {kA}},
        {"/required/policy_root/hex", kB},
        {"/instance/min_generation", 10},
        {"/require_leaf_binding", true},
        {"/waivers", {"crl.root"}},
    };
    for (const auto& [pointer, value] : changes) {
        json::Value changed = full();
        changed[json::Value::json_pointer(pointer)] = value;
        Policy policy = parse(changed).value();
        EXPECT_TRUE(hashes.insert(hex(policy_hash(policy))).second) << pointer;
        EXPECT_FALSE(diff_policies(base, policy).empty()) << pointer;
    }
}

TEST(Policy, DiffNamesWhatChanged) {
    json::Value changed = full();
    changed["tcb"]["min_evaluation_data_number"] = 18;
    changed.erase("instance");
    std::vector<PolicyDifference> diff =
        diff_policies(parse(full()).value(), parse(changed).value());
    ASSERT_EQ(diff.size(), 3u);
    EXPECT_EQ(diff[0].path, "/instance/id");
    EXPECT_EQ(diff[0].after, "");
    EXPECT_EQ(diff[1].path, "/instance/min_generation");
    EXPECT_EQ(diff[1].before, "9");
    EXPECT_EQ(diff[2].path, "/tcb/min_evaluation_data_number");
    EXPECT_EQ(diff[2].before, "17");
    EXPECT_EQ(diff[2].after, "18");
    EXPECT_TRUE(diff_policies(parse(full()).value(), parse(full()).value()).empty());
}

/// The schema is for people and editors; it must at least know the members that the parser knows.
TEST(Policy, SchemaNamesExactlyTheMembers) {
    std::ifstream file(EOS_SOURCE_DIR "/docs/formats/policy.schema.json");
    std::string text(std::istreambuf_iterator<char>(file), {});
    json::Value schema = json::parse(as_bytes(text), {}).value();
    json::Value every = policy_to_json(parse(full()).value());
    every["allow_any_identity"] = "";
    // Only if tees names them.
    every["tdx"] = json::Value::object();
    every["snp"] = json::Value::object();
    std::set<std::string> expected;
    std::set<std::string> found;
    for (const auto& [name, value] : every.items()) expected.insert(name);
    for (const auto& [name, value] : schema["properties"].items()) found.insert(name);
    EXPECT_EQ(found, expected);
    EXPECT_EQ(schema["additionalProperties"], false);
}

}  // namespace
}  // namespace eos::attestation::appraise
