// SPDX-License-Identifier: AGPL-3.0-only
// Every real SGX quote of the corpus that EOS_EVIDENCE_DIR names. The corpus is not part of the
// tree.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>

#include "common/attestation/evidence/quote.h"
#include "common/base/encoding.h"

namespace eos::attestation::evidence {
namespace {

Bytes read_file(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    EXPECT_TRUE(file.good()) << path;
    const std::string text(std::istreambuf_iterator<char>(file), {});
    return to_bytes(text);
}

/// "MRENCLAVE 33d8736db756ed49… " → "33d8736db756ed49".
std::string field(const std::string& fields, const std::string& name) {
    const std::size_t at = fields.find(name + ' ');
    if (at == std::string::npos) return "absent";
    const std::size_t from = at + name.size() + 1;
    return fields.substr(from, fields.find_first_not_of("0123456789abcdef", from) - from);
}

void expect_fields(const SgxQuote& quote, const std::string& fields) {
    EXPECT_TRUE(hex(quote.report.mr_enclave).starts_with(field(fields, "MRENCLAVE")));
    EXPECT_TRUE(hex(quote.report.mr_signer).starts_with(field(fields, "MRSIGNER")));
    EXPECT_EQ(std::to_string(quote.report.isv_prod_id), field(fields, "prodid"));
    EXPECT_EQ(std::to_string(quote.report.isv_svn), field(fields, "isvsvn"));
    EXPECT_TRUE(hex(quote.report.report_data).starts_with(field(fields, "rd")));
    EXPECT_EQ(std::to_string(quote.qe_report.isv_svn), field(fields, "QE isvsvn"));
    EXPECT_EQ(quote.report.attributes.debug(), fields.find("DEBUG") != std::string::npos);
    EXPECT_TRUE(quote.pck_chain_pem.starts_with("-----BEGIN CERTIFICATE-----"));
}

TEST(QuoteCorpus, RealQuotesParseAndTheirTwinsDoNot) {
    const char* folder = std::getenv("EOS_EVIDENCE_DIR");
    if (folder == nullptr || !std::filesystem::exists(std::filesystem::path(folder) / "index.json"))
        GTEST_SKIP() << "skipped: no corpus (EOS_EVIDENCE_DIR)";
    const std::filesystem::path root(folder);
    std::ifstream index_file(root / "index.json");
    const nlohmann::json index = nlohmann::json::parse(index_file);
    int count = 0;
    for (const auto& row : index) {
        if (row.at("kind") != "SGX quote v3") continue;
        SCOPED_TRACE(row.at("id").get<std::string>());
        ++count;
        Bytes bytes = read_file(root / row.at("files").at(0).get<std::string>());
        Result<Evidence> evidence = parse_quote(bytes);
        if (row.at("verdict").get<std::string>().starts_with("REJECT: no PCK chain")) {
            ASSERT_FALSE(evidence.has_value());
            EXPECT_EQ(evidence.error().code(), certification_data_unsupported);
            continue;
        }
        ASSERT_TRUE(evidence.has_value()) << evidence.error().message();
        expect_fields(std::get<SgxQuote>(evidence->quote()), row.at("fields"));

        EXPECT_EQ(parse_quote(ByteView(bytes).first(bytes.size() - 1)).error().code(),
                  quote_truncated);
        bytes.push_back(std::byte{0});
        EXPECT_EQ(parse_quote(bytes).error().code(), quote_trailing_bytes);
    }
    EXPECT_GE(count, 20);
}

void expect_fields(const TdxQuote& quote, const std::string& fields) {
    EXPECT_TRUE(hex(quote.report.mr_td).starts_with(field(fields, "MRTD")));
    EXPECT_TRUE(hex(quote.report.rtmr[0]).starts_with(field(fields, "rtmr0")));
    EXPECT_TRUE(hex(quote.report.tee_tcb_svn).starts_with(field(fields, "teeTcbSvn")));
    EXPECT_TRUE(hex(quote.report.report_data).starts_with(field(fields, "rd")));
    EXPECT_EQ(std::to_string(quote.qe_report.isv_svn), field(fields, "QE isvsvn"));
    EXPECT_EQ(quote.report.debug(), fields.find("DEBUG") != std::string::npos);
    EXPECT_EQ(quote.report.td15.has_value(), quote.version == 5);
    if (quote.report.td15.has_value()) {
        EXPECT_TRUE(hex(quote.report.td15->tee_tcb_svn_2).starts_with(field(fields, "teeTcbSvn2")));
    }
    EXPECT_TRUE(quote.pck_chain_pem.starts_with("-----BEGIN CERTIFICATE-----"));
}

TEST(QuoteCorpus, RealTdxQuotesParseAndTheirTwinsDoNot) {
    const char* folder = std::getenv("EOS_EVIDENCE_DIR");
    if (folder == nullptr || !std::filesystem::exists(std::filesystem::path(folder) / "index.json"))
        GTEST_SKIP() << "skipped: no corpus (EOS_EVIDENCE_DIR)";
    const std::filesystem::path root(folder);
    std::ifstream index_file(root / "index.json");
    int count = 0;
    for (const auto& row : nlohmann::json::parse(index_file)) {
        if (!row.at("kind").get<std::string>().starts_with("TDX quote v")) continue;
        SCOPED_TRACE(row.at("id").get<std::string>());
        ++count;
        Bytes bytes = read_file(root / row.at("files").at(0).get<std::string>());
        Result<Evidence> evidence = parse_quote(bytes);
        ASSERT_TRUE(evidence.has_value()) << evidence.error().message();
        expect_fields(std::get<TdxQuote>(evidence->quote()), row.at("fields"));

        EXPECT_EQ(parse_quote(ByteView(bytes).first(bytes.size() - 1)).error().code(),
                  quote_truncated);
        bytes.push_back(std::byte{0});
        EXPECT_EQ(parse_quote(bytes).error().code(), quote_trailing_bytes);
    }
    EXPECT_GE(count, 26);
}

}  // namespace
}  // namespace eos::attestation::evidence
