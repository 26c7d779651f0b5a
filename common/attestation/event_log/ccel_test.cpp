// SPDX-License-Identifier: AGPL-3.0-only
#include <gtest/gtest.h>

#include "common/attestation/event_log/log_builder_test.h"

namespace eos::attestation::event_log {
namespace {

using namespace testing;

Code code_of(ByteView area) {
    Result<EventLog> log = parse_ccel(area);
    EXPECT_FALSE(log.has_value());
    return log.has_value() ? Code{} : log.error().code();
}

TEST(Ccel, EventsComeBackInOrder) {
    const std::vector<Event> events = small_boot();
    Result<EventLog> log = parse_ccel(ccel_of(events));
    ASSERT_TRUE(log.has_value()) << log.error().message();
    EXPECT_EQ(log->events, events);
}

TEST(Ccel, TheUnwrittenRestMayBeOnesOrZeros) {
    for (std::byte filler : {std::byte{0xff}, std::byte{0}}) {
        Bytes area = ccel_of(small_boot());
        area.resize(area.size() + 1000, filler);
        Result<EventLog> log = parse_ccel(area);
        ASSERT_TRUE(log.has_value()) << log.error().message();
        EXPECT_EQ(log->events.size(), small_boot().size());
    }
}

TEST(Ccel, WhatFollowsTheEndMustBeFiller) {
    Bytes area = ccel_of(small_boot());
    area.resize(area.size() + 8, std::byte{0xff});
    append(area, record(small_boot().front()));
    EXPECT_EQ(code_of(area), log_padding);
}

TEST(Ccel, EveryCutIsRefusedExceptBetweenRecords) {
    const std::vector<Event> events = small_boot();
    const Bytes area = ccel_of(events);
    std::vector<std::size_t> ends{header({{}}).size()};
    for (const Event& event : events) ends.push_back(ends.back() + record(event).size());
    for (std::size_t size = 0; size < area.size(); ++size) {
        SCOPED_TRACE(size);
        Result<EventLog> log = parse_ccel(ByteView(area).first(size));
        if (std::ranges::find(ends, size) != ends.end()) {
            EXPECT_TRUE(log.has_value());
            continue;
        }
        ASSERT_FALSE(log.has_value());
        EXPECT_EQ(log.error().code(), log_truncated);
    }
}

TEST(Ccel, HeadersThatAreNone) {
    Bytes area = ccel_of(small_boot());
    area[4] = std::byte{8};  // type of the header
    EXPECT_EQ(code_of(area), bad_log_header);
    area = ccel_of(small_boot());
    area[8] = std::byte{1};  // its digest
    EXPECT_EQ(code_of(area), bad_log_header);
    area = ccel_of(small_boot());
    area[32] = std::byte{'s'};  // its signature
    EXPECT_EQ(code_of(area), bad_log_header);
    EXPECT_EQ(code_of(header({})), bad_log_header);
    EXPECT_EQ(code_of(header({{}, {}})), bad_log_header);  // twice the same
    EXPECT_EQ(code_of(header(std::vector<Announced>(6))), bad_log_header);
    area = header({{}});
    area.back() = std::byte{1};  // vendor information that is not there
    EXPECT_EQ(code_of(area), bad_log_header);
}

TEST(Ccel, DigestsOfTheWrongSizeOrKind) {
    EXPECT_EQ(code_of(header({{0x000c, 32}})), bad_digest_size);
    EXPECT_EQ(code_of(header({{0x000c, 0xffff}})), bad_digest_size);
    EXPECT_EQ(code_of(header({{0x0027, 32}, {}})), unknown_algorithm);  // SHA3-256
    EXPECT_EQ(code_of(header({{0x000b, 32}})), no_sha384);
    Bytes area = ccel_of(small_boot());
    area[header({{}}).size() + 12] = std::byte{0x0b};  // a record's algorithm, not announced
    EXPECT_EQ(code_of(area), unknown_algorithm);
}

TEST(Ccel, EachRecordHasOneDigestPerAlgorithm) {
    Bytes area = ccel_of(small_boot());
    for (std::byte count : {std::byte{0}, std::byte{2}, std::byte{255}}) {
        area[header({{}}).size() + 8] = count;
        EXPECT_EQ(code_of(area), bad_digest_count);
    }
    const Event event = small_boot().front();
    Bytes both = header({{0x000b, 32}, {}});
    Writer twice;
    twice.u32le(1).u32le(event.type).u32le(2);
    twice.u16le(0x000c).bytes(event.digest).u16le(0x000c).bytes(event.digest).u32le(0);
    append(both, twice.view());
    EXPECT_EQ(code_of(both), bad_digest_count);
}

TEST(Ccel, OfSeveralDigestsTheSha384OneIsTaken) {
    const Event event = small_boot().front();
    Bytes area = header({{0x000b, 32}, {}});
    Writer record;
    record.u32le(1).u32le(event.type).u32le(2);
    record.u16le(0x000c).bytes(event.digest).u16le(0x000b).zeros(32);
    record.u32le(static_cast<std::uint32_t>(event.data.size())).bytes(event.data);
    append(area, record.view());
    Result<EventLog> log = parse_ccel(area);
    ASSERT_TRUE(log.has_value()) << log.error().message();
    EXPECT_EQ(log->events, std::vector<Event>{event});
}

TEST(Ccel, RegistersThatAreNoRtmr) {
    for (std::uint32_t index : {0u, 5u, 0x80000001u}) {
        Bytes area = header({{}});
        Writer out;
        out.u32le(index).u32le(kEvEfiAction).u32le(1).u16le(0x000c).zeros(48).u32le(0);
        append(area, out.view());
        EXPECT_EQ(code_of(area), unknown_register);
    }
}

TEST(Ccel, SizesAreBounded) {
    EXPECT_EQ(code_of(Bytes(kMaxLogBytes + 1)), log_too_large);
    Event large = event_of(0, kEvEfiAction, std::string(kMaxEventBytes, 'x'));
    EXPECT_TRUE(parse_ccel(ccel_of({large})).has_value());
    large.data.push_back(std::byte{0});
    EXPECT_EQ(code_of(ccel_of({large})), log_too_large);
    std::vector<Event> many(kMaxEvents, event_of(0, kEvEfiAction, ""));
    EXPECT_TRUE(parse_ccel(ccel_of(many)).has_value());
    many.push_back(many.front());
    EXPECT_EQ(code_of(ccel_of(many)), log_too_large);
    // A size that wraps around must not.
    Bytes area = ccel_of({event_of(0, kEvEfiAction, "x")});
    std::fill(area.end() - 5, area.end() - 1, std::byte{0xff});
    EXPECT_EQ(code_of(area), log_too_large);
}

Bytes table(std::uint8_t cc_type) {
    Writer out;
    out.text("CCEL").u32le(56).u8(1).u8(0).text("OEMIDxTABLEIDx").u32le(2).text("MAKR").u32le(1);
    out.u8(cc_type).u8(0).u16le(0).u64le(0x40000).u64le(0xbedbf000);
    Bytes bytes = std::move(out).take();
    unsigned sum = 0;
    for (std::byte b : bytes) sum += std::to_integer<unsigned>(b);
    bytes[9] = static_cast<std::byte>(256 - sum % 256);
    return bytes;
}

TEST(CcelTable, SaysWhereTheLogLies) {
    Result<CcelTable> parsed = parse_ccel_table(table(2));
    ASSERT_TRUE(parsed.has_value()) << parsed.error().message();
    EXPECT_EQ(parsed->area_bytes, 0x40000u);
    EXPECT_EQ(parsed->area_address, 0xbedbf000u);
}

TEST(CcelTable, RefusesWhatIsNone) {
    Bytes short_table = table(2);
    short_table.pop_back();
    Bytes other = table(2);
    other[0] = std::byte{'X'};
    Bytes sum = table(2);
    sum[9] ^= std::byte{1};
    for (const Bytes& bytes : {short_table, other, sum, table(1)}) {
        Result<CcelTable> parsed = parse_ccel_table(bytes);
        ASSERT_FALSE(parsed.has_value());
        EXPECT_EQ(parsed.error().code(), bad_ccel_table);
    }
}

}  // namespace
}  // namespace eos::attestation::event_log
