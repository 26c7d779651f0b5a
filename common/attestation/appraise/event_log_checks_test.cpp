// SPDX-License-Identifier: AGPL-3.0-only
// Event logs beside trust domains, and what a policy demands of them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/attestation/appraise/appraise.h"
#include "common/attestation/event_log/log_builder_test.h"
#include "common/attestation/event_log/replay.h"
#include "common/attestation/verify/corpus_test.h"
#include "common/attestation/verify/synthetic_intel_test.h"
#include "common/base/encoding.h"
#include "common/oid/registry.h"

namespace eos::attestation::appraise {
namespace {

using event_log::EventLog;
using event_log::testing::small_boot;
using testing::Corpus;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::kNow;
using testing::Row;
using testing::SyntheticIntel;
using verify::find_check;
using verify::passed;

LeafClaims leaf_with(const Result<EventLog>* log) {
    LeafClaims out;
    out.extensions[oid::kAssurance] = to_bytes("production");
    out.binding = BindingClaim{.format = std::string(kBindingV1Challenge),
                               .report_data = passed({"report_data", "test"}),
                               .level = passed({"binding.level", "test"})};
    out.leaf_binding = passed({"leaf_binding", "test"});
    out.event_log = log;
    return out;
}

/// A trust domain that booted as small_boot() says, and a policy that takes any.
struct Scene {
    SyntheticIntel intel;
    Policy policy;
    Result<EventLog> log = EventLog{small_boot()};

    Scene() {
        intel.make_tdx(evidence::TdReportKind::tdx15);
        intel.td->rtmr = event_log::replay(*log);
        policy.name = "lab";
        policy.roots = intel.roots();
        policy.tees = {std::string(kTeeTdx)};
        policy.allow_any_identity = true;
    }

