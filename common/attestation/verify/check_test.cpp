// SPDX-License-Identifier: AGPL-3.0-only
#include "common/attestation/verify/check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace eos::attestation::verify {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr Subject kA{"a", "clause A", "do A"};
constexpr Subject kB{"b", "clause B", "do B"};

Check informative(const Subject& subject) {
    Check check = not_evaluated(subject, "no need");
    check.weight = Weight::informative;
    return check;
}

TEST(Check, AllPassIsPass) {
    Check tree = group("all", {passed(kA), group("inner", {passed(kB)})});
    EXPECT_EQ(tree.verdict, Verdict::pass);
    EXPECT_EQ(summarise(tree).verdict, Verdict::pass);
}

TEST(Check, NothingEvaluatedIsNeverPass) {
    EXPECT_EQ(summarise(Check{}).verdict, Verdict::not_evaluated);
    EXPECT_EQ(summarise(group("empty", {})).verdict, Verdict::not_evaluated);
    EXPECT_EQ(summarise(group("all", {passed(kA), group("empty", {})})).verdict,
              Verdict::not_evaluated);
    Check idle = group("all", {informative(kA)});
    EXPECT_EQ(idle.verdict, Verdict::not_evaluated);
    EXPECT_EQ(summarise(idle).verdict, Verdict::not_evaluated);
}

TEST(Check, OneFailingLeafFailsEveryGroupAboveIt) {
    Check tree = group("all", {passed(kA), group("inner", {failed(kB, {"x", "y"})})});
    EXPECT_EQ(tree.verdict, Verdict::fail);
    EXPECT_EQ(summarise(tree).verdict, Verdict::fail);
    EXPECT_THAT(summarise(tree).failed, ElementsAre("b"));
}

TEST(Check, WhatAGroupClaimsDoesNotCount) {
    Check tree = group("all", {passed(kA), failed(kB, {"x", "y"})});
    tree.verdict = Verdict::pass;
    EXPECT_EQ(summarise(tree).verdict, Verdict::fail);
}

TEST(Check, NotEvaluatedStandsInTheWayUnlessWaivedByItsName) {
    Check tree = group("all", {passed(kA), not_evaluated(kB, "no list")});
    EXPECT_EQ(summarise(tree).verdict, Verdict::not_evaluated);
    EXPECT_THAT(summarise(tree).not_evaluated, ElementsAre("b"));

    for (std::vector<std::string> wrong :
         {std::vector<std::string>{}, {"a"}, {"all"}, {"B"}, {"b "}, {"*"}, {""}}) {
        Check copy = tree;
        apply_waivers(copy, wrong);
        EXPECT_EQ(summarise(copy).verdict, Verdict::not_evaluated);
    }
    std::vector<std::string> right{"b"};
    apply_waivers(tree, right);
    EXPECT_EQ(tree.verdict, Verdict::pass);
    EXPECT_EQ(summarise(tree).verdict, Verdict::pass);
    EXPECT_THAT(summarise(tree).waived, ElementsAre("b"));
}

TEST(Check, AWaiverNeverTurnsAFailIntoAPass) {
    Check tree = group("all", {passed(kA), failed(kB, {"x", "y"})});
    std::vector<std::string> everything{"a", "b", "all"};
    apply_waivers(tree, everything);
    EXPECT_EQ(tree.verdict, Verdict::fail);
    EXPECT_EQ(summarise(tree).verdict, Verdict::fail);
    EXPECT_THAT(summarise(tree).waived, IsEmpty());
}

TEST(Check, AWaivedLeafAloneIsNotAPass) {
    Check tree = group("all", {not_evaluated(kB, "no list")});
    std::vector<std::string> ids{"b"};
    apply_waivers(tree, ids);
    EXPECT_EQ(summarise(tree).verdict, Verdict::not_evaluated);
}

TEST(Check, AnInformativeFailStillFails) {
    Check bad = failed(kB, {"x", "y"});
    bad.weight = Weight::informative;
    EXPECT_EQ(summarise(group("all", {passed(kA), bad})).verdict, Verdict::fail);
    EXPECT_EQ(summarise(group("all", {passed(kA), informative(kB)})).verdict, Verdict::pass);
}

TEST(Check, TextShowsWhatDidNotPassAndWhy) {
    Check tree = group("all", {passed(kA, "fine"), failed(kB, {"1", "2"}), informative(kA)});
    EXPECT_EQ(render_text(tree),
              "✗ all\n"
              "  ✓ a: fine\n"
              "  ✗ b\n"
              "      expected: 1\n"
              "      found: 2\n"
              "      remedy: do B\n"
              "      source: clause B\n"
              "  – a (not evaluated, does not decide): no need\n"
              "      remedy: do A\n"
              "      source: clause A\n");
}

TEST(Check, TextOfPeersCannotForgeLines) {
    Check bad = failed(kB, {"1", "2\n✓ all\x1b[2J"}, "note\r\n");
    std::string text = render_text(group("all", {bad}));
    EXPECT_EQ(std::ranges::count(text, '\n'), 6);
    EXPECT_THAT(text, Not(HasSubstr("\x1b")));
    EXPECT_THAT(text, Not(HasSubstr("\r")));
    EXPECT_THAT(text, HasSubstr("found: 2\\x0a"));
}

TEST(Check, JsonIsTheSameTree) {
    Check tree = group("all", {passed(kA), failed(kB, {"1", "2"}, "why"), informative(kA)});
    EXPECT_EQ(json::compact(render_json(tree)),
              R"({"checks":[{"id":"a","source":"clause A","verdict":"pass"},)"
              R"({"expected":"1","found":"2","id":"b","notes":["why"],"remedy":"do B",)"
              R"("source":"clause B","verdict":"fail"},)"
              R"({"id":"a","notes":["no need"],"remedy":"do A","source":"clause A",)"
              R"("verdict":"not_evaluated","weight":"informative"}],)"
              R"("id":"all","verdict":"fail"})");
}

TEST(Check, FindsTheFirstNodeOfAName) {
    Check tree = group("all", {group("x", {passed(kB)}), passed(kA)});
    ASSERT_NE(find_check(tree, "b"), nullptr);
    EXPECT_EQ(find_check(tree, "b")->source, "clause B");
    EXPECT_EQ(find_check(tree, "c"), nullptr);
}

}  // namespace
}  // namespace eos::attestation::verify
