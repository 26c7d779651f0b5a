// SPDX-License-Identifier: AGPL-3.0-only
#include <algorithm>
#include <type_traits>
#include <utility>

#include "boundary/messages.h"
#include "boundary/messages_codec.h"
#include "common/base/codec.h"

namespace eos::boundary {
namespace {

using codec::encoded;
using codec::enum_u8;

// u16 size ‖ bytes
Result<std::string> read_key(Reader& in, std::size_t least) {
    std::uint16_t size = EOS_TRY(in.u16le());
    EOS_TRY(codec::in_range(size, {least, kMaxKeyBytes}, "key"));
    return to_string(EOS_TRY(in.bytes(size)));
}

Result<void> write_key(Writer& out, std::string_view key, std::size_t least) {
    EOS_TRY(codec::in_range(key.size(), {least, kMaxKeyBytes}, "key"));
    out.u16le(static_cast<std::uint16_t>(key.size())).text(key);
    return {};
}

// u8 present ‖ (u32 size ‖ bytes, if present)
Result<std::optional<Bytes>> read_value(Reader& in) {
    std::uint8_t present = EOS_TRY(in.u8());
    if (present > 1) return fail(malformed_message, "presence is 0 or 1");
    if (present == 0) return std::nullopt;
    std::uint32_t size = EOS_TRY(in.u32le());
    EOS_TRY(codec::in_range(size, {0, kMaxValueBytes}, "value"));
    return to_bytes(EOS_TRY(in.bytes(size)));
}

Result<void> write_value(Writer& out, const std::optional<Bytes>& value) {
    out.u8(value ? 1 : 0);
    if (!value) return {};
    EOS_TRY(codec::in_range(value->size(), {0, kMaxValueBytes}, "value"));
    out.u32le(static_cast<std::uint32_t>(value->size())).bytes(*value);
    return {};
}

Result<RequestHead> read_head(Reader& in) {
    RequestHead head;
    head.request_id = EOS_TRY(in.u64le());
    head.deadline_ms = EOS_TRY(in.u32le());
    return head;
}

Writer& write_head(Writer& out, const RequestHead& head) {
    return out.u64le(head.request_id).u32le(head.deadline_ms);
}

// ---- requests -----------------------------------------------------------------------------------

Result<BlobGet> decode_get(Reader& in) {
    BlobGet m;
    m.head = EOS_TRY(read_head(in));
    m.key = EOS_TRY(read_key(in, 1));
    return m;
}

Result<BlobList> decode_list(Reader& in) {
    BlobList m;
    m.head = EOS_TRY(read_head(in));
    m.prefix = EOS_TRY(read_key(in, 0));
    m.after = EOS_TRY(read_key(in, 0));
    return m;
}

Result<BlobWriteBatch> decode_write(Reader& in) {
    BlobWriteBatch m;
    m.head = EOS_TRY(read_head(in));
    m.durability = EOS_TRY(enum_u8<BlobWriteBatch::Durability>(in, {1, 2}));
    std::uint16_t count = EOS_TRY(in.u16le());
    EOS_TRY(codec::in_range(count, {1, kMaxBatchWrites}, "writes in a batch"));
    for (std::uint16_t i = 0; i < count; ++i) {
        BlobWriteBatch::Write write;
        write.key = EOS_TRY(read_key(in, 1));
        write.value = EOS_TRY(read_value(in));
        m.writes.push_back(std::move(write));
    }
    return m;
}

Result<TargetInfoRequest> decode_target_info_request(Reader& in) {
    TargetInfoRequest m;
    m.head = EOS_TRY(read_head(in));
    return m;
}

Result<QuoteRequest> decode_quote_request(Reader& in) {
    QuoteRequest m;
    m.head = EOS_TRY(read_head(in));
    m.report = EOS_TRY(in.array<kReportBytes>());
    return m;
}

Result<Log> decode_log(Reader& in) {
    Log m;
    m.code = EOS_TRY(in.u16le());
    m.numbers.count = EOS_TRY(in.u8());
    EOS_TRY(codec::in_range(m.numbers.count, {0, kMaxNumbers}, "numbers"));
    for (std::size_t i = 0; i < m.numbers.count; ++i) m.numbers.values[i] = EOS_TRY(in.u64le());
    return m;
}

Result<Status> decode_status(Reader& in) {
    Status m;
    m.not_ready_because = EOS_TRY(in.u32le());
    if ((m.not_ready_because & ~Status::kAllReasons) != 0)
        return fail(malformed_message, "unknown reason");
    m.connection_count = EOS_TRY(in.u32le());
    m.app_count = EOS_TRY(in.u32le());
    m.evidence_not_after_s = EOS_TRY(in.u64le());
    m.leaf_not_after_s = EOS_TRY(in.u64le());
    return m;
}

Result<Exit> decode_exit(Reader& in) {
    Exit m;
    m.why = EOS_TRY(enum_u8<Exit::Why>(in, {0, 3}));
    return m;
}

struct EncodeRequest {
    Result<Encoded> operator()(const BlobGet& m) const {
        Writer out;
        EOS_TRY(write_key(write_head(out, m.head), m.key, 1));
        return encoded(MessageType::kBlobGet, out);
    }
    Result<Encoded> operator()(const BlobList& m) const {
        Writer out;
        EOS_TRY(write_key(write_head(out, m.head), m.prefix, 0));
        EOS_TRY(write_key(out, m.after, 0));
        return encoded(MessageType::kBlobList, out);
    }
    Result<Encoded> operator()(const BlobWriteBatch& m) const {
        Writer out;
        EOS_TRY(codec::in_range(m.writes.size(), {1, kMaxBatchWrites}, "writes in a batch"));
        write_head(out, m.head)
            .u8(std::to_underlying(m.durability))
            .u16le(static_cast<std::uint16_t>(m.writes.size()));
        for (const BlobWriteBatch::Write& write : m.writes) {
            EOS_TRY(write_key(out, write.key, 1));
            EOS_TRY(write_value(out, write.value));
        }
        EOS_TRY(codec::in_range(out.size(), {0, kMaxFramePayloadBytes}, "batch"));
        return encoded(MessageType::kBlobWrite, out);
    }
    Result<Encoded> operator()(const TargetInfoRequest& m) const {
        Writer out;
        return encoded(MessageType::kTargetInfo, write_head(out, m.head));
    }
    Result<Encoded> operator()(const QuoteRequest& m) const {
        Writer out;
        return encoded(MessageType::kQuote, write_head(out, m.head).bytes(m.report));
    }
    Result<Encoded> operator()(const Log& m) const {
        Writer out;
        EOS_TRY(codec::in_range(m.numbers.count, {0, kMaxNumbers}, "numbers"));
        out.u16le(m.code).u8(m.numbers.count);
        for (std::size_t i = 0; i < m.numbers.count; ++i) out.u64le(m.numbers.values[i]);
        return encoded(MessageType::kLog, out);
    }
    Result<Encoded> operator()(const Status& m) const {
        return encoded(MessageType::kStatus, Writer()
                                                 .u32le(m.not_ready_because)
                                                 .u32le(m.connection_count)
                                                 .u32le(m.app_count)
                                                 .u64le(m.evidence_not_after_s)
                                                 .u64le(m.leaf_not_after_s));
    }
    Result<Encoded> operator()(const Exit& m) const {
        return encoded(MessageType::kExit, Writer().u8(std::to_underlying(m.why)));
    }
};

// ---- replies: u64 request_id ‖ body
// ---------------------------------------------------------------

Result<Done> decode_done(Reader&) {
    return Done{};
}

Result<BlobValue> decode_blob_value(Reader& in) {
    return BlobValue{.value = EOS_TRY(read_value(in))};
}

Result<void> check_keys(const BlobKeys& m) {
    EOS_TRY(codec::in_range(m.keys.size(), {0, kMaxKeysPerPage}, "keys in a page"));
    auto not_rising = [](const std::string& a, const std::string& b) { return a >= b; };
    if (std::ranges::adjacent_find(m.keys, not_rising) != m.keys.end())
        return fail(malformed_message, "keys do not rise");
    return {};
}

Result<BlobKeys> decode_blob_keys(Reader& in) {
    BlobKeys m;
    std::uint16_t count = EOS_TRY(in.u16le());
    EOS_TRY(codec::in_range(count, {0, kMaxKeysPerPage}, "keys in a page"));
    for (std::uint16_t i = 0; i < count; ++i) m.keys.push_back(EOS_TRY(read_key(in, 1)));
    EOS_TRY(check_keys(m));
    return m;
}

Result<TargetInfoReply> decode_target_info_reply(Reader& in) {
    return TargetInfoReply{.target_info = EOS_TRY(in.array<kTargetInfoBytes>())};
}

Result<QuoteReply> decode_quote_reply(Reader& in) {
    ByteView quote = in.rest();
    EOS_TRY(codec::in_range(quote.size(), {1, kMaxQuoteBytes}, "quote"));
    return QuoteReply{.quote = to_bytes(quote)};
}

Result<Failed> decode_failed(Reader& in) {
    std::uint16_t why = EOS_TRY(in.u16le());
    if (why < 1 || why > 6) return fail(malformed_message, "unknown enumerator");
    return Failed{.why = static_cast<Failed::Why>(why)};
}

template <typename Body>
Result<RpcToTrusted> decode_reply(const Frame& frame, Result<Body> (*decode_body)(Reader&)) {
    return codec::whole<RpcToTrusted>(frame, [&](Reader& in) -> Result<Reply> {
        Reply m;
        m.request_id = EOS_TRY(in.u64le());
        m.body = EOS_TRY(decode_body(in));
        return m;
    });
}

Result<Shutdown> decode_shutdown(Reader& in) {
    return Shutdown{.deadline_ms = EOS_TRY(in.u32le())};
}

struct EncodeBody {
    std::uint64_t request_id;

