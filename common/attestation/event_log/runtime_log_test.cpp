// SPDX-License-Identifier: AGPL-3.0-only
#include <gtest/gtest.h>

#include "common/attestation/event_log/log_builder_test.h"
#include "common/base/encoding.h"
#include "common/json/json.h"

namespace eos::attestation::event_log {
namespace {

using namespace testing;

/// A run-time event whose digest covers type, name and payload.
Event runtime_event(std::string_view name, std::string_view payload) {
    Writer covered;
    covered.u32le(kDstackRuntimeEvent).text(":").text(name).text(":").text(payload);
    return {3, kDstackRuntimeEvent, sha384(covered.view()), std::string(name), to_bytes(payload)};
}

json::Value row(const Event& event) {
    return json::parse(as_bytes(encode_runtime_log({{event}})), {.size_bytes = 1 << 20}).value()[0];
}

Result<EventLog> parse(const json::Value& list) {
    return parse_runtime_log(as_bytes(json::compact(list)));
}

Code code_of(const json::Value& list) {
    Result<EventLog> log = parse(list);
    EXPECT_FALSE(log.has_value());
    return log.has_value() ? Code{} : log.error().code();
}

TEST(RuntimeLog, EventsComeBackInOrder) {
    const Event first = runtime_event("app-id", "1234");
    const Event second = runtime_event("system-ready", "");
    Result<EventLog> log = parse({row(first), row(second)});
    ASSERT_TRUE(log.has_value()) << log.error().message();
    EXPECT_EQ(log->events, (std::vector<Event>{first, second}));
    EXPECT_EQ(content_of(log->events[0]), Content::verified);
    EXPECT_EQ(content_of(log->events[1]), Content::verified);
    EXPECT_EQ(describe(log->events[0]), "dstack run-time event \"app-id\"");
}

TEST(RuntimeLog, NameAndPayloadAreCoveredByTheDigest) {
    Event renamed = runtime_event("app-id", "1234");
    renamed.name = "app-ie";
    EXPECT_EQ(content_of(renamed), Content::contradicted);
    Event changed = runtime_event("app-id", "1234");
    changed.data[0] ^= std::byte{1};
    EXPECT_EQ(content_of(changed), Content::contradicted);
    // The border between name and payload is covered too.
    Event moved = runtime_event("a:b", "c");
    moved.name = "a";
    moved.data = to_bytes("b:c");
    EXPECT_EQ(content_of(moved), Content::verified) << "the format is ambiguous for names with ':'";
    // Without name and payload the event is no more believed than with wrong ones.
    Event stripped = runtime_event("app-id", "1234");
    stripped.name.clear();
    stripped.data.clear();
    EXPECT_EQ(content_of(stripped), Content::contradicted);
}

TEST(RuntimeLog, AnEmptyDigestOfARuntimeEventIsComputed) {
    const Event event = runtime_event("app-id", "1234");
    json::Value value = row(event);
    value["digest"] = "";
    Result<EventLog> log = parse(json::Value::array({value}));
    ASSERT_TRUE(log.has_value()) << log.error().message();
    EXPECT_EQ(log->events, std::vector<Event>{event});
    value["event_payload"] = hex(as_bytes("1235"));  // a twin replays to another register
    log = parse(json::Value::array({value}));
    ASSERT_TRUE(log.has_value());
    EXPECT_NE(log->events[0].digest, event.digest);
    // Nothing tells what the digest of another event covers.
    value["event_type"] = kEvEfiAction;
    EXPECT_EQ(code_of(json::Value::array({value})), bad_digest_size);
    value["event_type"] = kDstackRuntimeEvent;
    value["digest"] = "00";
    EXPECT_EQ(code_of(json::Value::array({value})), bad_digest_size);
    value.erase("digest");
    EXPECT_EQ(code_of(json::Value::array({value})), json::missing_member);
}

TEST(RuntimeLog, MalformedRowsAreNamed) {
    const Event event = runtime_event("app-id", "1234");
    json::Value value = row(event);
    value["imr"] = 4;
    EXPECT_EQ(code_of(json::Value::array({value})), json::out_of_range);
    value = row(event);
    value["event_type"] = std::uint64_t{1} << 32;
    EXPECT_EQ(code_of(json::Value::array({value})), json::out_of_range);
    value = row(event);
    value["digest"] = hex(event.digest).substr(0, 64);
    EXPECT_EQ(code_of(json::Value::array({value})), bad_digest_size);
    value["digest"] = "zz";
    EXPECT_EQ(code_of(json::Value::array({value})), bad_encoding);
    value = row(event);
    value["event_payload"] = std::string(2 * kMaxEventBytes + 2, '0');
    EXPECT_EQ(code_of(json::Value::array({value})), log_too_large);
    value = row(event);
    value["event"] = std::string(kMaxEventNameBytes + 1, 'x');
    EXPECT_EQ(code_of(json::Value::array({value})), json::out_of_range);
    value = row(event);
    value["also"] = 1;
    EXPECT_EQ(code_of(json::Value::array({value})), json::unknown_member);
    value = row(event);
    value.erase("digest");
    EXPECT_EQ(code_of(json::Value::array({value})), json::missing_member);
    EXPECT_EQ(code_of(json::Value::object()), json::wrong_type);
    EXPECT_EQ(code_of(json::Value::array(
                  {json::Value::array({json::Value::array({json::Value::array()})})})),
              json::too_large);
}

}  // namespace
}  // namespace eos::attestation::event_log
