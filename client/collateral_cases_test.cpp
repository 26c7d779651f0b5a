// SPDX-License-Identifier: AGPL-3.0-only
// Cases of collateral alone. That Intel's own verifies is for the corpus to say
// (evidence_cases_test.cpp): nobody else has its key.
#include <gtest/gtest.h>

#include "client/evidence_cases.h"
#include "client/files.h"
#include "common/json/json.h"

namespace eos::client {
namespace {

class CollateralCases : public ::testing::Test {
  protected:
    void SetUp() override {
        folder_ = std::filesystem::path(::testing::TempDir()) /
                  ::testing::UnitTest::GetInstance()->current_test_info()->name();
        std::filesystem::remove_all(folder_);
        write("good.json", statement(2));
        write("sub/bad_signature.json", R"({"tcbInfo":{"version":2},"signature":"00"})");
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }

    void write(const char* name, std::string_view text) const {
        ASSERT_TRUE(write_file(folder_ / name, as_bytes(text), {}).has_value());
    }

    /// TCB info that nobody signed.
    static std::string statement(int version) {
        json::Value tcb = {{"pcesvn", 1}};
        for (int i = 1; i <= 16; ++i) {
            tcb["sgxtcbcomp" + std::string(i < 10 ? "0" : "") + std::to_string(i) + "svn"] = 1;
        }
        const json::Value info = {
            {"version", version},
            {"issueDate", "2026-01-01T00:00:00Z"},
            {"nextUpdate", "2026-02-01T00:00:00Z"},
            {"fmspc", "00906ED50000"},
            {"pceId", "0000"},
            {"tcbType", 0},
            {"tcbEvaluationDataNumber", 17},
            {"tcbLevels",
             {{{"tcb", tcb}, {"tcbDate", "2024-03-13T00:00:00Z"}, {"tcbStatus", "UpToDate"}}}}};
        return json::compact({{"tcbInfo", info}, {"signature", std::string(128, '1')}});
    }

    CaseResult run(std::string kind, std::string verdict, std::vector<std::string> files) const {
        return run_case(folder_, {.id = "case",
                                  .kind = std::move(kind),
                                  .verdict = std::move(verdict),
                                  .files = std::move(files),
                                  .time = {}});
    }

    CaseResult run_texts(std::string verdict, std::vector<std::string> files) const {
        return run("TCB info texts", std::move(verdict), std::move(files));
    }