    Writer start() const {
        Writer out;
        out.u64le(request_id);
        return out;
    }

    Result<Encoded> operator()(const Done&) const {
        Writer out = start();
        return encoded(MessageType::kReplyDone, out);
    }
    Result<Encoded> operator()(const BlobValue& m) const {
        Writer out = start();
        EOS_TRY(write_value(out, m.value));
        return encoded(MessageType::kReplyBlobValue, out);
    }
    Result<Encoded> operator()(const BlobKeys& m) const {
        Writer out = start();
        EOS_TRY(check_keys(m));
        out.u16le(static_cast<std::uint16_t>(m.keys.size()));
        for (const std::string& key : m.keys) EOS_TRY(write_key(out, key, 1));
        return encoded(MessageType::kReplyBlobKeys, out);
    }
    Result<Encoded> operator()(const TargetInfoReply& m) const {
        Writer out = start();
        return encoded(MessageType::kReplyTargetInfo, out.bytes(m.target_info));
    }
    Result<Encoded> operator()(const QuoteReply& m) const {
        EOS_TRY(codec::in_range(m.quote.size(), {1, kMaxQuoteBytes}, "quote"));
        Writer out = start();
        return encoded(MessageType::kReplyQuote, out.bytes(m.quote));
    }
    Result<Encoded> operator()(const Failed& m) const {
        Writer out = start();
        return encoded(MessageType::kReplyFailed, out.u16le(std::to_underlying(m.why)));
    }
};

struct EncodeToTrusted {
    Result<Encoded> operator()(const Reply& m) const {
        return std::visit(EncodeBody{m.request_id}, m.body);
    }
    Result<Encoded> operator()(const Shutdown& m) const {
        return encoded(MessageType::kShutdown, Writer().u32le(m.deadline_ms));
    }
};

}  // namespace

Result<RpcToHost> decode_rpc_to_host(const Frame& frame) {
    switch (static_cast<MessageType>(frame.type)) {
        case MessageType::kBlobGet:
            return codec::whole<RpcToHost>(frame, decode_get);
        case MessageType::kBlobList:
            return codec::whole<RpcToHost>(frame, decode_list);
        case MessageType::kBlobWrite:
            return codec::whole<RpcToHost>(frame, decode_write);
        case MessageType::kTargetInfo:
            return codec::whole<RpcToHost>(frame, decode_target_info_request);
        case MessageType::kQuote:
            return codec::whole<RpcToHost>(frame, decode_quote_request);
        case MessageType::kLog:
            return codec::whole<RpcToHost>(frame, decode_log);
        case MessageType::kStatus:
            return codec::whole<RpcToHost>(frame, decode_status);
        case MessageType::kExit:
            return codec::whole<RpcToHost>(frame, decode_exit);
        default:
            return codec::unknown(frame);
    }
}

Result<RpcToTrusted> decode_rpc_to_trusted(const Frame& frame) {
    switch (static_cast<MessageType>(frame.type)) {
        case MessageType::kReplyDone:
            return decode_reply(frame, decode_done);
        case MessageType::kReplyBlobValue:
            return decode_reply(frame, decode_blob_value);
        case MessageType::kReplyBlobKeys:
            return decode_reply(frame, decode_blob_keys);
        case MessageType::kReplyTargetInfo:
            return decode_reply(frame, decode_target_info_reply);
        case MessageType::kReplyQuote:
            return decode_reply(frame, decode_quote_reply);
        case MessageType::kReplyFailed:
            return decode_reply(frame, decode_failed);
        case MessageType::kShutdown:
            return codec::whole<RpcToTrusted>(frame, decode_shutdown);
        default:
            return codec::unknown(frame);
    }
}

Result<Encoded> encode(const RpcToHost& message) {
    return std::visit(EncodeRequest{}, message);
}

Result<Encoded> encode(const RpcToTrusted& message) {
    return std::visit(EncodeToTrusted{}, message);
}

}  // namespace eos::boundary
