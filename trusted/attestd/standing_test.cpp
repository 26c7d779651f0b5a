// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/attestd/standing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "common/attestation/verify/synthetic_intel_test.h"
#include "common/base/encoding.h"
#include "trusted/attestd/testing.h"
#include "trusted/os/files.h"

namespace eos::attestd {
namespace {

namespace endorsements = attestation::endorsements;
using attestation::testing::kNow;
using attestation::testing::SyntheticIntel;
using endorsements::PieceKind;
using testing::collateral_file;
using ::testing::HasSubstr;

class StandingTest : public ::testing::Test {
  protected:
    StandingTest() { std::filesystem::create_directories(folder_); }
    ~StandingTest() override { std::filesystem::remove_all(folder_); }

    std::string write(const std::string& name, std::string_view text) {
        std::ofstream(folder_ / name, std::ios::binary) << text;
        return (folder_ / name).string();
    }
    std::string error_of(const std::vector<std::string>& paths) {
        auto loaded = load_collateral(paths);
        EXPECT_FALSE(loaded.has_value());
        return loaded ? "" : loaded.error().message();
    }

    std::filesystem::path folder_ =
        std::filesystem::temp_directory_path() / ("eos-standing." + std::to_string(::getpid()));
    SyntheticIntel intel_;
};

TEST_F(StandingTest, OfTwoStatementsTheLaterIssuedCounts) {
    endorsements::Endorsements older = intel_.endorsements();
    json::Value statement = intel_.tcb_info;
    statement["issueDate"] = rfc3339(kNow - 100);
    statement["tcbEvaluationDataNumber"] = 40;
    endorsements::Endorsements newer = intel_.endorsements();
    newer.tcb_info = intel_.sign(statement);
    ASSERT_LT(parse_rfc3339(intel_.tcb_info["issueDate"].get<std::string>()).value(), kNow - 100);
    std::string a = write("a.json", collateral_file(older));
    std::string b = write("b.json", collateral_file(newer));
    for (const std::vector<std::string>& paths : {std::vector{a, b}, {b, a}, {folder_.string()}}) {
        auto all = load_collateral(paths).value();
        EXPECT_EQ(all.pieces.size(), 4U);
        const endorsements::Piece* info = nullptr;
        for (const endorsements::Piece& piece : all.pieces)
            if (piece.kind == PieceKind::sgx_tcb_info) info = &piece;
        ASSERT_NE(info, nullptr);
        EXPECT_EQ(info->content, newer.tcb_info->body);
    }
}

TEST_F(StandingTest, TheFirstEndIsThatOfAStatementOrList) {
    Standing standing{default_policy(intel_.roots()), {}, std::nullopt};
    EXPECT_FALSE(end_of_collateral(standing).has_value());
    intel_.crl_validity.not_after = kNow + 77;
    standing.collateral =
        load_collateral({write("a.json", collateral_file(intel_.endorsements()))}).value();
    EXPECT_EQ(end_of_collateral(standing), kNow + 77);
}

TEST_F(StandingTest, WhatCannotBeReadIsNamed) {
    EXPECT_THAT(error_of({(folder_ / "none.json").string()}), HasSubstr("none.json"));
    EXPECT_THAT(error_of({folder_.string()}), HasSubstr("no *.json"));
    write("a.json", collateral_file(intel_.endorsements()));
    write("b.json", "{");
    EXPECT_THAT(error_of({folder_.string()}), HasSubstr("b.json"));
    EXPECT_THAT(load_key_set(write("keys.json", "[]")).error().message(), HasSubstr("keys.json"));
}

TEST_F(StandingTest, APolicyOfTheOtherKindOfRootsIsRefused) {
    Config config;
    config.policy_file =
        write("policy.json", json::compact(policy_to_json(default_policy(intel_.roots()))));
    using attestation::verify::Roots;
    using attestation::verify::Vendor;
    const Roots both = Roots::of({Vendor::intel, Vendor::amd});
    EXPECT_EQ(load_standing(config, Roots::intel()).error().code(), wrong_roots);
    EXPECT_TRUE(load_standing(config, intel_.roots()).has_value());
    config.policy_file = write("policy.json", json::compact(policy_to_json(default_policy(both))));
    EXPECT_EQ(load_standing(config, intel_.roots()).error().code(), wrong_roots);
}

// Whoever sends evidence alone cannot be accepted under it, whatever he sends.
TEST_F(StandingTest, APolicyThatEvidenceAloneNeverSatisfiesIsRefused) {
    auto error_under = [&](const json::Value& changes) {
        json::Value policy = policy_to_json(default_policy(intel_.roots()));
        policy.update(changes);
        Config config;
        config.policy_file = write("policy.json", json::compact(policy));
        auto standing = load_standing(config, intel_.roots());
        return standing ? "" : standing.error().message();
    };
    EXPECT_EQ(error_under(json::Value::object()), "");
    EXPECT_THAT(error_under({{"require_leaf_binding", true}}),
                HasSubstr("write \"require_leaf_binding\": false"));
    EXPECT_THAT(error_under({{"waivers", json::Value::array()}}), HasSubstr("\"assurance\""));
    EXPECT_THAT(error_under({{"bindings", {"v2-challenge"}}}), HasSubstr("\"report-data\""));
    EXPECT_THAT(error_under({{"required", {{"policy_root", {{"hex", "00"}}}}}}),
                HasSubstr("leave out required"));
    EXPECT_THAT(error_under({{"ca", {std::string(64, '0')}}}), HasSubstr("leave out ca"));
    EXPECT_THAT(error_under({{"instance", {{"id", std::string(32, '0')}, {"min_generation", 1}}}}),
                HasSubstr("leave out instance"));
}

}  // namespace
}  // namespace eos::attestd
