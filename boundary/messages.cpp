// SPDX-License-Identifier: AGPL-3.0-only
// What both directions share: the data ring. The rpc ring's messages are in messages_rpc.cpp.
#include "boundary/messages.h"

#include <type_traits>
#include <utility>

#include "boundary/messages_codec.h"
#include "common/base/codec.h"

namespace eos::boundary {
namespace {

using codec::enum_u8;
using codec::fixed;

Result<ConnOpened> decode_opened(Reader& in) {
    ConnOpened m;
    m.conn_id = EOS_TRY(in.u64le());
    m.peer_address = EOS_TRY(in.array<16>());
    m.peer_port = EOS_TRY(in.u16le());
    return m;
}

Result<ConnData> decode_data(Reader& in) {
    ConnData m;
    m.conn_id = EOS_TRY(in.u64le());
    m.bytes = in.rest();
    EOS_TRY(codec::in_range(m.bytes.size(), {1, kMaxConnDataBytes}, "connection data"));
    return m;
}

Result<ConnCredit> decode_credit(Reader& in) {
    ConnCredit m;
    m.conn_id = EOS_TRY(in.u64le());
    m.bytes = EOS_TRY(in.u32le());
    EOS_TRY(codec::in_range(m.bytes, {1, kConnWindowBytes}, "credit"));
    return m;
}

Result<ConnEnded> decode_ended(Reader& in) {
    ConnEnded m;
    m.conn_id = EOS_TRY(in.u64le());
    m.why = EOS_TRY(enum_u8<ConnEnded::Why>(in, {1, 3}));
    return m;
}

Result<ConnClose> decode_close(Reader& in) {
    ConnClose m;
    m.conn_id = EOS_TRY(in.u64le());
    m.how = EOS_TRY(enum_u8<ConnClose::How>(in, {1, 2}));
    return m;
}

struct EncodeData {
    Result<Encoded> operator()(const ConnOpened& m) const {
        return fixed(MessageType::kConnOpened,
                     Writer().u64le(m.conn_id).bytes(m.peer_address).u16le(m.peer_port));
    }
    Result<Encoded> operator()(const ConnData& m) const {
        EOS_TRY(codec::in_range(m.bytes.size(), {1, kMaxConnDataBytes}, "connection data"));
        Encoded out = fixed(MessageType::kConnData, Writer().u64le(m.conn_id));
        out.tail = m.bytes;
        return out;
    }
    Result<Encoded> operator()(const ConnCredit& m) const {
        EOS_TRY(codec::in_range(m.bytes, {1, kConnWindowBytes}, "credit"));
        return fixed(MessageType::kConnCredit, Writer().u64le(m.conn_id).u32le(m.bytes));
    }
    Result<Encoded> operator()(const ConnEnded& m) const {
        return fixed(MessageType::kConnEnded,
                     Writer().u64le(m.conn_id).u8(std::to_underlying(m.why)));
    }
    Result<Encoded> operator()(const ConnClose& m) const {
        return fixed(MessageType::kConnClose,
                     Writer().u64le(m.conn_id).u8(std::to_underlying(m.how)));
    }
};

}  // namespace

Result<DataToTrusted> decode_data_to_trusted(const Frame& frame) {
    switch (static_cast<MessageType>(frame.type)) {
        case MessageType::kConnOpened:
            return codec::whole<DataToTrusted>(frame, decode_opened);
        case MessageType::kConnData:
            return codec::whole<DataToTrusted>(frame, decode_data);
        case MessageType::kConnCredit:
            return codec::whole<DataToTrusted>(frame, decode_credit);
        case MessageType::kConnEnded:
            return codec::whole<DataToTrusted>(frame, decode_ended);
        default:
            return codec::unknown(frame);
    }
}

Result<DataToHost> decode_data_to_host(const Frame& frame) {
    switch (static_cast<MessageType>(frame.type)) {
        case MessageType::kConnData:
            return codec::whole<DataToHost>(frame, decode_data);
        case MessageType::kConnCredit:
            return codec::whole<DataToHost>(frame, decode_credit);
        case MessageType::kConnClose:
            return codec::whole<DataToHost>(frame, decode_close);
        default:
            return codec::unknown(frame);
    }
}

Result<Encoded> encode(const DataToTrusted& message) {
    return std::visit(EncodeData{}, message);
}

Result<Encoded> encode(const DataToHost& message) {
    return std::visit(EncodeData{}, message);
}

}  // namespace eos::boundary
