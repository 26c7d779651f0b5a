// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/virtual/evidence/tee_evidence.h"

#include <gtest/gtest.h>

#include "common/attestation/evidence/quote.h"
#include "common/oid/registry.h"
#include "trusted/virtual/evidence/fake_tsm_test.h"

namespace eos::cvm {
namespace {

using attestation::evidence::without_padding;
using testing::some_report_data;
using testing::td_quote;

class QuoteVersions : public ::testing::TestWithParam<testing::QuoteVersion> {};

TEST_P(QuoteVersions, padding_is_taken_off) {
    const Bytes quote = td_quote(some_report_data().bytes(), GetParam());
    Bytes padded = quote;
    padded.resize(8000);
    EXPECT_TRUE(equal(without_padding(padded), quote));
    EXPECT_TRUE(equal(without_padding(quote), quote));
    const Result<FreshEvidence> evidence = check_answer(TeeKind::kTdx, padded, some_report_data());
    ASSERT_TRUE(evidence) << evidence.error().message();
    EXPECT_EQ(evidence->bytes, quote);
}

TEST_P(QuoteVersions, what_is_not_zero_is_no_padding) {
    Bytes quote = td_quote(some_report_data().bytes(), GetParam());
    quote.resize(quote.size() + 100);
    quote.back() = std::byte{1};
    EXPECT_EQ(without_padding(quote).size(), quote.size());
    const Result<FreshEvidence> evidence = check_answer(TeeKind::kTdx, quote, some_report_data());
    ASSERT_FALSE(evidence);
    EXPECT_EQ(evidence.error().code(), attestation::evidence::quote_trailing_bytes);
}

TEST_P(QuoteVersions, a_cut_quote_is_refused) {
    const Bytes quote = td_quote(some_report_data().bytes(), GetParam());
    for (std::size_t size = 0; size < quote.size(); size += 37)
        EXPECT_FALSE(check_answer(TeeKind::kTdx, ByteView(quote).first(size), some_report_data()));
}

INSTANTIATE_TEST_SUITE_P(V4AndV5, QuoteVersions,
                         ::testing::Values(testing::QuoteVersion::k4, testing::QuoteVersion::k5));

TEST(CheckAnswer, names_what_leaves_carry) {
    EXPECT_EQ(evidence_oid(TeeKind::kTdx), oid::kTdxQuote);
    EXPECT_EQ(evidence_oid(TeeKind::kSevSnp), oid::kSnpReport);
    EXPECT_EQ(assurance_name(Assurance::kDebug), "debug");
    EXPECT_EQ(assurance_name(Assurance::kProduction), "production");
}

TEST(CheckAnswer, a_domain_is_in_production_if_no_attribute_opens_it) {
    constexpr std::size_t kAttributesAt = 48 + 120;
    Bytes quote = td_quote(some_report_data().bytes());
    for (unsigned bit = 0; bit < 8; ++bit) {
        quote[kAttributesAt] = static_cast<std::byte>(1u << bit);
        EXPECT_EQ(check_answer(TeeKind::kTdx, quote, some_report_data()).value().assurance,
                  Assurance::kDebug);
    }
    quote[kAttributesAt] = std::byte{0};
    EXPECT_EQ(check_answer(TeeKind::kTdx, quote, some_report_data()).value().assurance,
              Assurance::kProduction);
}

TEST(CheckAnswer, every_bit_of_the_report_data_counts) {
    const auto& wanted = some_report_data();
    for (std::size_t i = 0; i < ratls::kReportDataBytes; ++i) {
        Bytes other = to_bytes(wanted.bytes());
        other[i] ^= std::byte{0x80};
        const Result<FreshEvidence> evidence = check_answer(TeeKind::kTdx, td_quote(other), wanted);
        ASSERT_FALSE(evidence);
        EXPECT_EQ(evidence.error().code(), wrong_report);
    }
}

TEST(OpenEvidence, says_what_it_looked_for) {
    const Result<std::unique_ptr<TeeEvidence>> tee =
        open_evidence({.tsm_report = "/nonexistent/tsm", .sev_guest = "/nonexistent/sev"});
    ASSERT_FALSE(tee);
    EXPECT_EQ(tee.error().code(), no_tee);
    EXPECT_NE(tee.error().detail().find("/nonexistent/tsm"), std::string::npos);
    EXPECT_NE(tee.error().detail().find("/nonexistent/sev"), std::string::npos);
}

TEST(OpenEvidence, says_that_a_device_of_tdx_alone_gives_no_quotes) {
    const Result<FoundEvidence> found = find_evidence({.tsm_report = "/nonexistent/tsm",
                                                       .sev_guest = "/nonexistent/sev",
                                                       .tdx_guest = "/dev/null"});
    ASSERT_FALSE(found);
    EXPECT_EQ(found.error().code(), no_tee);
    EXPECT_NE(found.error().detail().find("/dev/null is there"), std::string::npos);
}

TEST(OpenEvidence, says_where_evidence_comes_from) {
    const Result<FoundEvidence> found =
        find_evidence({.tsm_report = "/nonexistent/tsm", .sev_guest = "/dev/null"});
    ASSERT_TRUE(found) << found.error().message();
    EXPECT_EQ(found->evidence->kind(), TeeKind::kSevSnp);
    EXPECT_EQ(found->source, "/dev/null");
}

}  // namespace
}  // namespace eos::cvm
