// SPDX-License-Identifier: AGPL-3.0-only
#include "untrusted/aesm/aesm.h"

#include <gtest/gtest.h>

#include "common/base/codec.h"
#include "common/base/encoding.h"

namespace eos::aesm {
namespace {

Bytes without_length(const Bytes& frame) {
    return {frame.begin() + kLengthBytes, frame.end()};
}

Bytes message(std::string_view hex_text) {
    return *from_hex(hex_text);
}

// Expected bytes written out with protoc's text format in mind: tag 15 length-delimited is 7a,
// 16 is 82 01, 17 is 8a 01.
TEST(Aesm, RequestsHaveTheBytesOfTheProtocol) {
    EXPECT_EQ(hex(encode(InitQuoteRequest{.att_key_id = to_bytes("ab"), .timeout_ms = 300})),
              "0d000000"
              "7a0b"
              "0a026162"
              "1801"
              "2020"
              "48ac02");
    EXPECT_EQ(hex(encode(QuoteSizeRequest{.att_key_id = to_bytes("ab")})),
              "07000000"
              "820104"
              "0a026162");
    EXPECT_EQ(hex(encode(QuoteRequest{.report = to_bytes("r"),
                                      .att_key_id = to_bytes("k"),
                                      .qe_report_info = to_bytes("i"),
                                      .buf_size = 4096})),
              "0f000000"
              "8a010c"
              "0a0172"
              "12016b"
              "1a0169"
              "208020");
}

TEST(Aesm, RequestsComeBackAsTheyWere) {
    const Request requests[] = {
        InitQuoteRequest{to_bytes("key"), PubKeyId::kReturn, 32, 1000},
        InitQuoteRequest{to_bytes("key"), PubKeyId::kOmit, ~0ull, 0},
        QuoteSizeRequest{to_bytes("key"), 7},
        QuoteRequest{Bytes(kReportBytes), to_bytes("key"), std::nullopt, 4600, 1},
        QuoteRequest{Bytes(kReportBytes), to_bytes("key"), Bytes{}, 4600, ~0u},
    };
    for (const Request& request : requests) {
        auto parsed = parse_request(without_length(encode(request)));
        ASSERT_TRUE(parsed.has_value()) << parsed.error().message();
        EXPECT_EQ(*parsed, request);
    }
}

TEST(Aesm, ResponsesComeBackAsTheyWere) {
    const Response responses[] = {
        InitQuoteResponse{Status::kSuccess, Bytes(kTargetInfoBytes), 32, Bytes(32, std::byte{7})},
        InitQuoteResponse{Status::kServiceUnavailable, {}, 0, {}},
        QuoteSizeResponse{Status::kSuccess, 4600},
        QuoteResponse{Status::kSuccess, Bytes(4600, std::byte{1}), Bytes(16)},
        QuoteResponse{Status::kAttKeyNotInitialised, {}, {}},
    };
    for (const Response& response : responses) {
        auto parsed = parse_response(without_length(encode(response)));
        ASSERT_TRUE(parsed.has_value()) << parsed.error().message();
        EXPECT_EQ(*parsed, response);
    }
}

TEST(Aesm, UnknownFieldsAreSkipped) {
    // Unknown 20 (varint), 21 (fixed64), 22 (fixed32) beside the message; unknown 14 inside it.
    auto parsed =
        parse_response(message("a00105"
                               "a9010000000000000000"
                               "b50100000000"
                               "8201070800109a057005"));
    ASSERT_TRUE(parsed.has_value()) << parsed.error().message();
    EXPECT_EQ(*parsed, Response(QuoteSizeResponse{Status::kSuccess, 666}));
}

struct Refused {
    const char* hex_text;
    Code code;
    const char* why;
};

class RefusedResponse : public testing::TestWithParam<Refused> {};

TEST_P(RefusedResponse, WithItsCode) {
    auto parsed = parse_response(message(GetParam().hex_text));
    ASSERT_FALSE(parsed.has_value()) << GetParam().why;
    EXPECT_EQ(parsed.error().code(), GetParam().code) << parsed.error().message();
}

// The accepted original is 8201050800109a05.
INSTANTIATE_TEST_SUITE_P(
    Aesm, RefusedResponse,
    testing::Values(
        Refused{"", unexpected_message, "nothing"}, Refused{"8201", malformed, "no length"},
        Refused{"8201060800109a05", malformed, "length beyond the end"},
        Refused{"8201050800109aff", malformed, "varint runs out"},
        Refused{"82010d080010ffffffffffffffffff02", malformed, "varint of 65 bits"},
        Refused{"82010e080010ffffffffffffffffffff01", malformed, "varint of eleven bytes"},
        Refused{"82010808001080808080"
                "10",
                field_range, "size of 33 bits"},
        Refused{"820103109a05", missing_field, "no errorCode"},
        Refused{"82010608000800"
                "1001",
                repeated_field, "errorCode twice"},
        Refused{"82010508001201"
                "41",
                malformed, "size as bytes"},
        Refused{"8a0104080010"
                "01",
                malformed, "quote as varint"},
        Refused{"8201028001", malformed, "submessage cut"},
        Refused{"82010208008a01020800", repeated_field, "two messages"},
        Refused{"800101", malformed, "message as varint"},
        Refused{"0a020800", unexpected_message, "an EPID response"},
        Refused{"0301", malformed, "field number 0"}, Refused{"0b", malformed, "group"}));

TEST(Aesm, RequestWithoutItsRequiredFieldsIsRefused) {
    EXPECT_EQ(parse_request(message("7a00")).error().code(), missing_field);
    EXPECT_EQ(parse_request(message("8a01030a0141")).error().code(), missing_field);
    EXPECT_EQ(parse_request(message("8a01022001")).error().code(), missing_field);
}

TEST(Aesm, EveryTruncationOfAMessageIsRefused) {
    const Bytes whole = without_length(
        encode(InitQuoteResponse{Status::kSuccess, Bytes(64), 32, Bytes(32, std::byte{7})}));
    for (std::size_t size = 0; size < whole.size(); ++size) {
        EXPECT_FALSE(parse_response(ByteView(whole).first(size)).has_value()) << size;
    }
}

TEST(Aesm, LengthIsBounded) {
    auto length = [](std::uint32_t size) {
        return parse_length(to_array<kLengthBytes>(Writer().u32le(size).view()));
    };
    EXPECT_EQ(*length(kMaxMessageBytes), kMaxMessageBytes);
    EXPECT_EQ(length(kMaxMessageBytes + 1).error().code(), oversized);
    EXPECT_EQ(length(0xFFFFFFFF).error().code(), oversized);
    EXPECT_EQ(parse_response(Bytes(kMaxMessageBytes + 1)).error().code(), oversized);
}

TEST(Aesm, AttestationKeyIdHasItsFieldsInPlace) {
    const auto key_id = ecdsa_p256_att_key_id();
    const ByteView id = key_id;
    EXPECT_EQ(hex(id.subspan(4, 6)), "20008c4f5775");
    EXPECT_EQ(hex(id.subspan(54, 4)), "01000000");
    EXPECT_EQ(hex(id.subspan(154, 4)), "02000000");
    EXPECT_TRUE(all_zero(id.subspan(158)));
}

}  // namespace
}  // namespace eos::aesm
