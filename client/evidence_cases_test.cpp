// SPDX-License-Identifier: AGPL-3.0-only
// The corpus through the same door as `enclavectl evidence check`.
#include "client/evidence_cases.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "client/files.h"
#include "common/attestation/verify/corpus_test.h"

namespace eos::client {
namespace {

using attestation::testing::corpus;

/// A folder of its own for each test.
class Cases : public ::testing::Test {
  protected:
    void SetUp() override {
        folder_ = std::filesystem::path(::testing::TempDir()) /
                  ::testing::UnitTest::GetInstance()->current_test_info()->name();
        std::filesystem::remove_all(folder_);
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }

    void write(const char* name, std::string_view text) const {
        ASSERT_TRUE(write_file(folder_ / name, as_bytes(text), {}).has_value());
    }

    std::filesystem::path folder_;
};

TEST(EvidenceCorpus, EveryCaseThatIsRunAgrees) {
    if (!std::filesystem::exists(corpus() / "index.json")) {
        GTEST_SKIP() << "skipped: no corpus (EOS_EVIDENCE_DIR)";
    }
    Result<std::vector<EvidenceCase>> cases = read_cases(corpus());
    ASSERT_TRUE(cases.has_value()) << cases.error().message();
    const std::map<std::string, std::string> nodes{{"sgx-automata-evalnum18", "tcb.level"},
                                                   {"sgx-fortanix-corrupted", "quote.signature"},
                                                   {"sgx-fortanix-ppid3", "quote.syntax"},
                                                   {"snp2-milan-cmc-baddata", "report.signature"},
                                                   {"snp2-genoa-oak-wrongtcb", "report.signature"},
                                                   {"snp2-trustee-vcek-forged-legacy", "vek.chain"},
                                                   {"snp2-lit-truncated", "quote.syntax"},
                                                   {"snp5-turin-oak", "report.signature"},
                                                   {"snp-vcek-turin-virtee", "vek.chain"},
                                                   {"aztpm-snp-v1", "tpm.signature"}};
    std::size_t agree = 0;
    for (const EvidenceCase& one : *cases) {
        CaseResult result = run_case(corpus(), one);
        EXPECT_NE(result.agreement, Agreement::differ)
            << one.id << ": stated " << result.stated << ", found " << result.found << " by "
            << result.deciding_node << ": " << result.detail;
        if (result.agreement == Agreement::agree) ++agree;
        auto node = nodes.find(one.id);
        if (node == nodes.end()) continue;
        EXPECT_EQ(result.deciding_node, node->second) << one.id;
    }
    EXPECT_GE(agree, 74u);
}

TEST(EvidenceCorpus, AWrongStatementDiffers) {
    if (!std::filesystem::exists(corpus() / "index.json")) {
        GTEST_SKIP() << "skipped: no corpus (EOS_EVIDENCE_DIR)";
    }
    std::vector<EvidenceCase> cases = read_cases(corpus()).value();
    std::size_t changed = 0;
    for (EvidenceCase one : cases) {
        if (!one.kind.starts_with("SNP ") || one.verdict.starts_with("parse")) continue;
        const bool is_rejected = one.verdict.starts_with("REJECT");
        one.verdict = is_rejected ? "VALID" : "REJECT: report signature";
        EXPECT_EQ(run_case(corpus(), one).agreement, Agreement::differ) << one.id;
        // A rejection for another reason is another verdict.
        one.verdict = "REJECT: quote signature";
        EXPECT_EQ(run_case(corpus(), one).agreement, Agreement::differ) << one.id;
        ++changed;
    }
    EXPECT_GT(changed, 10u);
    EvidenceCase sgx = cases.front();
    sgx.verdict = "UpToDate";
    EXPECT_EQ(run_case(corpus(), sgx).agreement, Agreement::differ);
}

TEST_F(Cases, AnIndexIsReadStrictly) {
    EXPECT_EQ(read_cases(folder_).error().code(), file_unreadable);
    write("index.json", "{}");
    EXPECT_EQ(read_cases(folder_).error().code(), json::wrong_type);
    write("index.json", R"([{"id":"a","kind":"SNP report","files":[]}])");
    EXPECT_EQ(read_cases(folder_).error().code(), json::missing_member);
    for (const char* file : {"../secret", "/etc/passwd", "a/../../b", ""}) {
        write("index.json", std::string(R"([{"id":"a","kind":"k","verdict":"v","files":[")") +
                                file + R"("],"time":"-"}])");
        EXPECT_EQ(read_cases(folder_).error().code(), bad_case) << file;
    }
    write("index.json", R"([{"id":"a","kind":"k","verdict":"v","files":["f"],"time":"noon"}])");
    EXPECT_EQ(read_cases(folder_).error().code(), bad_time);
}

TEST_F(Cases, WhatCannotBeReadDiffers) {
    write("index.json",
          R"([{"id":"gone","kind":"SNP attestation report v3","verdict":"VALID","files":["x"],
               "time":"2025-01-01T00:00:00Z","notes":"ignored"},
              {"id":"other","kind":"poem","verdict":"VALID","files":["x"],"time":"-"},
              {"id":"bare","kind":"SNP attestation report v3","verdict":"VALID","files":[],
               "time":"-"}])");
    std::vector<EvidenceCase> cases = read_cases(folder_).value();
    ASSERT_EQ(cases.size(), 3u);
    EXPECT_EQ(run_case(folder_, cases[0]).agreement, Agreement::differ);
    EXPECT_EQ(run_case(folder_, cases[1]).agreement, Agreement::not_run);
    EXPECT_EQ(run_case(folder_, cases[2]).agreement, Agreement::differ);
}

}  // namespace
}  // namespace eos::client
