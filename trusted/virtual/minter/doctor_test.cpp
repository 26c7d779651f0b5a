// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/virtual/minter/doctor.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace eos::cvm {
namespace {

/// What was found of `what`; null if it was not looked at.
const Finding* find(const std::vector<Finding>& findings, std::string_view what) {
    const auto found = std::ranges::find(findings, what, &Finding::what);
    return found == findings.end() ? nullptr : &*found;
}

TEST(Doctor, NamesTheProviderBeforeItAsksForAQuote) {
    const std::vector<Finding> findings =
        examine_machine({.tsm_report = "/nonexistent/tsm", .sev_guest = "/dev/null"});
    const Finding* provider = find(findings, "provider");
    ASSERT_NE(provider, nullptr);
    EXPECT_EQ(provider->kind, Finding::Kind::kGood);
    EXPECT_EQ(provider->found, "/dev/null");
    ASSERT_NE(find(findings, "quote"), nullptr);
    EXPECT_EQ(find(findings, "quote")->kind, Finding::Kind::kBad);
}

TEST(Doctor, WithoutAProviderItSaysWhereItLooked) {
    const std::vector<Finding> findings =
        examine_machine({.tsm_report = "/nonexistent/tsm", .sev_guest = "/nonexistent/sev"});
    EXPECT_EQ(find(findings, "provider"), nullptr);
    ASSERT_EQ(findings.back().kind, Finding::Kind::kBad);
    EXPECT_NE(findings.back().found.find("/nonexistent/sev"), std::string::npos);
}

}  // namespace
}  // namespace eos::cvm
