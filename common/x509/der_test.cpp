// SPDX-License-Identifier: AGPL-3.0-only
#include "common/x509/der.h"

#include <gtest/gtest.h>

#include "common/base/encoding.h"
#include "common/oid/registry.h"

namespace eos::x509 {
namespace {

Bytes bytes(std::string_view text) {
    return from_hex(text).value();
}

template <typename Read>
void expect_code(std::string_view input, const Code& code, Read read) {
    Bytes der = bytes(input);
    DerReader reader(der);
    auto result = read(reader);
    ASSERT_FALSE(result.has_value()) << input;
    EXPECT_EQ(result.error().code(), code) << input << ": " << result.error().message();
    // A failing read leaves the position: what follows reads the same element again.
    EXPECT_EQ(reader.at_end(), der.empty());
}

auto any = [](DerReader& r) { return r.any(); };
auto boolean = [](DerReader& r) { return r.boolean(); };
auto integer = [](DerReader& r) { return r.unsigned_integer(); };
auto u64 = [](DerReader& r) { return r.u64(); };
auto bits = [](DerReader& r) { return r.named_bits(); };
auto bit_string = [](DerReader& r) { return r.byte_bit_string(); };
auto time_value = [](DerReader& r) { return r.time(); };

TEST(DerReader, Lengths) {
    for (std::size_t size : {0, 1, 127, 128, 255, 256, 65535, 65536}) {
        DerWriter out;
        out.octet_string(Bytes(size, std::byte{7}));
        DerReader reader(out.view());
        EXPECT_EQ(reader.octet_string().value().size(), size);
        EXPECT_TRUE(reader.at_end());
        for (std::size_t cut = 1; cut <= 4 && cut < out.size(); ++cut) {
            DerReader short_reader(out.view().first(out.size() - cut));
            EXPECT_EQ(short_reader.any().error().code(), truncated);
        }
    }
}

TEST(DerReader, RefusesLengthsThatAreNotMinimal) {
    expect_code("0480", bad_length, any);      // indefinite
    expect_code("30800000", bad_length, any);  // indefinite
    expect_code("048105aabbccddee", bad_length, any);
    expect_code("04820005aabbccddee", bad_length, any);
    expect_code("0485000000000101", bad_length, any);  // five bytes
    expect_code("04ff01", bad_length, any);
    expect_code("0484ffffffff", truncated, any);
    expect_code("0481", truncated, any);
    expect_code("04", truncated, any);
    expect_code("", truncated, any);
}

TEST(DerReader, RefusesTagsOutsideX509) {
    expect_code("0000", unexpected_tag, any);      // end-of-contents
    expect_code("1f2001aa", unexpected_tag, any);  // high tag number
    expect_code("bf8100", unexpected_tag, any);
    expect_code("3000", unexpected_tag, integer);
}

TEST(DerReader, Booleans) {
    Bytes der = bytes("0101ff010100");
    DerReader reader(der);
    EXPECT_TRUE(reader.boolean().value());
    EXPECT_FALSE(reader.boolean().value());
    expect_code("010101", bad_value, boolean);
    expect_code("0100", bad_value, boolean);
    expect_code("0102ffff", bad_value, boolean);
}

TEST(DerReader, Integers) {
    Bytes der = bytes(
        "020100"
        "02017f"
        "02020080"
        "020900ffffffffffffffff");
    DerReader reader(der);
    EXPECT_EQ(reader.u64().value(), 0u);
    EXPECT_EQ(reader.u64().value(), 127u);
    EXPECT_EQ(reader.u64().value(), 128u);
    EXPECT_EQ(reader.u64().value(), UINT64_MAX);
    expect_code("0200", bad_value, integer);
    expect_code("020180", bad_value, integer);    // negative
    expect_code("0202007f", bad_value, integer);  // not minimal
    expect_code("0202ff80", bad_value, integer);
    expect_code("0209010000000000000000", bad_value, u64);
}

TEST(DerReader, NamedBits) {
    struct Case {
        const char* der;
        unsigned bits;
    };
    for (const Case& c : {Case{"03020780", 1},
                          {"03020106", 0x60},
                          {"030205a0", 5},
                          {"0303070080", 0x100},
                          {"0302000f", 0xf0},
                          {"0303000001", 0x8000}}) {
        Bytes der = bytes(c.der);
        DerReader reader(der);
        EXPECT_EQ(reader.named_bits().value(), c.bits) << c.der;
        DerWriter out;
        out.named_bits(static_cast<std::uint16_t>(c.bits));
        EXPECT_EQ(hex(out.view()), c.der);
    }
    Bytes amd = bytes("03020104");  // bit 5, then a zero that DER leaves out
    EXPECT_EQ(DerReader(amd).named_bits().value(), 0x20u);
    expect_code("0300", bad_value, bits);
    expect_code("030100", bad_value, bits);
    expect_code("03020000", bad_value, bits);  // no bit set
    expect_code("03020781", bad_value, bits);  // an unused bit is set
    expect_code("03020880", bad_value, bits);
    expect_code("0303000000", bad_value, bits);
    expect_code("030400000001", bad_value, bits);
}

TEST(DerReader, BitStringsOfWholeBytes) {
    Bytes der = bytes("030300aabb");
    DerReader reader(der);
    EXPECT_EQ(hex(reader.byte_bit_string().value()), "aabb");
    expect_code("0300", bad_value, bit_string);
    expect_code("03020180", bad_value, bit_string);
}

TEST(DerReader, Times) {
    auto read = [](Tag tag, std::string_view text) {
        DerWriter out;
        out.text(tag, text);
        DerReader reader(out.view());
        return reader.time();
    };
    EXPECT_EQ(rfc3339(read(Tag::kUtcTime, "491231235959Z").value()), "2049-12-31T23:59:59Z");
    EXPECT_EQ(rfc3339(read(Tag::kUtcTime, "500101000000Z").value()), "1950-01-01T00:00:00Z");
    EXPECT_EQ(rfc3339(read(Tag::kGeneralizedTime, "20500101000000Z").value()),
              "2050-01-01T00:00:00Z");
    for (const char* bad :
         {"", "4912312359Z", "491231235959", "491231235959+0000", "491301000000Z", "490230000000Z",
          "490101240000Z", "490101000060Z", "49010100000 Z", "20490101000000Z"}) {
        EXPECT_EQ(read(Tag::kUtcTime, bad).error().code(), bad_value) << bad;
    }
    EXPECT_EQ(rfc3339(read(Tag::kGeneralizedTime, "20210401000000Z").value()),
              "2021-04-01T00:00:00Z");
    for (const char* bad : {"19491231235959Z", "205001010000Z", "20500101000000.5Z",
                            "20500101000000", "500101000000Z", "2050010100000aZ"}) {
        EXPECT_EQ(read(Tag::kGeneralizedTime, bad).error().code(), bad_value) << bad;
    }
    expect_code("1800", bad_value, time_value);
    expect_code("0400", unexpected_tag, time_value);
}

TEST(DerWriter, TimesRoundTrip) {
    for (const char* text : {"1950-01-01T00:00:00Z", "2026-11-05T12:34:56Z", "2049-12-31T23:59:59Z",
                             "2050-01-01T00:00:00Z", "9999-12-31T23:59:59Z"}) {
        DerWriter out;
        out.time(parse_rfc3339(text).value());
        DerReader reader(out.view());
        EXPECT_EQ(rfc3339(reader.time().value()), text);
    }
}

TEST(DerWriter, NestsAndPatchesLengths) {
    for (std::size_t size : {0, 1, 100, 121, 122, 123, 124, 125, 126, 127, 128, 250, 300, 65530}) {
        DerWriter out;
        out.sequence([&] {
            out.integer(5);
            out.constructed(context_constructed(0), [&] { out.octet_string(Bytes(size)); });
            out.null();
        });
        DerReader outer(out.view());
        DerReader inner = outer.sequence().value();
        EXPECT_TRUE(outer.expect_end());
        EXPECT_EQ(inner.u64().value(), 5u);
        DerReader wrapped = inner.enter(context_constructed(0)).value();
        EXPECT_EQ(wrapped.octet_string().value().size(), size);
        EXPECT_TRUE(wrapped.expect_end());
        EXPECT_EQ(inner.expect_end().error().code(), trailing_bytes);
        EXPECT_EQ(hex(inner.expect(Tag::kNull).value().whole), "0500");
        EXPECT_TRUE(inner.expect_end());
    }
}

TEST(DerWriter, UnsignedIntegers) {
    auto write = [](std::string_view magnitude) {
        DerWriter out;
        out.unsigned_integer(bytes(magnitude));
        return hex(out.view());
    };
    EXPECT_EQ(write(""), "020100");
    EXPECT_EQ(write("0000"), "020100");
    EXPECT_EQ(write("7f"), "02017f");
    EXPECT_EQ(write("0080"), "02020080");
    EXPECT_EQ(write("8000"), "0203008000");
}

TEST(DerReader, SaysWhere) {
    Bytes der = bytes(
        "30060201010201"
        "80");
    DerReader outer(der);
    DerReader inner = outer.sequence().value();
    ASSERT_TRUE(inner.u64());
    EXPECT_EQ(inner.u64().error().detail(), "negative INTEGER at offset 5");
}

}  // namespace
}  // namespace eos::x509
