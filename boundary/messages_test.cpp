// SPDX-License-Identifier: AGPL-3.0-only
#include "boundary/messages.h"

#include <gtest/gtest.h>

#include <functional>

#include "boundary/exit_codes.h"
#include "boundary/from_host.h"
#include "boundary/log_codes.h"
#include "common/base/codec.h"

namespace eos::boundary {
namespace {

// The payload of a message as it would arrive, owned.
struct Wire {
    std::uint32_t type = 0;
    Bytes payload;

    Frame frame() const { return {.type = type, .payload = payload}; }
};

template <typename Direction, typename Message>
Wire wire(const Message& message) {
    auto encoded = encode(Direction(message));
    EXPECT_TRUE(encoded.has_value());
    return {.type = static_cast<std::uint32_t>(encoded->type),
            .payload = concat({encoded->head(), encoded->tail})};
}

// One row of the table in README.md: a message, and how the ring's other end decodes it.
struct Row {
    std::string name;
    Wire wire;
    std::function<Result<Wire>(const Frame&)> decode_and_encode;
    bool may_grow;  // ends in bytes of any number, so that one more byte is another message
};

template <typename Direction>
auto reencode(Result<Direction> (*decode)(const Frame&)) {
    return [decode](const Frame& frame) -> Result<Wire> {
        Direction message = EOS_TRY(decode(frame));
        auto encoded = EOS_TRY(encode(message));
        return Wire{.type = static_cast<std::uint32_t>(encoded.type),
                    .payload = concat({encoded.head(), encoded.tail})};
    };
}

template <typename Message>
Row data_in(std::string name, const Message& m) {
    return {std::move(name), wire<DataToTrusted>(m), reencode(decode_data_to_trusted),
            std::is_same_v<Message, ConnData>};
}
template <typename Message>
Row data_out(std::string name, const Message& m) {
    return {std::move(name), wire<DataToHost>(m), reencode(decode_data_to_host),
            std::is_same_v<Message, ConnData>};
}
template <typename Message>
Row rpc_out(std::string name, const Message& m) {
    return {std::move(name), wire<RpcToHost>(m), reencode(decode_rpc_to_host), false};
}
template <typename Body>
Row reply(std::string name, const Body& body) {
    return {std::move(name), wire<RpcToTrusted>(Reply{.request_id = 9, .body = body}),
            reencode(decode_rpc_to_trusted), std::is_same_v<Body, QuoteReply>};
}

const Bytes kSome = to_bytes("some bytes");
const RequestHead kHead{.request_id = 77, .deadline_ms = 1500};

std::vector<Row> rows() {
    BlobWriteBatch batch{.head = kHead,
                         .writes = {{"a", kSome}, {"b", std::nullopt}, {"c", Bytes()}}};
    return {
        data_in("ConnOpened", ConnOpened{.conn_id = 5, .peer_port = 443}),
        data_in("ConnDataIn", ConnData{.conn_id = 5, .bytes = kSome}),
        data_in("ConnCreditIn", ConnCredit{.conn_id = 5, .bytes = 4096}),
        data_in("ConnEnded", ConnEnded{.conn_id = 5, .why = ConnEnded::Why::kEndOfStream}),
        data_out("ConnDataOut", ConnData{.conn_id = 5, .bytes = kSome}),
        data_out("ConnCreditOut", ConnCredit{.conn_id = 5, .bytes = 4096}),
        data_out("ConnClose", ConnClose{.conn_id = 5, .how = ConnClose::How::kAfterFlush}),
        rpc_out("BlobGet", BlobGet{.head = kHead, .key = "k"}),
        rpc_out("BlobList", BlobList{.head = kHead, .prefix = "p", .after = "pa"}),
        rpc_out("BlobWrite", batch),
        rpc_out("TargetInfo", TargetInfoRequest{.head = kHead}),
        rpc_out("Quote", QuoteRequest{.head = kHead}),
        rpc_out("Log", Log{.code = 2, .numbers = {.count = 2, .values = {1, 2}}}),
        rpc_out("Status", Status{.not_ready_because = Status::kUnowned}),
        rpc_out("Exit", Exit{.why = Exit::Why::kStateRefused}),
        reply("ReplyDone", Done{}),
        reply("ReplyBlobValue", BlobValue{.value = kSome}),
        reply("ReplyNoBlobValue", BlobValue{}),
        reply("ReplyBlobKeys", BlobKeys{.keys = {"a", "b"}}),
        reply("ReplyTargetInfo", TargetInfoReply{}),
        reply("ReplyQuote", QuoteReply{.quote = kSome}),
        reply("ReplyFailed", Failed{.why = Failed::Why::kStorage}),
        {"Shutdown", wire<RpcToTrusted>(Shutdown{.deadline_ms = 5000}),
         reencode(decode_rpc_to_trusted), false},
    };
}

class Messages : public testing::TestWithParam<Row> {};

TEST_P(Messages, RoundTrip) {
    auto again = GetParam().decode_and_encode(GetParam().wire.frame());
    ASSERT_TRUE(again.has_value()) << again.error().message();
    EXPECT_EQ(again->type, GetParam().wire.type);
    EXPECT_EQ(again->payload, GetParam().wire.payload);
}

// Every proper prefix is malformed, except where the rest of the frame is the content.
TEST_P(Messages, TruncatedIsRefused) {
    const Wire& wire = GetParam().wire;
    std::size_t least = GetParam().may_grow ? 9 : wire.payload.size();
    for (std::size_t size = 0; size < least; ++size) {
        Frame cut{.type = wire.type, .payload = ByteView(wire.payload).first(size)};
        auto outcome = GetParam().decode_and_encode(cut);
        ASSERT_FALSE(outcome.has_value()) << size;
        EXPECT_EQ(outcome.error().code(), malformed_message) << size;
    }
}

TEST_P(Messages, TrailingBytesAreRefused) {
    if (GetParam().may_grow) return;
    Wire wire = GetParam().wire;
    wire.payload.push_back(std::byte{0});
    auto outcome = GetParam().decode_and_encode(wire.frame());
    ASSERT_FALSE(outcome.has_value());
    EXPECT_EQ(outcome.error().code(), malformed_message);
}

// A message on a ring that is not its own, of a type that does not exist, or of none.
TEST_P(Messages, WrongTypeIsRefused) {
    for (std::uint32_t type : {0u, 6u, 99u, GetParam().wire.type + 256, ~0u}) {
        Frame frame{.type = type, .payload = GetParam().wire.payload};
        auto outcome = GetParam().decode_and_encode(frame);
        ASSERT_FALSE(outcome.has_value());
        EXPECT_EQ(outcome.error().code(), unknown_message);
    }
    int accepted_by = 0;
    accepted_by += decode_data_to_trusted(GetParam().wire.frame()).has_value();
    accepted_by += decode_rpc_to_trusted(GetParam().wire.frame()).has_value();
    accepted_by += decode_rpc_to_host(GetParam().wire.frame()).has_value();
    EXPECT_LE(accepted_by, 1);
}

INSTANTIATE_TEST_SUITE_P(All, Messages, testing::ValuesIn(rows()),
                         [](const auto& row) { return row.param.name; });

// Builds payloads that encode() would refuse to build.
struct Lie {
    std::string name;
    MessageType type;
    Bytes payload;
    Code code;
};

Bytes request_with(const std::function<void(Writer&)>& fill) {
    Writer out;
    out.u64le(1).u32le(1000);
    fill(out);
    return std::move(out).take();
}

std::vector<Lie> lies_to_host() {
    using enum MessageType;
    return {
        {"EmptyKey", kBlobGet, request_with([](Writer& w) { w.u16le(0); }), malformed_message},
        {"KeyTooLong", kBlobGet, request_with([](Writer& w) { w.u16le(129).zeros(129); }),
         message_too_large},
        {"KeySizeLies", kBlobGet, request_with([](Writer& w) { w.u16le(100).zeros(5); }),
         malformed_message},
        {"NoWrites", kBlobWrite, request_with([](Writer& w) { w.u8(1).u16le(0); }),
         malformed_message},
        {"TooManyWrites", kBlobWrite, request_with([](Writer& w) { w.u8(1).u16le(65); }),
         message_too_large},
        {"UnknownDurability", kBlobWrite, request_with([](Writer& w) { w.u8(3).u16le(1); }),
         malformed_message},
        {"PresenceLies", kBlobWrite,
         request_with([](Writer& w) { w.u8(1).u16le(1).u16le(1).u8('k').u8(2).u32le(0); }),
         malformed_message},
        {"ValueSizeLies", kBlobWrite,
         request_with([](Writer& w) { w.u8(1).u16le(1).u16le(1).u8('k').u8(1).u32le(1000); }),
         malformed_message},
        {"ValueTooLarge", kBlobWrite,
         request_with([](Writer& w) { w.u8(1).u16le(1).u16le(1).u8('k').u8(1).u32le(65537); }),
         message_too_large},
        {"TooManyNumbers", kLog, std::move(Writer().u16le(1).u8(5).zeros(40)).take(),
         message_too_large},
        {"UnknownReason", kStatus,
         std::move(Writer().u32le(Status::kAllReasons + 1).zeros(24)).take(), malformed_message},
        {"UnknownExit", kExit, std::move(Writer().u8(4)).take(), malformed_message},
    };
}

std::vector<Lie> lies_to_trusted() {
    using enum MessageType;
    auto key = [](Writer& w, char c) { w.u16le(1).u8(static_cast<std::uint8_t>(c)); };
    auto reply_with = [](const std::function<void(Writer&)>& fill) {
        Writer out;
        out.u64le(1);
        fill(out);
        return std::move(out).take();
    };
    return {
        {"NoData", kConnData, std::move(Writer().u64le(1)).take(), malformed_message},
        {"DataTooLarge", kConnData, std::move(Writer().u64le(1).zeros(32 * 1024 + 1)).take(),
         message_too_large},
        {"NoCredit", kConnCredit, std::move(Writer().u64le(1).u32le(0)).take(), malformed_message},
        {"CreditOverWindow", kConnCredit, std::move(Writer().u64le(1).u32le(65537)).take(),
         message_too_large},
        {"UnknownEnd", kConnEnded, std::move(Writer().u64le(1).u8(4)).take(), malformed_message},
        {"EndOfNoKind", kConnEnded, std::move(Writer().u64le(1).u8(0)).take(), malformed_message},
        {"QuoteTooLarge", kReplyQuote, reply_with([](Writer& w) { w.zeros(16 * 1024 + 1); }),
         message_too_large},
        {"NoQuote", kReplyQuote, reply_with([](Writer&) {}), malformed_message},
        {"UnknownFailure", kReplyFailed, reply_with([](Writer& w) { w.u16le(7); }),
         malformed_message},
        {"KeysRepeat", kReplyBlobKeys, reply_with([&](Writer& w) {
             w.u16le(2);
             key(w, 'a');
             key(w, 'a');
         }),
         malformed_message},
        {"KeysFall", kReplyBlobKeys, reply_with([&](Writer& w) {
             w.u16le(2);
             key(w, 'b');
             key(w, 'a');
         }),
         malformed_message},
        {"KeyCountLies", kReplyBlobKeys, reply_with([&](Writer& w) {
             w.u16le(2);
             key(w, 'a');
         }),
         malformed_message},
        {"TooManyKeys", kReplyBlobKeys, reply_with([](Writer& w) { w.u16le(257); }),
         message_too_large},
    };
}

class LiesToHost : public testing::TestWithParam<Lie> {};
TEST_P(LiesToHost, AreRefused) {
    auto outcome = decode_rpc_to_host(
        {.type = static_cast<std::uint32_t>(GetParam().type), .payload = GetParam().payload});
    ASSERT_FALSE(outcome.has_value());
    EXPECT_EQ(outcome.error().code(), GetParam().code);
}
INSTANTIATE_TEST_SUITE_P(All, LiesToHost, testing::ValuesIn(lies_to_host()),
                         [](const auto& row) { return row.param.name; });

class LiesToTrusted : public testing::TestWithParam<Lie> {};
TEST_P(LiesToTrusted, AreRefused) {
    Frame frame{.type = static_cast<std::uint32_t>(GetParam().type), .payload = GetParam().payload};
    Error error = frame.type < 16 ? decode_data_to_trusted(frame).error()
                                  : decode_rpc_to_trusted(frame).error();
    EXPECT_EQ(error.code(), GetParam().code);
}
INSTANTIATE_TEST_SUITE_P(All, LiesToTrusted, testing::ValuesIn(lies_to_trusted()),
                         [](const auto& row) { return row.param.name; });

TEST(BlobWriteBatch, LargestSingleWriteFits) {
    BlobWriteBatch batch{
        .head = kHead,
        .writes = {{std::string(kMaxKeyBytes, 'k'), Bytes(kMaxValueBytes, std::byte{1})}}};
    auto encoded = encode(RpcToHost(batch));
    ASSERT_TRUE(encoded.has_value());
    auto decoded = decode_rpc_to_host(
        {.type = static_cast<std::uint32_t>(encoded->type), .payload = encoded->head()});
    ASSERT_TRUE(decoded.has_value());
    EXPECT_EQ(std::get<BlobWriteBatch>(*decoded), batch);
}

// The batch bound is exact, so that the store can plan by it.
TEST(BlobWriteBatch, BoundIsExact) {
    std::size_t room = kMaxBatchBytes - 2 * (kWriteOverheadBytes + 1) - 40000;
    BlobWriteBatch batch{.head = kHead, .writes = {{"a", Bytes(40000)}, {"b", Bytes(room)}}};
    ASSERT_TRUE(encode(RpcToHost(batch)).has_value());
    EXPECT_EQ(encode(RpcToHost(batch))->head().size(), kMaxFramePayloadBytes);
    batch.writes[1].value->push_back(std::byte{0});
    auto refused = encode(RpcToHost(batch));
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code(), message_too_large);
}

TEST(BlobKeys, LargestPageFits) {
    BlobKeys page;
    for (std::size_t i = 0; i < kMaxKeysPerPage; ++i) {
        std::string key(kMaxKeyBytes, 'k');
        key[0] = static_cast<char>('a' + i / 26);
        key[1] = static_cast<char>('a' + i % 26);
        page.keys.push_back(key);
    }
    auto encoded = encode(RpcToTrusted(Reply{.request_id = 1, .body = page}));
    ASSERT_TRUE(encoded.has_value());
    EXPECT_LE(encoded->head().size(), kMaxFramePayloadBytes);
}

TEST(FromHost, GivesItsValueOnlyToACheck) {
    static_assert(!std::is_convertible_v<FromHost<std::uint32_t>, std::uint32_t>);
    EXPECT_EQ(*FromHost<std::uint32_t>(5).check_at_most(5, message_too_large), 5u);
    EXPECT_EQ(FromHost<std::uint32_t>(6).check_at_most(5, message_too_large).error().code(),
              message_too_large);
    auto even = [](std::uint32_t v) { return v % 2 == 0; };
    EXPECT_EQ(*FromHost<std::uint32_t>(6).check(even, malformed_message), 6u);
    EXPECT_EQ(FromHost<std::uint32_t>(7).check(even, malformed_message).error().code(),
              malformed_message);
}

TEST(ExitCodes, SayWhatHappened) {
    EXPECT_EQ(exit_code(Exit::Why::kRequested), 0);
    EXPECT_NE(describe_exit_code(exit_code(Exit::Why::kStateRefused)).find("state"),
              std::string_view::npos);
    for (auto reason : {AbortReason::kBadSharedBlock, AbortReason::kBoundaryViolated,
                        AbortReason::kNoEntropy, AbortReason::kInternal})
        EXPECT_FALSE(describe_exit_code(exit_code(reason)).empty());
    EXPECT_TRUE(describe_exit_code(77).empty());
}

TEST(LogCodes, AreFoundByNumber) {
    for (const LogLine& line : log_table())
        EXPECT_EQ(find_log_line(static_cast<std::uint16_t>(line.code)), &line);
    EXPECT_EQ(find_log_line(0), nullptr);
    EXPECT_EQ(find_log_line(0xffff), nullptr);
    EXPECT_EQ(find_log_line(1)->number_count, 1u);
}

}  // namespace
}  // namespace eos::boundary
