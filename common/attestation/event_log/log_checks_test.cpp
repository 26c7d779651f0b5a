// SPDX-License-Identifier: AGPL-3.0-only
#include "common/attestation/event_log/log_checks.h"

#include <gtest/gtest.h>

#include "common/attestation/event_log/log_builder_test.h"
#include "common/attestation/event_log/replay.h"
#include "common/base/encoding.h"

namespace eos::attestation::event_log {
namespace {

using namespace testing;
using verify::Check;
using verify::Summary;
using verify::Verdict;
using Ids = std::vector<std::string>;

EventLog boot() {
    return {small_boot()};
}

Check check(const EventLog& log, const Rtmrs& quoted) {
    return check_event_log(quoted, Result<EventLog>(log));
}

const Check& node(const Check& tree, std::string_view id) {
    const Check* found = find_check(tree, id);
    EXPECT_NE(found, nullptr) << id;
    return *found;
}

std::string note(const Check& tree, std::string_view id) {
    const Check& found = node(tree, id);
    return found.notes.empty() ? "" : found.notes.front();
}

TEST(Replay, IsTheHashChainOfEachRegister) {
    const EventLog log = boot();
    const Rtmrs rtmrs = replay(log);
    Digest48 expected{};
    for (std::size_t i : {0, 1, 4}) expected = sha384(concat({expected, log.events[i].digest}));
    EXPECT_EQ(hex(rtmrs[0]), hex(expected));
    EXPECT_TRUE(all_zero(rtmrs[3]));
    EXPECT_TRUE(all_zero(replay({})[0]));
}

TEST(Replay, UnmeasuredEventsExtendNothing) {
    EventLog log = boot();
    log.events.push_back(event_of(0, kEvNoAction, "a remark"));
    EXPECT_EQ(replay(log), replay(boot()));
}

TEST(LogChecks, ALogThatReplaysPasses) {
    const Check tree = check(boot(), replay(boot()));
    EXPECT_EQ(tree.verdict, Verdict::pass) << render_text(tree);
    EXPECT_EQ(tree.children.size(), 6u);
    EXPECT_EQ(note(tree, "event_log.rtmr0"), "3 events");
    EXPECT_EQ(note(tree, "event_log.content"),
              "6 of 6 events are backed by what lies beside their digest");
}

TEST(LogChecks, AnExtraEventIsNamed) {
    EventLog log = boot();
    log.events.insert(log.events.begin() + 3, event_of(1, 0x0000000d, "evil"));
    const Check tree = check(log, replay(boot()));
    EXPECT_EQ(summarise(tree).failed, Ids{"event_log.rtmr1"});
    EXPECT_EQ(note(tree, "event_log.rtmr1"),
              "event 3, EV_IPL \"evil\": without this event the log replays");
    EXPECT_EQ(node(tree, "event_log.rtmr1").expected, hex(replay(boot())[1]));
    EXPECT_EQ(node(tree, "event_log.rtmr1").found, hex(replay(log)[1]));
    EXPECT_FALSE(node(tree, "event_log.rtmr1").remedy.empty());
    EXPECT_FALSE(node(tree, "event_log.rtmr1").source.empty());
}

TEST(LogChecks, AnEventAfterTheQuoteIsNamed) {
    EventLog log = boot();
    log.events.push_back(event_of(1, kEvEfiAction, "later"));
    log.events.push_back(event_of(1, kEvEfiAction, "and later"));
    const Check tree = check(log, replay(boot()));
    EXPECT_EQ(summarise(tree).failed, Ids{"event_log.rtmr1"});
    EXPECT_EQ(note(tree, "event_log.rtmr1"),
              "event 6, EV_EFI_ACTION \"later\": the quoted value is the one before this event");
}

TEST(LogChecks, SwappedEventsAreNamed) {
    EventLog log = boot();
    std::swap(log.events[1], log.events[4]);
    const Check tree = check(log, replay(boot()));
    EXPECT_EQ(summarise(tree).failed, Ids{"event_log.rtmr0"});
    EXPECT_EQ(note(tree, "event_log.rtmr0"),
              "event 1, EV_EFI_ACTION \"two\": with this event and the register's next one swapped "
              "the log replays");
}

TEST(LogChecks, AnAlteredDigestIsNamed) {
    EventLog log = boot();
    log.events[0].digest[47] ^= std::byte{1};
    const Check tree = check(log, replay(boot()));
    EXPECT_EQ(summarise(tree).failed, (Ids{"event_log.rtmr0", "event_log.content"}));
    EXPECT_EQ(
        note(tree, "event_log.rtmr0"),
        "event 0, EV_EFI_ACTION \"one\": with the digest of this event's data the log replays");
}

TEST(LogChecks, AMissingEventIsNoticedAndAReferenceLogNamesIt) {
    EventLog log = boot();
    log.events.erase(log.events.begin() + 1);
    const Check tree = check(log, replay(boot()));
    EXPECT_EQ(summarise(tree).failed, Ids{"event_log.rtmr0"});
    EXPECT_EQ(note(tree, "event_log.rtmr0"), "no single event explains the difference");
    std::optional<Difference> difference = first_difference(boot(), log);
    ASSERT_TRUE(difference.has_value());
    EXPECT_EQ(describe(*difference),
              "event 1 of RTMR0: expected EV_SEPARATOR (" + hex(boot().events[1].digest) +
                  "), found EV_EFI_ACTION \"two\" (" + hex(boot().events[4].digest) + ")");
}

TEST(LogChecks, AMissingLastEventHasNothingInItsPlace) {
    EventLog log = boot();
    log.events.pop_back();
    std::optional<Difference> difference = first_difference(boot(), log);
    ASSERT_TRUE(difference.has_value());
    EXPECT_EQ(difference->rtmr, 1u);
    EXPECT_EQ(difference->position, 1u);
    EXPECT_TRUE(difference->expected.has_value());
    EXPECT_FALSE(difference->found.has_value());
    EXPECT_FALSE(first_difference(boot(), boot()).has_value());
}

TEST(LogChecks, AnEventMovedToAnotherRegisterFailsBoth) {
    EventLog log = boot();
    log.events[3].rtmr = 3;
    EXPECT_EQ(summarise(check(log, replay(boot()))).failed,
              (Ids{"event_log.rtmr2", "event_log.rtmr3"}));
}

TEST(LogChecks, TextThatWasNotMeasuredIsContradicted) {
    EventLog log = boot();
    log.events[4].data = to_bytes("three");
    const Check tree = check(log, replay(boot()));
    EXPECT_EQ(summarise(tree).failed, Ids{"event_log.content"});
    EXPECT_EQ(note(tree, "event_log.content"), "event 4, EV_EFI_ACTION \"three\"");
}

TEST(LogChecks, TextOfOtherTypesIsHearsay) {
    EventLog log = boot();
    log.events[3].data = to_bytes("kernel_cmdline: init=/bin/sh");
    const Check tree = check(log, replay(boot()));
    EXPECT_EQ(tree.verdict, Verdict::pass);
    EXPECT_EQ(note(tree, "event_log.content"),
              "5 of 6 events are backed by what lies beside their digest");
}

TEST(LogChecks, AnUnreadableLogEvaluatesNothingElse) {
    const Check tree = check_event_log({}, parse_ccel({}));
    const Summary summary = summarise(tree);
    EXPECT_EQ(summary.failed, Ids{"event_log.syntax"});
    EXPECT_EQ(summary.not_evaluated, (Ids{"event_log.rtmr0", "event_log.rtmr1", "event_log.rtmr2",
                                          "event_log.rtmr3", "event_log.content"}));
}

TEST(LogChecks, TheSearchIsBounded) {
    EventLog log;
    for (std::size_t i = 0; i < kMaxEvents; ++i)
        log.events.push_back(event_of(0, kEvEfiAction, std::to_string(i)));
    EXPECT_FALSE(find_suspect(log, 0, Digest48{std::byte{1}}).has_value());
    // Whoever quotes a prefix is found all the same: that costs nothing extra.
    EventLog prefix{{log.events.begin(), log.events.end() - 10}};
    std::optional<Suspect> suspect = find_suspect(log, 0, replay(prefix)[0]);
    ASSERT_TRUE(suspect.has_value());
    EXPECT_EQ(suspect->index, kMaxEvents - 10);
}

}  // namespace
}  // namespace eos::attestation::event_log
