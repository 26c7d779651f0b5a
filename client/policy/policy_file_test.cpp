// SPDX-License-Identifier: AGPL-3.0-only
#include "client/policy/policy_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/files.h"
#include "client/policy/yaml.h"
#include "client/testing.h"
#include "common/base/encoding.h"

namespace eos::client::policy {
namespace {

using ::testing::HasSubstr;

const std::string kDigest(64, '7');

std::string yaml_policy(const std::string& mr_enclave, const std::string& more = "") {
    return "# What the shop demands.\n"
           "version: 1\n"
           "name: shop, production\n"
           "roots: {vendor: [intel]}\n"
           "identity:\n"
           "  - mr_enclave: " +
           mr_enclave + "\n" + more;
}

std::string json_policy() {
    return R"({"version": 1, "name": "shop, production", "roots": {"vendor": ["intel"]},
               "identity": [{"mr_enclave": ")" +
           kDigest + "\"}]}";
}

class PolicyFiles : public ::testing::Test {
  protected:
    Result<PolicyFile> read(const std::string& name, const std::string& text) {
        EXPECT_TRUE(write_file(folder_ / name, as_bytes(text), {}).has_value());
        return read_policy_file(folder_ / name);
    }
    std::string refusal_of(const std::string& name, const std::string& text) {
        const Result<PolicyFile> out = read(name, text);
        if (out) return "";
        // Without the folder, which has another name each time.
        const std::string file = (folder_ / name).string() + ": ";
        EXPECT_THAT(out.error().detail(), ::testing::StartsWith(file));
        return out.error().detail().substr(file.size());
    }

    TestFolder folder_;
};

TEST_F(PolicyFiles, YamlAndJsonThatDemandTheSameHaveOneHash) {
    const PolicyFile json = read("a.json", json_policy()).value();
    for (const char* name : {"a.yaml", "a.yml", "a.YML"}) {
        const PolicyFile yaml = read(name, yaml_policy("'" + kDigest + "'")).value();
        EXPECT_EQ(policy_hash(yaml.policy), policy_hash(json.policy));
        EXPECT_EQ(yaml.json, json.json);
    }
    EXPECT_EQ(policy_hash(read("b.yaml", json_policy()).value().policy), policy_hash(json.policy));
}

TEST_F(PolicyFiles, TheJsonIsThatOfTheFileWithoutDefaults) {
    const PolicyFile yaml = read("a.yaml", yaml_policy("'" + kDigest + "'")).value();
    EXPECT_EQ(json::compact(yaml.json),
              R"({"identity":[{"mr_enclave":")" + kDigest +
                  R"("}],"name":"shop, production","roots":{"vendor":["intel"]},"version":1})");
    const auto again = attestation::appraise::parse_policy(as_bytes(json::compact(yaml.json)));
    EXPECT_EQ(policy_hash(again.value()), policy_hash(yaml.policy));
}

TEST_F(PolicyFiles, OnlyTheNameMakesAFileYaml) {
    EXPECT_EQ(refusal_of("policy", yaml_policy("'" + kDigest + "'")),
              "at byte 1; a policy in YAML is named .yaml or .yml");
    EXPECT_EQ(refusal_of("a.json", "{\"version\": }").find("YAML"), std::string::npos);
    EXPECT_EQ(read_policy_file(folder_ / "gone.yaml").error().code(), file_unreadable);
}

TEST_F(PolicyFiles, ADigestThatReadsAsANumberIsToBeQuoted) {
    EXPECT_EQ(refusal_of("a.yaml", yaml_policy("00112233")),
              "line 6, column 5: identity[0].mr_enclave: expected a string; YAML reads it as a "
              "number: quote it if it is text");
    EXPECT_EQ(refusal_of("a.yaml", yaml_policy("1e10")),
              "line 6, column 17: identity[0].mr_enclave: 1e10 is a number with a fraction or "
              "exponent, which no policy has: quote it if it is text");
    EXPECT_EQ(refusal_of("a.yaml", yaml_policy(kDigest)),
              "line 6, column 17: identity[0].mr_enclave: " + kDigest +
                  " is a number of more than 64 bits: quote it if it is text");
    const std::string instance = "instance:\n  id: 12345678\n";
    EXPECT_THAT(refusal_of("a.yaml", yaml_policy("'" + kDigest + "'", instance)),
                HasSubstr("line 8, column 3: instance.id: expected a string; YAML reads"));
}

TEST_F(PolicyFiles, WhatThePolicyRefusesIsNamedWithItsPlace) {
    const std::string pin = "'" + kDigest + "'";
    const auto refusal = [&](const std::string& more) {
        return refusal_of("a.yaml", yaml_policy(pin, more));
    };
    EXPECT_EQ(refusal("colour: red\n"), "line 7, column 1: colour");
    EXPECT_EQ(refusal("tcb:\n  advisory: []\n"), "line 8, column 3: tcb.advisory");
    EXPECT_THAT(refusal("identity: []\n"), HasSubstr("line 7, column 1: identity is there twice"));
    EXPECT_EQ(refusal("debug: no\n"), "line 7, column 1: debug: either forbid or allow-emulated");
    EXPECT_EQ(refusal("require_leaf_binding: 'false'\n"), "line 7, column 1: require_leaf_binding");
    EXPECT_THAT(refusal("instance: {min_generation: 3}\n"),
                HasSubstr("line 7, column 1: instance.id"));
    EXPECT_EQ(
        refusal_of("a.yaml", "version: 1\nname: 12\n"),
        "line 2, column 1: name: expected a string; YAML reads it as a number: quote it if it "
        "is text");
    EXPECT_EQ(refusal_of("a.yaml", "version: 1\n"), "line 1, column 1: name");
    EXPECT_EQ(refusal_of("a.yaml", "a policy\n"), "line 1, column 1: the text: expected an object");
}

}  // namespace
}  // namespace eos::client::policy