    std::filesystem::path folder_;
};

TEST_F(CollateralCases, EachFileHasTheVerdictOfItsClause) {
    const std::vector<std::string> both{"good.json", "sub/bad_signature.json"};
    const CaseResult right = run_texts("good.json: parse; *bad_*: must not parse as valid", both);
    EXPECT_EQ(right.agreement, Agreement::agree) << right.detail;
    EXPECT_EQ(right.found, "1 VALID, 1 REJECT");
    EXPECT_EQ(run_texts("*: parse", both).agreement, Agreement::differ);
    EXPECT_EQ(run_texts("*: must not parse", both).agreement, Agreement::differ);
    EXPECT_EQ(run_texts("good.json, x: must not parse; *bad*: parse", both).agreement,
              Agreement::differ);
    const CaseResult swapped = run_texts("good.json: parse; *bad*: parse", both);
    EXPECT_EQ(swapped.agreement, Agreement::differ);
    EXPECT_NE(swapped.detail.find("bad_signature.json"), std::string::npos);
}

TEST_F(CollateralCases, WithoutClausesTheVerdictIsOfAll) {
    EXPECT_EQ(run_texts("parse", {"good.json"}).agreement, Agreement::agree);
    EXPECT_EQ(run_texts("must not parse: not this one", {"good.json"}).agreement,
              Agreement::differ);
    EXPECT_EQ(run_texts("REJECT: hexadecimal", {"sub/bad_signature.json"}).agreement,
              Agreement::agree);
}

TEST_F(CollateralCases, AFolderStandsForItsFiles) {
    std::filesystem::rename(folder_ / "good.json", folder_ / "sub/good.json");
    EXPECT_EQ(run_texts("good.json: parse; */bad_*: must not", {"sub/ (2 files)"}).agreement,
              Agreement::agree);
    EXPECT_EQ(run_texts("parse", {"nowhere/ (2 files)"}).agreement, Agreement::differ);
    EXPECT_EQ(run_texts("good.json: parse; */bad_*: must not", {"sub/ (3 files)"}).agreement,
              Agreement::differ);
    std::filesystem::create_symlink("good.json", folder_ / "sub/link.json");
    EXPECT_EQ(run_texts("good.json: parse; */bad_*: must not", {"sub/ (2 files)"}).agreement,
              Agreement::differ);
}

TEST_F(CollateralCases, ANameIsTheWholeOfAFilesOrItsEndBehindALine) {
    write("a_good.json", statement(2));
    write("ungood.json", "{}");
    const std::vector<std::string> all{"good.json", "a_good.json", "ungood.json"};
    EXPECT_EQ(run_texts("good.json: parse; ungood.json: must not", all).agreement,
              Agreement::agree);
}

TEST_F(CollateralCases, WhereNothingIsSignedNothingIsValid) {
    for (const char* empty : {"{}", R"({"version":3,"tee_type":0})",
                              R"({"pck_crl_issuer_chain":"x","pck_certificate_chain":"y"})"}) {
        write("empty.json", empty);
        const CaseResult result = run("Intel collateral", "VALID", {"empty.json"});
        EXPECT_EQ(result.agreement, Agreement::differ) << empty;
        EXPECT_NE(result.detail.find("nothing in it is signed"), std::string::npos) << empty;
    }
}

TEST_F(CollateralCases, ASignatureThatIsStatedToBeWrongIsLookedAt) {
    EXPECT_EQ(run("Intel collateral", "REJECT: signature", {"sub/bad_signature.json"}).agreement,
              Agreement::differ)
        << "it does not even parse";
    EXPECT_EQ(run("Intel collateral", "REJECT", {"sub/bad_signature.json"}).agreement,
              Agreement::agree);
}

TEST_F(CollateralCases, WhatIsNotReadHereIsLeftAloneAndNamed) {
    write("old.json", statement(1));
    const CaseResult result = run_texts("parse", {"good.json", "old.json"});
    EXPECT_EQ(result.agreement, Agreement::agree);
    EXPECT_EQ(result.left_alone, "old.json (version 1)");
    EXPECT_EQ(run_texts("parse", {"old.json"}).agreement, Agreement::differ)
        << "nothing was looked at";
    EXPECT_EQ(run_texts("must not parse", {"old.json"}).agreement, Agreement::agree);
    write("words.json", R"({"chain":"MIIBQVEx tcbEvaluationDataNumbers"})");
    EXPECT_EQ(run_texts("parse", {"good.json", "words.json"}).agreement, Agreement::differ);
    EXPECT_EQ(run_texts("x.json: parse", {"good.json"}).agreement, Agreement::differ);
}

TEST_F(CollateralCases, AVersionThatIsNoSmallNumberIsRefused) {
    for (const char* version : {"1e34", "-1e34", "\"1\"", "null", "[1]"}) {
        write("odd.json", std::string(R"({"tcbInfo":{"version":)") + version +
                              R"(},"more":7,"signature":"00"})");
        const CaseResult result = run_texts("must not parse", {"odd.json"});
        EXPECT_EQ(result.agreement, Agreement::agree) << version << ": " << result.detail;
    }
}

TEST_F(CollateralCases, WhatIntelDidNotSignIsRejected) {
    EXPECT_EQ(run("Intel collateral", "VALID", {"good.json"}).agreement, Agreement::differ);
    const CaseResult alone = run("Intel collateral", "REJECT", {"good.json"});
    EXPECT_EQ(alone.agreement, Agreement::agree);
    EXPECT_NE(alone.detail.find("good.json"), std::string::npos);
    write("chain.pem", "not a chain");
    const CaseResult with_chain =
        run("Intel collateral", "chain.pem: REJECT", {"good.json", "chain.pem"});
    EXPECT_EQ(with_chain.agreement, Agreement::agree) << with_chain.detail;
    EXPECT_EQ(run("Intel collateral", "chain.pem: VALID", {"good.json", "chain.pem"}).agreement,
              Agreement::differ);
}

}  // namespace
}  // namespace eos::client
