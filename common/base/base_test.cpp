// SPDX-License-Identifier: AGPL-3.0-only
#include <gtest/gtest.h>

#include "common/base/bytes.h"
#include "common/base/codec.h"
#include "common/base/encoding.h"
#include "common/base/secret.h"
#include "common/base/time.h"

namespace eos {
namespace {

Result<std::uint32_t> sum_of_two(Reader& reader) {
    std::uint32_t a = EOS_TRY(reader.u16le());
    std::uint32_t b = EOS_TRY(reader.u16be());
    return a + b;
}

TEST(Result, TryHandsTheErrorOn) {
    ByteArray<3> three{std::byte{1}, std::byte{0}, std::byte{0}};
    Reader reader(three);
    Result<std::uint32_t> sum = sum_of_two(reader);
    ASSERT_FALSE(sum.has_value());
    EXPECT_EQ(sum.error().code(), truncated);
    EXPECT_EQ(sum.error().message(), "the input ends too early: 2 bytes needed, 1 left");
}

TEST(Result, WithinPutsTheContextFirst) {
    Error error = Error(truncated, "2 bytes").within("quote");
    EXPECT_EQ(error.detail(), "quote: 2 bytes");
}

TEST(Codec, WhatIsWrittenIsRead) {
    Bytes bytes =
        std::move(Writer().u8(1).u16le(0x0203).u32be(0x04050607).u64le(8).text("end")).take();
    Reader reader(bytes);
    EXPECT_EQ(*reader.u8(), 1);
    EXPECT_EQ(*reader.u16le(), 0x0203);
    EXPECT_EQ(*reader.u32be(), 0x04050607u);
    EXPECT_EQ(*reader.u64le(), 8u);
    EXPECT_EQ(reader.expect_end().error().code(), trailing_bytes);
    EXPECT_EQ(to_string(*reader.bytes(3)), "end");
    EXPECT_TRUE(reader.expect_end().has_value());
}

TEST(Codec, FailedReadLeavesThePosition) {
    Bytes bytes = to_bytes("abc");
    Reader reader(bytes);
    EXPECT_FALSE(reader.u32le().has_value());
    EXPECT_EQ(reader.remaining(), 3u);
}

TEST(Encoding, HexBothWays) {
    EXPECT_EQ(hex(*from_hex("00fFa5")), "00ffa5");
    EXPECT_EQ(from_hex("0").error().code(), bad_encoding);
    EXPECT_EQ(from_hex("0g").error().code(), bad_encoding);
    EXPECT_EQ(array_from_hex<2>("001122").error().code(), bad_encoding);
}

// RFC 4648 §10.
TEST(Encoding, Base64Vectors) {
    EXPECT_EQ(base64(as_bytes("")), "");
    EXPECT_EQ(base64(as_bytes("f")), "Zg==");
    EXPECT_EQ(base64(as_bytes("fo")), "Zm8=");
    EXPECT_EQ(base64(as_bytes("foobar")), "Zm9vYmFy");
    EXPECT_EQ(to_string(*from_base64("Zm9vYg==")), "foob");
    EXPECT_EQ(to_string(*from_base64url("Zm9vYg")), "foob");
}

TEST(Encoding, Base64IsStrict) {
    for (const char* bad : {"Zg=", "Zg", "Zh==", "Z===", "Zg=a", "Zm9v\n", "Zm9-"}) {
        EXPECT_FALSE(from_base64(bad).has_value()) << bad;
    }
    for (const char* bad : {"Z", "Zh", "Zg==", "Zm9/"})
        EXPECT_FALSE(from_base64url(bad).has_value()) << bad;
}

TEST(Encoding, Utf8) {
    EXPECT_TRUE(is_utf8(as_bytes("aé€😀")));
    for (std::string_view bad :
         {"\x80", "\xC0\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xE2\x82"}) {
        EXPECT_FALSE(is_utf8(as_bytes(bad)));
    }
}

TEST(Encoding, PrintableHidesControlCharacters) {
    EXPECT_EQ(printable(as_bytes("a\x1b[0m\\")), "a\\x1b[0m\\x5c");
    EXPECT_EQ(printable(as_bytes("abcdef"), 3), "abc…");
}

TEST(Time, Rfc3339BothWays) {
    for (std::int64_t seconds : {std::int64_t{0}, std::int64_t{951782400}, std::int64_t{1788516930},
                                 std::int64_t{253402300799}, std::int64_t{-1}}) {
        UnixTime t{seconds};
        EXPECT_EQ(parse_rfc3339(rfc3339(t))->seconds, seconds);
    }
    EXPECT_EQ(rfc3339({951782400}), "2000-02-29T00:00:00Z");
    EXPECT_EQ(minute_string({1788516930}), "2026-09-04T10:15Z");
}

TEST(Time, RefusesWhatIsNoDate) {
    for (const char* bad : {"2026-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "2026-01-01T24:00:00Z",
                            "2026-01-01T00:00:00", "2026-01-01T00:00:00Z ", "26-01-01T00:00:00Z"}) {
        EXPECT_EQ(parse_rfc3339(bad).error().code(), bad_time) << bad;
    }
}

TEST(Secret, MovedFromSecretIsWiped) {
    Secret<ByteArray<4>> a(to_array<4>(as_bytes("abcd")));
    Secret<ByteArray<4>> b = std::move(a);
    EXPECT_TRUE(
        all_zero(a.view()));  // NOLINT(bugprone-use-after-move): what is left is the question
    EXPECT_EQ(as_chars(b.view()), "abcd");
}

}  // namespace
}  // namespace eos
