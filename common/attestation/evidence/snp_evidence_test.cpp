// SPDX-License-Identifier: AGPL-3.0-only
#include "common/attestation/evidence/snp_evidence.h"

#include <gtest/gtest.h>

#include "common/base/codec.h"
#include "common/base/encoding.h"

namespace eos::attestation::evidence {
namespace {

Bytes report() {
    snp_arch::Report out;
    out.policy.raw = snp_arch::kPolicyMustBeOne;
    return to_bytes(encode(out));
}

/// Two entries: four bytes and three bytes.
Bytes table() {
    return encode_snp_table(
        {{SnpTableKind::vcek, to_bytes("vcek")}, {SnpTableKind::ask, to_bytes("ask")}});
}

/// The table with one number of the first row changed: offset at 16, size at 20.
Bytes with_number(std::size_t at, std::uint32_t value) {
    Bytes out = table();
    Writer number;
    number.u32le(value);
    std::ranges::copy(number.view(), out.begin() + static_cast<std::ptrdiff_t>(at));
    return out;
}

Code refusal(ByteView bytes) {
    Result<std::vector<SnpTableEntry>> parsed = parse_snp_table(bytes);
    return parsed.has_value() ? Code{} : parsed.error().code();
}

TEST(SnpTable, EntriesSurvive) {
    Bytes bytes = table();
    std::vector<SnpTableEntry> entries = parse_snp_table(bytes).value();
    ASSERT_EQ(entries.size(), 2u);
    EXPECT_EQ(entries[0].kind, SnpTableKind::vcek);
    EXPECT_EQ(to_string(entries[0].content), "vcek");
    EXPECT_EQ(entries[1].kind, SnpTableKind::ask);
    EXPECT_EQ(to_string(entries[1].content), "ask");
    EXPECT_EQ(hex(ByteView(bytes).first(4)), "63da758d");
    // A host fills pages.
    bytes.resize(4096);
    EXPECT_EQ(parse_snp_table(bytes)->size(), 2u);
    EXPECT_EQ(parse_snp_table(Bytes(24))->size(), 0u);
    bytes[0] ^= std::byte{1};
    EXPECT_EQ(parse_snp_table(bytes).value()[0].kind, SnpTableKind::other);
}

TEST(SnpTable, LengthsThatDoNotFitAreRefused) {
    EXPECT_EQ(refusal({}), bad_certificate_table);
    for (std::size_t size = 0; size < table().size(); ++size) {
        EXPECT_EQ(refusal(ByteView(table()).first(size)), bad_certificate_table) << size;
    }
    for (std::uint32_t size : {0u, 5u, 8u, 0x7fffffffu, 0x80000000u, 0xffffffffu}) {
        EXPECT_EQ(refusal(with_number(20, size)), bad_certificate_table) << size;
    }
    for (std::uint32_t offset : {0u, 71u, 73u, 75u, 0x80000000u, 0xffffffffu}) {
        EXPECT_EQ(refusal(with_number(16, offset)), bad_certificate_table) << offset;
    }
    // Shorter: a byte belongs to nothing.
    EXPECT_EQ(refusal(with_number(20, 3)), bad_certificate_table);
    Bytes longer = table();
    longer.push_back(std::byte{1});
    EXPECT_EQ(refusal(longer), bad_certificate_table);
    EXPECT_EQ(refusal(Bytes(kMaxSnpTableBytes + 1)), bad_certificate_table);
    EXPECT_EQ(refusal(Bytes(24 * 40, std::byte{1})), bad_certificate_table);
}

TEST(SnpEvidence, IsAReportAndPerhapsATable) {
    SnpEvidence alone = parse_snp_evidence(report()).value();
    EXPECT_TRUE(alone.table.empty());
    EXPECT_EQ(alone.signed_bytes().size(), 0x2a0u);
    SnpEvidence both = parse_snp_evidence(concat({report(), table()})).value();
    EXPECT_EQ(both.table.size(), 2u);
    EXPECT_EQ(both.report, alone.report);
}

TEST(SnpEvidence, OtherSizesAreRefused) {
    EXPECT_EQ(parse_snp_evidence({}).error().code(), snp_arch::report_size);
    for (std::size_t size : {793u, 1183u}) {
        EXPECT_EQ(parse_snp_evidence(ByteView(report()).first(size)).error().code(),
                  snp_arch::report_size);
    }
    Bytes longer = report();
    longer.resize(1185);
    EXPECT_EQ(parse_snp_evidence(longer).error().code(), bad_certificate_table);
    // The firmware's message instead of the report: its head is a status of zero.
    Bytes message(32);
    append(message, report());
    message.resize(4000);
    EXPECT_EQ(parse_snp_evidence(message).error().code(), snp_arch::unsupported_report_version);
}

}  // namespace
}  // namespace eos::attestation::evidence