    AttestationResult run(const Result<EventLog>* given) const {
        return appraise(
            verify::verify_quote(intel.quote(), intel.endorsements(), policy.roots, kNow),
            leaf_with(given), policy);
    }
    std::vector<std::string> failures() const { return summarise(run(&log).tree()).failed; }
};

TEST(EventLogChecks, ALogIsReplayedWhoeverGivesIt) {
    Scene scene;
    EXPECT_EQ(scene.run(nullptr).outcome(), Outcome::accepted_emulated);
    EXPECT_EQ(find_check(scene.run(nullptr).tree(), "event_log"), nullptr);
    AttestationResult good = scene.run(&scene.log);
    EXPECT_EQ(good.outcome(), Outcome::accepted_emulated) << good.text();
    EXPECT_NE(find_check(good.tree(), "event_log.rtmr2"), nullptr);

    scene.log->events[2].digest[0] ^= std::byte{1};
    AttestationResult altered = scene.run(&scene.log);
    EXPECT_EQ(altered.exit_code(), kExitNotAcceptable);
    EXPECT_THAT(summarise(altered.tree()).failed,
                ElementsAre("event_log.rtmr1", "event_log.content"));
    EXPECT_THAT(find_check(altered.tree(), "event_log.rtmr1")->notes,
                ElementsAre(HasSubstr("Calling EFI Application")));
    scene.log = fail(event_log::log_truncated);
    EXPECT_THAT(scene.failures(), ElementsAre("event_log.syntax"));
}

TEST(EventLogChecks, APolicyCanDemandALog) {
    Scene scene;
    scene.policy.tdx.event_log.emplace();
    AttestationResult without = scene.run(nullptr);
    EXPECT_EQ(without.exit_code(), kExitIncomplete);
    EXPECT_THAT(summarise(without.tree()).not_evaluated, ElementsAre("event_log.given"));
    EXPECT_EQ(scene.run(&scene.log).outcome(), Outcome::accepted_emulated);
    // No waiver helps.
    scene.policy.waivers.insert("event_log.given");
    EXPECT_EQ(scene.run(nullptr).exit_code(), kExitIncomplete);
}

TEST(EventLogChecks, NamedEventsMustBeInTheirRegister) {
    Scene scene;
    const event_log::Event& command_line = scene.log->events[3];
    scene.policy.tdx.event_log = EventLogRule{{{2, command_line.digest}}};
    EXPECT_THAT(scene.failures(), IsEmpty());
    scene.policy.tdx.event_log = EventLogRule{{{1, command_line.digest}}};
    EXPECT_THAT(scene.failures(), ElementsAre("event_log.required_events"));
    EventPin other{2, command_line.digest};
    other.digest[47] ^= std::byte{1};
    scene.policy.tdx.event_log = EventLogRule{{{2, command_line.digest}, other}};
    AttestationResult missing = scene.run(&scene.log);
    EXPECT_THAT(summarise(missing.tree()).failed, ElementsAre("event_log.required_events"));
    EXPECT_THAT(find_check(missing.tree(), "event_log.required_events")->expected,
                HasSubstr("RTMR2 measures " + hex(other.digest)));
    // An event that is written down but never measured counts for nothing.
    event_log::Event unmeasured = command_line;
    unmeasured.type = event_log::kEvNoAction;
    unmeasured.digest = other.digest;
    scene.log->events.push_back(unmeasured);
    EXPECT_THAT(scene.failures(), ElementsAre("event_log.required_events"));
}

event_log::Event root_event(std::byte fill) {
    return event_log::policy_root_event(Bytes(32, fill));
}

TEST(EventLogChecks, TheLastMeasuredPolicyRootIsTheLeafs) {
    Scene scene;
    auto measured = [&](std::vector<event_log::Event> events) {
        scene.log = EventLog{small_boot()};
        for (event_log::Event& event : events) scene.log->events.push_back(std::move(event));
        scene.intel.td->rtmr = event_log::replay(*scene.log);
    };
    auto outcome = [&](std::byte shown) {
        LeafClaims leaf = leaf_with(&scene.log);
        leaf.extensions[oid::kPolicyRoot] = Bytes(32, shown);
        return summarise(
            appraise(verify::verify_quote(scene.intel.quote(), scene.intel.endorsements(),
                                          scene.policy.roots, kNow),
                     leaf, scene.policy)
                .tree());
    };
    constexpr std::byte kOld{1}, kNew{2};
    const std::string id = "event_log.policy_root";
    EXPECT_THAT(outcome(kNew).failed, IsEmpty()) << "a log without policy roots";
    measured({root_event(kOld), root_event(kNew)});
    EXPECT_THAT(outcome(kNew).failed, IsEmpty());
    EXPECT_THAT(outcome(kOld).failed, ElementsAre(id));
    EXPECT_THAT(summarise(scene.run(&scene.log).tree()).not_evaluated, ElementsAre(id));
    // Labels are the presenter's: under another one the last digest is still the last.
    measured({root_event(kOld), root_event(kNew)});
    event_log::Event& last = scene.log->events.back();
    last = {.rtmr = 3, .type = 0xd, .digest = last.digest, .name = {}, .data = {}};
    EXPECT_THAT(outcome(kOld).failed, ElementsAre(id));
    EXPECT_THAT(outcome(kNew).failed, IsEmpty());
    event_log::Event elsewhere = root_event(kOld);
    elsewhere.rtmr = 2;
    measured({root_event(kNew), elsewhere});
    EXPECT_THAT(outcome(kNew).failed, IsEmpty());
    measured({root_event(kNew)});
    scene.log->events.back().data = Bytes(32, kOld);
    EXPECT_THAT(outcome(kOld).failed, ElementsAre("event_log.content", id));
    // A log that does not replay says nothing.
    measured({root_event(kOld)});
    scene.log->events.push_back(root_event(kNew));
    EXPECT_THAT(outcome(kNew).failed, ElementsAre("event_log.rtmr3"));
    EXPECT_THAT(outcome(kNew).not_evaluated, ElementsAre(id));

    scene.policy.tdx.event_log = EventLogRule{{}, MeasuredRoot::required};
    measured({});
    EXPECT_THAT(outcome(kNew).failed, ElementsAre(id));
    measured({root_event(kNew)});
    EXPECT_THAT(outcome(kNew).failed, IsEmpty());
    EXPECT_THAT(outcome(kOld).failed, ElementsAre(id));
}

json::Value policy_json(json::Value event_log) {
    const std::string digest(96, 'a');
    return {{"version", 1},
            {"name", "lab"},
            {"roots", {{"vendor", {"intel"}}}},
            {"tees", {"tdx"}},
            {"allow_any_identity", kAnyIdentityWord},
            {"tdx", {{"event_log", std::move(event_log)}}}};
}

Result<Policy> parse(const json::Value& value) {
    return parse_policy(as_bytes(json::compact(value)));
}

TEST(EventLogPolicy, TheDemandIsReadWrittenAndHashed) {
    const std::string a(96, 'a'), b(96, 'B');
    Result<Policy> none = parse(policy_json({{"required_events", json::Value::array()}}));
    Result<Policy> bare = parse(policy_json(json::Value::object()));
    ASSERT_TRUE(none && bare);
    EXPECT_EQ(policy_hash(*none), policy_hash(*bare));
    Result<Policy> two = parse(policy_json(
        {{"required_events", {{{"rtmr", 3}, {"digest", b}}, {{"rtmr", 0}, {"digest", a}}}}}));
    ASSERT_TRUE(two.has_value()) << two.error().message();
    EXPECT_EQ(two->tdx.event_log->events.size(), 2u);
    EXPECT_NE(policy_hash(*two), policy_hash(*bare));
    Result<Policy> rooted = parse(policy_json({{"policy_root", "required"}}));
    ASSERT_TRUE(rooted.has_value());
    EXPECT_EQ(rooted->tdx.event_log->policy_root, MeasuredRoot::required);
    EXPECT_NE(policy_hash(*rooted), policy_hash(*bare));
    EXPECT_EQ(parse(policy_to_json(*rooted))->tdx, rooted->tdx);
    EXPECT_FALSE(parse(policy_json({{"policy_root", "measured"}})).has_value());
    Result<Policy> again = parse(policy_to_json(*two));
    ASSERT_TRUE(again.has_value());
    EXPECT_EQ(again->tdx, two->tdx);
    Policy without = *two;
    without.tdx.event_log.reset();
    EXPECT_NE(policy_hash(without), policy_hash(*bare));
}

TEST(EventLogPolicy, TwinsFailWithTheirPlace) {
    const json::Value good = {{"rtmr", 3}, {"digest", std::string(96, 'a')}};
    auto refused = [&](json::Value event, std::string_view place) {
        json::Value rule = {{"required_events", json::Value::array({good, std::move(event)})}};
        Result<Policy> policy = parse(policy_json(rule));
        ASSERT_FALSE(policy.has_value()) << place;
        EXPECT_THAT(policy.error().message(), HasSubstr(std::string(place)));
    };
    refused(good, "tdx.event_log.required_events[1]: repeated");
    refused({{"rtmr", 4}, {"digest", std::string(96, 'a')}},
            "tdx.event_log.required_events[1].rtmr");
    refused({{"rtmr", 3}}, "tdx.event_log.required_events[1].digest");
    refused({{"rtmr", 3}, {"digest", "aa"}}, "tdx.event_log.required_events[1].digest");
    refused({{"rtmr", 0}, {"digest", std::string(96, 'a')}, {"name", "x"}}, "name");
    EXPECT_FALSE(parse(policy_json(true)).has_value());
    EXPECT_FALSE(parse(policy_json({{"required", true}})).has_value());
}

// A real guest with its CCEL: the log of another machine does not pass.
TEST_F(Corpus, ARealLogReplaysToItsQuote) {
    const Bytes area = testing::read_file(testing::corpus() / "go-tdx-guest/ccel/ccel_data.dat");
    const Result<EventLog> log = event_log::parse_ccel(area);
    ASSERT_TRUE(log.has_value());
    Policy policy;
    policy.name = "corpus";
    policy.tees = {std::string(kTeeTdx)};
    policy.allow_any_identity = true;
    policy.tdx.event_log = EventLogRule{{{1, log->events.back().digest}}};
    std::size_t seen = 0;
    for (const Row& row : rows_) {
        const std::string id = row.text("id");
        if (id != "tdx4-gcp-cos113" && id != "tdx4-cmc") continue;
        ++seen;
        AttestationResult result =
            appraise(verify::verify_quote(row.quote, row.endorsements, policy.roots, row.time),
                     leaf_with(&log), policy);
        std::vector<std::string> failed;
        for (std::size_t i = 0; i < 3; ++i) {
            const std::string register_id = "event_log.rtmr" + std::to_string(i);
            if (find_check(result.tree(), register_id)->verdict == verify::Verdict::fail)
                failed.push_back(register_id);
        }
        EXPECT_EQ(failed.empty(), id == "tdx4-gcp-cos113") << result.text();
        EXPECT_EQ(failed.empty() || failed.size() == 3, true);
    }
    EXPECT_EQ(seen, 2u);
}

}  // namespace
}  // namespace eos::attestation::appraise
